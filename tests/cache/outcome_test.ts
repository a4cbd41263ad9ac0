import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { classify, worstOutcome } from "../../src/cache/answer/outcome.ts";
import type { Outcome } from "../../src/store/store.ts";

const chat = (message: object, finish_reason: string | null = "stop"): object => ({
  object: "chat.completion",
  choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason }],
});
const completion = (text: string, finish_reason: string | null = "stop"): object => ({
  object: "text_completion",
  choices: [{ index: 0, text, finish_reason }],
});
const message = (content: unknown, stop_reason: string | null = "end_turn"): object => ({
  type: "message",
  content,
  stop_reason,
});
const response = (rest: object): object => ({
  object: "response",
  status: "completed",
  error: null,
  incomplete_details: null,
  output: [{ type: "message", content: [{ type: "output_text", text: "hi" }] }],
  ...rest,
});
const gemini = (parts: object[] | undefined, finishReason?: string): object => ({
  candidates: [{ content: { role: "model", parts }, finishReason, index: 0 }],
  modelVersion: "gemini-2.5-flash",
});
const says = [{ type: "text", text: "hi" }];

/** A result of one of the AI SDK's models. */
const result = (content: object[], unified: string): object => ({
  content,
  finishReason: { unified, raw: "raw" },
  usage: {},
  warnings: [],
});

