/** OpenAI's responses as they are streamed: a last event that says everything, and the events before it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { JsonObject } from "../../../src/cache/json.ts";
import { responses } from "../../../src/cache/stream/responses.ts";
import { assembled, dataEvents, Maker, openaiFor, responseAnswer, typedEvents } from "./support.ts";

const MESSAGE = {
  id: "msg_1",
  type: "message",
  role: "assistant",
  status: "completed",
  content: [{ type: "output_text", text: "Hi", annotations: [], logprobs: [] }],
};
const RESPONSE = { id: "resp_1", object: "response", status: "completed", error: null, output: [MESSAGE], usage: null };
const BEGUN = { ...RESPONSE, status: "in_progress", output: [] };
const CREATED = { type: "response.created", sequence_number: 0, response: BEGUN };
const DELTA = { type: "response.output_text.delta", item_id: "msg_1", output_index: 0, content_index: 0, delta: "Hi" };

describe("a response, assembled", () => {
  it("is what the last event carries", () => {
    const events = typedEvents(CREATED, DELTA, { type: "response.completed", response: RESPONSE });
    assert.deepEqual(assembled(responses, events).answer(), RESPONSE);
  });

  it("may be incomplete: that is how it ended", () => {
    const cut = { ...RESPONSE, status: "incomplete", incomplete_details: { reason: "max_output_tokens" } };
    const assembler = assembled(responses, typedEvents(CREATED, { type: "response.incomplete", response: cut }));
    assert.equal(assembler.isComplete, true);
    assert.deepEqual(assembler.answer(), cut);
  });

  it("is told by the data alone where events have no name, and by the name where data has no type", () => {
    const last = { response: RESPONSE };
    assert.ok(assembled(responses, dataEvents({ type: "response.completed", ...last })).isComplete);
    assert.ok(assembled(responses, [{ event: "response.completed", data: JSON.stringify(last) }]).isComplete);
  });

  it("has the items of the events before, where the last one leaves them out", () => {
    const second = { ...MESSAGE, id: "msg_2" };
    const done = typedEvents(
      { type: "response.output_item.done", output_index: 1, item: second },
      { type: "response.output_item.done", output_index: 0, item: MESSAGE },
    );
    const { output: _, ...without } = RESPONSE;
    for (const response of [{ ...RESPONSE, output: [] }, { ...RESPONSE, output: null }, without]) {
      const events = [...done, ...typedEvents({ type: "response.completed", response })];
      assert.deepEqual(assembled(responses, events).answer(), { ...RESPONSE, output: [MESSAGE, second] });
    }
  });

  it("does not mind events that nobody here knows", () => {
    const events = typedEvents(
      { type: "keepalive", sequence_number: 3 },
      { type: "response.something.new", payload: 1 },
      { type: "response.completed", response: RESPONSE },
    );
    assert.deepEqual(assembled(responses, [...events, { data: "[DONE]" }]).answer(), RESPONSE);
  });
});

describe("a response's stream", () => {
  it("is a failure in the provider's words when the response failed", () => {
    const failed = { ...BEGUN, status: "failed", error: { code: "server_error", message: "The model broke" } };
    const { failure } = assembled(responses, typedEvents(CREATED, { type: "response.failed", response: failed }));
    assert.equal(failure, "The model broke");
  });

  it("is a failure when the response was cancelled", () => {
    const cancelled = typedEvents({ type: "response.cancelled", response: { ...BEGUN, status: "cancelled" } });
    assert.equal(assembled(responses, cancelled).failure, "response.cancelled");
  });

  it("is a failure when there is an error event", () => {
    const events = typedEvents(CREATED, { type: "error", code: "rate_limit", message: "Slow down", param: null });
    assert.equal(assembled(responses, events).failure, "Slow down");
  });

  it("is a failure when events are not of the protocol", () => {
    const chat = { object: "chat.completion.chunk", choices: [{ index: 0, delta: {}, finish_reason: "stop" }] };
    assert.match(assembled(responses, dataEvents(chat)).failure!, /no type/);
    assert.match(assembled(responses, typedEvents({ type: "response.completed" })).failure!, /carries the response/);
  });

  it("is not complete when it ends before its last event", () => {
    const done = { type: "response.output_item.done", output_index: 0, item: MESSAGE };
    const assembler = assembled(responses, typedEvents(CREATED, DELTA, done));
    assert.equal(assembler.isComplete, false);
    assert.equal(assembler.failure, undefined);
    assert.equal(assembler.answer(), undefined);
  });
});

describe("a response, disassembled", () => {
  const eventsOf = (answer: JsonObject): JsonObject[] =>
    responses.disassemble(answer, { includeUsage: false }).map(({ event, data }) => {
      const parsed = JSON.parse(data);
      assert.equal(parsed.type, event);
      return parsed;
    });
  const typesOf = (item: JsonObject): unknown[] =>
    eventsOf({ ...RESPONSE, output: [item] }).map(({ type }) => `${type}`.replace("response.", ""));

  it("numbers its events through", () => {
    const numbers = eventsOf(responseAnswer(new Maker(4))).map((event) => event.sequence_number);
    assert.deepEqual(numbers, numbers.map((_, at) => at));
  });

  it("begins without what is not known yet", () => {
    const [created, inProgress] = eventsOf({ ...RESPONSE, usage: { total_tokens: 3 }, output_text: "Hi" });
    assert.deepEqual(created!.response, BEGUN);
    assert.deepEqual(inProgress!.response, BEGUN);
  });

  it("has the whole sequence of a message", () => {
    const part = { type: "output_text", text: "Hi", annotations: [{ type: "url_citation" }], logprobs: [] };
    assert.deepEqual(typesOf({ ...MESSAGE, content: [part, { type: "refusal", refusal: "No" }] }), [
      "created",
      "in_progress",
      "output_item.added",
      "content_part.added",
      "output_text.delta",
      "output_text.annotation.added",
      "output_text.done",
      "content_part.done",
      "content_part.added",
      "refusal.delta",
      "refusal.done",
      "content_part.done",
      "output_item.done",
      "completed",
    ]);
  });

  it("has the whole sequence of a call", () => {
    const types = (stem: string): string[] => [
      "created",
      "in_progress",
      "output_item.added",
      `${stem}.delta`,
      `${stem}.done`,
      "output_item.done",
      "completed",
    ];
    const call = { id: "fc_1", call_id: "c", name: "get", status: "completed" };
    const of = (type: string, rest: JsonObject): unknown[] => typesOf({ ...call, type, ...rest });
    assert.deepEqual(of("function_call", { arguments: "{}" }), types("function_call_arguments"));
    assert.deepEqual(of("custom_tool_call", { input: "x" }), types("custom_tool_call_input"));
    assert.deepEqual(of("mcp_call", { arguments: "{}" }), types("mcp_call_arguments"));
    assert.deepEqual(of("code_interpreter_call", { code: "1" }), types("code_interpreter_call_code"));
  });

  it("has the whole sequence of reasoning", () => {
    const summary = [{ type: "summary_text", text: "Hm" }];
    const content = [{ type: "reasoning_text", text: "So" }];
    assert.deepEqual(typesOf({ id: "rs_1", type: "reasoning", summary, content }).slice(2, -1), [
      "output_item.added",
      "reasoning_summary_part.added",
      "reasoning_summary_text.delta",
      "reasoning_summary_text.done",
      "reasoning_summary_part.done",
      "content_part.added",
      "reasoning_text.delta",
      "reasoning_text.done",
      "content_part.done",
      "output_item.done",
    ]);
  });

  it("ends as the response did", () => {
    for (const status of ["completed", "incomplete", "failed"]) {
      assert.equal(eventsOf({ ...RESPONSE, status }).at(-1)!.type, `response.${status}`);
    }
  });

  it("is refused while the response has not ended", () => {
    for (const status of ["in_progress", "queued", "cancelled"]) {
      assert.throws(() => eventsOf({ ...RESPONSE, status }), { name: "TypeError", message: new RegExp(status) });
    }
  });

  it("is read by the openai client as if OpenAI had sent it", async () => {
    for (let seed = 0; seed < 50; seed++) {
      const answer = responseAnswer(new Maker(seed));
      const client = openaiFor(responses.disassemble(answer, { includeUsage: false }));
      const stream = client.responses.stream({ model: "gpt-4o", input: "Hi" });
      const texts = new Map<string, string>();
      for await (const event of stream) {
        if (event.type !== "response.output_text.delta") continue;
        const place = `${event.output_index}/${event.content_index}`;
        texts.set(place, (texts.get(place) ?? "") + event.delta);
      }
      const final = JSON.parse(JSON.stringify(await stream.finalResponse()));
      assert.equal(final.id, answer.id);
      assert.equal(final.output.length, (answer.output as []).length);
      for (const [at, item] of (answer.output as JsonObject[]).entries()) {
        const parts = item.type === "message" ? item.content as JsonObject[] : [];
        for (const [number, { type, text }] of parts.entries()) {
          if (type === "output_text") assert.equal(texts.get(`${at}/${number}`) ?? "", text);
        }
      }
    }
  });
});
