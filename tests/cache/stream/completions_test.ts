/** Completions as they are streamed: texts and lists of log-probabilities, for several prompts at once. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { JsonObject } from "../../../src/cache/json.ts";
import { completions } from "../../../src/cache/stream/completions.ts";
import { assembled, completionAnswer, dataEvents, Maker, openaiFor } from "./support.ts";

const HEAD = { id: "cmpl-1", object: "text_completion", created: 1, model: "gpt-3.5-turbo-instruct" };

function chunk(index: number, text: string | null, rest: JsonObject = {}): JsonObject {
  return { ...HEAD, choices: [{ index, text, logprobs: null, finish_reason: null, ...rest }] };
}

describe("a completion, assembled", () => {
  it("is what a call without stream would have had", () => {
    const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
    const stream = dataEvents(
      chunk(0, "Hel"),
      chunk(0, "lo"),
      chunk(0, "", { finish_reason: "stop" }),
      { ...HEAD, choices: [], usage },
      "[DONE]",
    );
    assert.deepEqual(assembled(completions, stream).answer(), {
      ...HEAD,
      choices: [{ index: 0, text: "Hello", logprobs: null, finish_reason: "stop" }],
      usage,
    });
  });

  it("appends the lists of log-probabilities, offsets as the provider counted them", () => {
    const lists = (token: string, at: number): JsonObject => ({
      tokens: [token],
      token_logprobs: [at - 2],
      top_logprobs: [{ [token]: at - 2 }],
      text_offset: [at],
    });
    const stream = dataEvents(
      chunk(0, "a", { logprobs: lists("a", 0) }),
      chunk(0, " b", { logprobs: lists(" b", 1), finish_reason: "length" }),
    );
    const [choice] = assembled(completions, stream).answer()!.choices as JsonObject[];
    assert.deepEqual(choice!.logprobs, {
      tokens: ["a", " b"],
      token_logprobs: [-2, -1],
      top_logprobs: [{ a: -2 }, { " b": -1 }],
      text_offset: [0, 1],
    });
  });

  it("keeps the alternatives of each token apart, whatever the tokens are called", () => {
    const top = [{ index: 0, other: -9999 }, { index: 0, id: -3 }];
    const stream = dataEvents(
      chunk(0, "index", { logprobs: { tokens: ["index"], top_logprobs: [top[0]] } }),
      chunk(0, "index", { logprobs: { tokens: ["index"], top_logprobs: [top[1]] }, finish_reason: "length" }),
    );
    const [choice] = assembled(completions, stream).answer()!.choices as JsonObject[];
    assert.deepEqual(choice!.logprobs, { tokens: ["index", "index"], top_logprobs: top });
  });

  it("needs every choice of every prompt, and puts them in order", () => {
    const assembler = completions.assembler({ samples: 2, prompts: 2 });
    for (const index of [3, 1, 0, 2]) {
      assert.equal(assembler.isComplete, false);
      const [event] = dataEvents(chunk(index, `text ${index}`, { finish_reason: "stop" }));
      assembler.add(event!);
    }
    const choices = assembler.answer()!.choices as JsonObject[];
    assert.deepEqual(choices.map(({ text }) => text), ["text 0", "text 1", "text 2", "text 3"]);
  });

  it("takes no text for nothing said", () => {
    const stream = dataEvents(chunk(0, "Hi"), chunk(0, null, { finish_reason: "stop" }));
    const [choice] = assembled(completions, stream).answer()!.choices as JsonObject[];
    assert.equal(choice!.text, "Hi");
  });

  it("is none when a text is no text", () => {
    const stream = dataEvents(chunk(0, "Hi"), { ...HEAD, choices: [{ index: 0, text: 7, finish_reason: "stop" }] });
    assert.match(assembled(completions, stream).failure!, /"text" are not of one kind/);
  });
});

describe("a completion, disassembled", () => {
  it("cuts its text and its lists at the same tokens", () => {
    const tokens = ["It", " is", " rain", "ing", " in", " Spain", "."];
    const logprobs = {
      tokens,
      token_logprobs: tokens.map((_, at) => -at),
      token_ids: tokens.map((_, at) => at),
      text_offset: tokens.map((_, at) => tokens.slice(0, at).join("").length),
    };
    const answer = { ...HEAD, choices: [{ index: 0, text: tokens.join(""), logprobs, finish_reason: "stop" }] };
    const events = completions.disassemble(answer, { includeUsage: false }).slice(0, -1);
    const pieces = events.map(({ data }) => JSON.parse(data).choices[0]).filter(({ text }) => text !== "");
    assert.ok(pieces.length > 1);
    for (const piece of pieces) {
      assert.equal(piece.logprobs.tokens.join(""), piece.text);
      assert.equal(piece.logprobs.token_ids.length, piece.logprobs.tokens.length);
      assert.equal(piece.finish_reason, null);
    }
  });

  it("is read by the openai client, and assembled again", async () => {
    for (let seed = 0; seed < 20; seed++) {
      const answer = completionAnswer(new Maker(seed));
      const client = openaiFor(completions.disassemble(answer, { includeUsage: true }));
      const chunks: unknown[] = [];
      for await (const each of await client.completions.create({ model: "m", prompt: "p", stream: true })) {
        chunks.push(each);
      }
      const expected = { samples: (answer.choices as []).length, prompts: 1 };
      assert.deepEqual(assembled(completions, dataEvents(...chunks), expected).answer(), answer);
    }
  });
});