describe("classify", () => {
  const cases: [what: string, answer: unknown, outcome: Outcome][] = [
    ["chat that ended", chat({ content: "hi" }), "stop"],
    ["chat cut short", chat({ content: "hi" }, "length"), "length"],
    ["chat that calls tools", chat({ content: null, tool_calls: [{ id: "1" }] }, "tool_calls"), "tool_calls"],
    [
      "chat that calls a function",
      chat({ content: null, function_call: { name: "f" } }, "function_call"),
      "tool_calls",
    ],
    ["chat that refused", chat({ content: null, refusal: "No." }), "refusal"],
    ["chat filtered after some text", chat({ content: "hi" }, "content_filter"), "content_filter"],
    ["chat filtered whole", chat({ content: "" }, "content_filter"), "content_filter"],
    ["chat that said nothing", chat({ content: "" }), "empty"],
    ["chat that said null", chat({ content: null }), "empty"],
    ["chat that said nothing until it was cut", chat({ content: "" }, "length"), "empty"],
    ["chat that only thought until it was cut", chat({ content: "", reasoning_content: "hm" }, "length"), "length"],
    ["chat that claims tool calls without any", chat({ content: null, tool_calls: [] }, "tool_calls"), "empty"],
    ["chat that answered in sound", chat({ content: null, audio: { data: "" } }), "stop"],
    ["chat that answered in pictures", chat({ content: "", images: [{ type: "image_url" }] }), "stop"],
    ["chat without a reason", chat({ content: "hi" }, null), "stop"],
    ["chat with a reason of the server's own", chat({ content: "hi" }, "eos_token"), "stop"],
    ["chat that failed on the way", chat({ content: "h" }, "error"), "error"],
    ["an error in a choice", { choices: [{ error: { code: 502 }, message: { content: "" } }] }, "error"],
    ["no choices", { choices: [] }, "empty"],
    ["choices that are no list", { choices: "two" }, "invalid"],
    ["choices that are no objects", { choices: ["a"] }, "invalid"],
    ["a completion", completion("hi"), "stop"],
    ["a completion cut short", completion("hi", "length"), "length"],
    ["a completion of nothing", completion(""), "empty"],
    ["a completion of a space", completion(" "), "stop"],
    ["a message", message(says), "stop"],
    ["a message that met a stop text", message(says, "stop_sequence"), "stop"],
    ["a message cut short", message(says, "max_tokens"), "length"],
    ["a message out of context", message(says, "model_context_window_exceeded"), "length"],
    ["a message that uses a tool", message([{ type: "tool_use", id: "1" }], "tool_use"), "tool_calls"],
    ["a message that refused", message([], "refusal"), "refusal"],
    ["a message of nothing", message([]), "empty"],
    ["a message of an empty text", message([{ type: "text", text: "" }]), "empty"],
    ["a message without content", message(undefined), "invalid"],
    ["Anthropic's error", { type: "error", error: { type: "overloaded_error" } }, "error"],
    ["a response", response({}), "stop"],
    ["a response that calls", response({ output: [{ type: "function_call", name: "f" }] }), "tool_calls"],
    ["a response that refused", response({ output: [{ type: "message", content: [{ type: "refusal" }] }] }), "refusal"],
    ["a response cut short", response({ incomplete_details: { reason: "max_output_tokens" } }), "length"],
    [
      "a response filtered",
      response({ incomplete_details: { reason: "content_filter" }, output: [] }),
      "content_filter",
    ],
    ["a response that failed", response({ status: "failed", error: { code: "server_error" } }), "error"],
    ["a response that was cancelled", response({ status: "cancelled" }), "error"],
    ["a response not there yet", response({ status: "in_progress" }), "invalid"],
    ["a response of nothing", response({ output: [] }), "empty"],
    [
      "a response of an empty text",
      response({ output: [{ type: "message", content: [{ type: "output_text", text: "" }] }] }),
      "empty",
    ],
    ["a response of a message without parts", response({ output: [{ type: "message", content: [] }] }), "empty"],
    ["a response that only thought until it was cut", {
      ...response({ output: [{ type: "reasoning", summary: [] }] }),
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
    }, "length"],
    ["a response cut short for no reason given", response({ status: "incomplete" }), "length"],
    ["Gemini that ended", gemini([{ text: "hi" }], "STOP"), "stop"],
    ["Gemini cut short", gemini([{ text: "hi" }], "MAX_TOKENS"), "length"],
    ["Gemini that thought until it was cut", gemini(undefined, "MAX_TOKENS"), "empty"],
    ["Gemini that calls", gemini([{ functionCall: { name: "f", args: {} } }], "STOP"), "tool_calls"],
    ["Gemini that said nothing", gemini([{ text: "" }], "STOP"), "empty"],
    ["Gemini that stopped for safety", gemini(undefined, "SAFETY"), "content_filter"],
    ["Gemini that would have recited", gemini([{ text: "hi" }], "RECITATION"), "content_filter"],
    ["Gemini whose call was malformed", gemini(undefined, "MALFORMED_FUNCTION_CALL"), "empty"],
    ["Gemini that blocked the prompt", { promptFeedback: { blockReason: "SAFETY" } }, "content_filter"],
    ["Gemini without candidates", { candidates: [], modelVersion: "gemini-2.5-flash" }, "empty"],
    ["Gemini whose candidates are no list", { candidates: "two" }, "invalid"],
    ["Gemini whose call is of no tool", gemini([{ text: "hi" }], "UNEXPECTED_TOOL_CALL"), "invalid"],
    ["a model's result that ended", result([{ type: "text", text: "hi" }], "stop"), "stop"],
    ["a model's result that was cut short", result([{ type: "text", text: "hi" }], "length"), "length"],
    ["a model's result that calls", result([{ type: "tool-call" }], "tool-calls"), "tool_calls"],
    ["a model's result that was filtered", result([], "content-filter"), "content_filter"],
    ["a model's result that is a failure", result([{ type: "text", text: "hi" }], "error"), "error"],
    ["a model's result that broke off", result([{ type: "text", text: "hi" }], "interrupted"), "error"],
    ["a model's result for another reason", result([{ type: "text", text: "hi" }], "other"), "stop"],
    ["a model's result that says nothing", result([{ type: "text", text: "" }], "stop"), "empty"],
    ["a model's result without content", { finishReason: { unified: "stop" } }, "invalid"],
    ["a self-hosted server's error", { object: "error", message: "no such model", code: 404 }, "error"],
    ["an error with status 200", { error: { message: "quota", code: 429 } }, "error"],
    ["an error as text", { error: "quota" }, "error"],
    ["an error of null, which is none", { error: null, answer: 1 }, "stop"],
    ["a shape nobody here knows", { predictions: [1, 2] }, "stop"],
    ["an empty object", {}, "empty"],
    ["a list", [{ generated_text: "hi" }], "stop"],
    ["an empty list", [], "empty"],
    ["a text", "hi", "invalid"],
    ["a number", 1, "invalid"],
    ["null", null, "invalid"],
    ["nothing", undefined, "invalid"],
  ];
  for (const [what, answer, outcome] of cases) it(`${what}: ${outcome}`, () => assert.equal(classify(answer), outcome));

  it("gives several choices the worst of their outcomes", () => {
    const choices = [
      { message: { content: "hi" }, finish_reason: "stop" },
      { message: { content: "hi" }, finish_reason: "length" },
    ];
    assert.equal(classify({ choices }), "length");
    assert.equal(classify({ choices: [...choices, { message: { content: "" }, finish_reason: "stop" }] }), "empty");
  });
});

describe("worstOutcome", () => {
  it("names the worst, whatever the order", () => {
    assert.equal(worstOutcome(["stop", "tool_calls"]), "tool_calls");
    assert.equal(worstOutcome(["length", "error", "stop"]), "error");
    assert.equal(worstOutcome(["stop"]), "stop");
  });
});
