/** A loaded backend against what PyTorch computed. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type {
  Backend,
  GenerateEvent,
  GenerateRequest,
  ResolvedAdapter,
  ScoredToken,
  View,
} from "../../src/model/backend.ts";
import { ModelError } from "../../src/model/error.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { referenceCases, resolveAdapter, resolveBase } from "../support/models.ts";
import { greedy } from "./requests.ts";

const cases = await referenceCases();
const TOLERANCE = 1e-4;

interface Answer {
  readonly ids: number[];
  readonly tokens: ScoredToken[];
  readonly text: string;
  readonly prompt: Extract<GenerateEvent, { type: "prompt" }>;
  readonly end: Extract<GenerateEvent, { type: "end" }>;
}

async function collect(view: View, request: GenerateRequest): Promise<Answer> {
  const events = await Array.fromAsync(view.generate(request));
  assert.equal(events[0]?.type, "prompt");
  assert.equal(events.at(-1)?.type, "end");
  const tokens = events.flatMap((event) => event.type === "token" ? [event.token] : []);
  assert.equal(tokens.length, events.length - 2);
  return {
    ids: tokens.map(({ id }) => id),
    tokens,
    text: events.slice(1).map(({ text }) => text).join(""),
    prompt: events[0] as Answer["prompt"],
    end: events.at(-1) as Answer["end"],
  };
}

function assertClose(actual: readonly (number | null)[], expected: readonly number[]): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, index) => assert.ok(Math.abs(value! - expected[index]!) < TOLERANCE, `${value} at ${index}`));
}

const refused = (code: string, parameter?: string) => (error: unknown): boolean => {
  assert.ok(error instanceof ModelError, String(error));
  assert.deepEqual([error.code, error.parameter], [code, parameter]);
  return true;
};

let backend: Backend;
let adapter: ResolvedAdapter;
before(async () => {
  adapter = await resolveAdapter();
  backend = await loadOnnxBackend(await loadRuntime(), await resolveBase());
});
after(() => backend.close());

const views: readonly (readonly ["base" | "fortunes" | "fortunes_scaled_0.5" | "fortunes_scaled_2", () => View])[] = [
  ["base", () => backend.baseView()],
  ["fortunes", () => backend.adapterView(adapter)],
  ["fortunes_scaled_0.5", () => backend.adapterView(adapter, { scale: 0.5 })],
  ["fortunes_scaled_2", () => backend.adapterView(adapter, { scale: 2 })],
];

for (const [name, view] of views) {
  describe(`the view ${name}`, () => {
    it("generates the reference's tokens, text and finish reason in every case", async () => {
      for (const reference of cases) {
        const { ids, text, end, prompt } = await collect(view(), greedy({ prompt: { text: reference.prompt } }));
        assert.deepEqual(ids, reference[name].greedy_ids);
        assert.equal(text, reference[name].greedy_text);
        assert.equal(end.finishReason, reference[name].finish_reason);
        assert.equal(end.completionTokens, ids.length);
        assert.equal(prompt.promptTokens, reference.prompt_ids.length);
      }
    });

    it("scores completions and texts as the reference does", async () => {
      for (const { prompt, completion, prompt_ids: promptIds, completion_ids: ids, [name]: expected } of cases) {
        const scored = await view().logprobs({ text: prompt }, completion);
        assert.deepEqual(scored.ids, ids);
        assertClose(scored.logprobs, expected.token_logprobs.slice(promptIds.length - 1));
        assert.ok(Math.abs(scored.total - expected.completion_logprob) < TOLERANCE);
        const rolling = await view().rollingLogprobs(prompt + completion);
        assert.deepEqual(rolling.ids, [...promptIds, ...ids]);
        assertClose(rolling.logprobs, expected.token_logprobs);
        assert.deepEqual(await view().logprobs({ ids: promptIds }, completion), scored);
      }
    });

    it("gives the reference's ten likeliest next tokens", async () => {
      for (const { prompt, [name]: expected } of cases) {
        const next = await view().nextToken({ text: prompt }, { topK: 10 });
        assert.deepEqual(next.ids, expected.next_top10_ids);
        assertClose(next.logprobs, expected.next_top10_logprobs);
        assert.equal(next.vocabularySize, 2048);
      }
    });
  });
}

describe("views used at the same time", () => {
  it("score with the same bits as alone", async () => {
    const texts = cases.map(({ prompt, completion }) => prompt + completion);
    const ask = ([, view]: (typeof views)[number]) => texts.map((text) => () => view().rollingLogprobs(text));
    const questions = views.flatMap(ask);
    const alone = [];
    for (const question of questions) alone.push(await question());
    const busy = views.map(([, view]) => collect(view(), greedy({ maxTokens: 60 })));
    const together = await Promise.all(questions.map((question) => question()));
    assert.deepEqual(together, alone);
    await Promise.all(busy);
  });

  it("generate what they generate alone", async () => {
    const answers = await Promise.all(cases.flatMap(({ prompt }) => {
      return views.map(([, view]) => collect(view(), greedy({ prompt: { text: prompt } })));
    }));
    const expected = cases.flatMap((reference) => views.map(([name]) => reference[name].greedy_ids));
    assert.deepEqual(answers.map(({ ids }) => ids), expected);
  });

  it("give the base's bits for an adapter scaled by 0", async () => {
    const off = backend.adapterView(adapter, { scale: 0 });
    const text = cases[2]!.prompt;
    assert.deepEqual(await off.rollingLogprobs(text), await backend.baseView().rollingLogprobs(text));
  });

  it("take turns, step by step", async () => {
    const order: number[] = [];
    await Promise.all([0, 1, 2].map(async (reader) => {
      for await (const event of backend.baseView().generate(greedy({}))) if (event.type === "token") order.push(reader);
    }));
    const first = order.slice(0, 36);
    for (const reader of [0, 1, 2]) assert.ok(first.filter((one) => one === reader).length >= 4, order.join(""));
  });
});

describe("generate", () => {
  it("repeats itself for a seed and differs for another", async () => {
    const ask = (seed: number) =>
      collect(backend.baseView(), greedy({ temperature: 1, topP: 0.95, seed, maxTokens: 32 }));
    const [one, again, other] = [await ask(11), await ask(11), await ask(12)];
    assert.deepEqual(one, again);
    assert.notDeepEqual(one.ids, other.ids);
  });

  it("ends at a stop text that begins in one token and ends in another, and leaves it out", async () => {
    const whole = await collect(backend.baseView(), greedy({}));
    const words = whole.tokens.slice(3, 5).map(({ text }) => text);
    const stop = words[0]!.slice(-1) + words[1]!.slice(0, 2);
    const { text, end, ids } = await collect(backend.baseView(), greedy({ stop: ["never", stop] }));
    assert.equal(text, whole.text.slice(0, whole.text.indexOf(stop)));
    assert.equal(end.finishReason, "stop");
    assert.equal(end.completionTokens, ids.length);
    assert.ok(ids.length < whole.ids.length);
  });

  it("joins a character that is spread over tokens", async () => {
    const { prompt } = await collect(backend.baseView(), greedy({ prompt: { text: "a😀" }, echo: true, maxTokens: 0 }));
    assert.ok(prompt.tokens.some(({ text }) => text.includes("\ufffd")));
    const bytes = new Uint8Array(prompt.tokens.flatMap((token) => token.bytes));
    assert.equal(new TextDecoder().decode(bytes), "a😀");
    assert.equal(prompt.text, "a😀");
  });

  it("scores an echoed prompt without generating, as the reference does", async () => {
    for (const { prompt, completion, prompt_ids: promptIds, completion_ids: ids, base } of cases) {
      const request = greedy({ prompt: { ids: [...promptIds, ...ids] }, echo: true, maxTokens: 0, topLogprobs: 1 });
      const answer = await collect(backend.baseView(), request);
      assert.equal(answer.prompt.text, prompt + completion);
      assert.deepEqual(answer.prompt.tokens.map(({ id }) => id), [...promptIds, ...ids]);
      assert.equal(answer.prompt.tokens[0]!.logprob, null);
      assertClose(answer.prompt.tokens.slice(1).map(({ logprob }) => logprob), base.token_logprobs);
      assert.deepEqual(answer.end, { type: "end", finishReason: "length", completionTokens: 0, text: "" });
    }
  });

  it("scores an echoed prompt with the same bits whether or not it generates, and as rollingLogprobs", async () => {
    const prompt = { text: cases[0]!.prompt + cases[0]!.completion };
    const request = greedy({ prompt, echo: true, topLogprobs: 2 });
    const only = await collect(backend.baseView(), { ...request, maxTokens: 0 });
    const further = await collect(backend.baseView(), { ...request, maxTokens: 1 });
    const rolling = await backend.baseView().rollingLogprobs(prompt.text);
    assert.deepEqual(only.prompt, further.prompt);
    assert.deepEqual(only.prompt.tokens.slice(1).map(({ logprob }) => logprob), rolling.logprobs);
  });

  it("reports alternatives likeliest first, the chosen token with the identical number", async () => {
    const { tokens } = await collect(backend.baseView(), greedy({ topLogprobs: 5, maxTokens: 4 }));
    for (const { id, logprob, top } of tokens) {
      assert.equal(top.length, 5);
      assert.deepEqual(top.map((one) => one.logprob), top.map((one) => one.logprob).sort((one, other) => other - one));
      assert.equal(top.find((one) => one.id === id)!.logprob, logprob);
    }
    assert.equal(tokens[0]!.top[0]!.id, cases[0]!.base.next_top10_ids[0]);
  });

  it("reports log-probabilities without alternatives, or none", async () => {
    const [scored] = (await collect(backend.baseView(), greedy({ topLogprobs: 0, maxTokens: 1 }))).tokens;
    assert.ok(scored!.logprob! < 0);
    assert.deepEqual(scored!.top, []);
    const [plain] = (await collect(backend.baseView(), greedy({ maxTokens: 1 }))).tokens;
    assert.deepEqual([plain!.logprob, plain!.top], [null, []]);
  });

  it("continues a conversation by the model's chat template", async () => {
    const messages = [{ role: "user", content: "In the beginning God" }];
    const chat = await collect(backend.baseView(), greedy({ prompt: { messages } }));
    const plain = await collect(backend.baseView(), greedy({ prompt: { text: "In the beginning God\n" } }));
    assert.deepEqual(chat.ids, plain.ids);
    assert.equal(chat.prompt.promptTokens, 6);
  });

  it("fills the context when no limit is given, and not a token more", async () => {
    assert.equal(backend.contextLength, 256);
    const ids = Array.from({ length: 250 }, () => 260);
    const { end } = await collect(backend.baseView(), greedy({ prompt: { ids }, maxTokens: undefined }));
    assert.deepEqual([end.completionTokens, end.finishReason], [6, "length"]);
  });
});

describe("nextToken", () => {
  it("gives the whole vocabulary and no tail when more is asked for than there is", async () => {
    const next = await backend.baseView().nextToken({ text: "God" }, { topK: 5_000 });
    assert.equal(next.ids.length, 2048);
    assert.equal(next.tailLogprob, null);
    assert.ok(Math.abs(next.logprobs.reduce((sum, logprob) => sum + Math.exp(logprob), 0) - 1) < 1e-9);
  });

  it("sums up what it cuts", async () => {
    const next = await backend.baseView().nextToken({ text: "God" }, { topK: 3 });
    const shown = next.logprobs.reduce((sum, logprob) => sum + Math.exp(logprob), 0);
    assert.ok(Math.abs(shown + Math.exp(next.tailLogprob!) - 1) < 1e-9);
  });
});

describe("logprobs", () => {
  it("takes a completion's tokens after the prompt, none reaching over its end", async () => {
    const { ids } = await backend.baseView().logprobs({ text: "And it came to p" }, "ass");
    const joined = (await backend.baseView().rollingLogprobs("And it came to pass")).ids;
    assert.notDeepEqual(ids, joined.slice(-ids.length));
  });
});

describe("a request the model cannot follow", () => {
  const generate = (changes: Partial<GenerateRequest>) => () => collect(backend.baseView(), greedy(changes));
  const tooMany = Array.from({ length: 257 }, () => 260);
  for (
    const [what, ask, code, parameter] of [
      ["an empty prompt", generate({ prompt: { text: "" } }), "invalid_request", "prompt"],
      ["no token ids", generate({ prompt: { ids: [] } }), "invalid_request", "prompt"],
      ["no messages", generate({ prompt: { messages: [] } }), "invalid_request", "messages"],
      ["a token id beyond the vocabulary", generate({ prompt: { ids: [5, 2048] } }), "invalid_request", "prompt"],
      ["a negative token id", generate({ prompt: { ids: [-1] } }), "invalid_request", "prompt"],
      ["a token id that is no integer", generate({ prompt: { ids: [1.5] } }), "invalid_request", "prompt"],
      ["a prompt beyond the context", generate({ prompt: { ids: tooMany } }), "prompt_too_long", "prompt"],
      [
        "a prompt that leaves no room",
        generate({ prompt: { ids: tooMany.slice(1) }, maxTokens: undefined }),
        "prompt_too_long",
        "prompt",
      ],
      ["a prompt and answer beyond the context", generate({ maxTokens: 252 }), "prompt_too_long", "prompt"],
      [
        "messages beyond the context",
        generate({ prompt: { messages: [{ role: "user", content: "God ".repeat(300) }] } }),
        "prompt_too_long",
        "messages",
      ],
      ["a negative temperature", generate({ temperature: -1 }), "invalid_request", "temperature"],
      ["a nucleus of nothing", generate({ topP: 0 }), "invalid_request", "topP"],
      ["a seed of 33 bits", generate({ seed: 2 ** 32 }), "invalid_request", "seed"],
      ["an empty stop text", generate({ stop: [""] }), "invalid_request", "stop"],
      ["half a token", generate({ maxTokens: 0.5 }), "invalid_request", "maxTokens"],
      ["a negative number of alternatives", generate({ topLogprobs: -1 }), "invalid_request", "topLogprobs"],
      ["an empty completion", () => backend.baseView().logprobs({ text: "God" }, ""), "invalid_request", "completion"],
      ["an empty text", () => backend.baseView().rollingLogprobs(""), "invalid_request", "text"],
      [
        "a text beyond the context",
        () => backend.baseView().rollingLogprobs("God ".repeat(300)),
        "prompt_too_long",
        "text",
      ],
      ["no next tokens", () => backend.baseView().nextToken({ text: "God" }, { topK: 0 }), "invalid_request", "topK"],
    ] as const
  ) {
    it(`is refused by the name of its field: ${what}`, () => assert.rejects(ask, refused(code, parameter)));
  }

  it("says how long the context is and what was asked for", async () => {
    await assert.rejects(generate({ maxTokens: 252 }), /holds 256 tokens: 5 in prompt and 252 for the answer/);
  });

  it("leaves the model as it was", async () => {
    assert.deepEqual((await collect(backend.baseView(), greedy({}))).ids, cases[0]!.base.greedy_ids);
  });

  it("is a RangeError at once for a scale that is not a number", () => {
    assert.throws(() => backend.adapterView(adapter, { scale: NaN }), RangeError);
  });
});
