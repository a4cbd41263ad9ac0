/**
 * Streams of OpenAI's responses (https://platform.openai.com/docs/api-reference/responses-streaming). The last event
 * carries the whole response, so assembling is waiting for it; the work is to make the events that lead up to it.
 *
 * @module
 */

import { isJsonObject, type JsonObject } from "../json.ts";
import { assemblerOf, type Assembly, errorWords } from "./assembler.ts";
import { piecesOf, tokenPiecesOf } from "./pieces.ts";
import type { StreamProtocol } from "./protocol.ts";
import type { SseEvent } from "./sse.ts";

/** The protocol of responses. */
export const responses: StreamProtocol = {
  ending: "event",
  assembler: () => assemblerOf(new ResponseAssembly()),
  disassemble: (answer) => new ResponseWriter(answer).write(),
};

class ResponseAssembly implements Assembly {
  readonly #items = new Map<unknown, unknown>();
  #response: JsonObject | undefined;

  get isComplete(): boolean {
    return this.#response !== undefined;
  }

  add(chunk: JsonObject, type: string | undefined): void {
    switch (type) {
      case undefined:
        throw new TypeError("Cannot put a stream together: an event has no type");
      case "response.output_item.done":
        this.#items.set(chunk.output_index, chunk.item);
        return;
      case "response.completed":
      case "response.incomplete":
        this.#response = responseOf(chunk);
        return;
      case "response.failed":
      case "response.cancelled":
        throw new Error(errorWords(responseOf(chunk).error ?? type));
    }
  }

  end(): void {
    if (this.isComplete) return;
    throw new TypeError("Cannot put a stream together: it ended before the response was completed");
  }

  answer(): JsonObject {
    const response = this.#response!;
    const isLeftOut = !Array.isArray(response.output) || response.output.length === 0;
    if (!isLeftOut || this.#items.size === 0) return response;
    // Some leave out of the last event what the others have said.
    const inOrder = [...this.#items].toSorted(([one], [other]) => Number(one) - Number(other));
    return { ...response, output: inOrder.map(([, item]) => item) };
  }
}

function responseOf({ response }: JsonObject): JsonObject {
  if (isJsonObject(response)) return response;
  throw new TypeError("Cannot put a stream together: an event that carries the response does not");
}

// Items in which one text is written, and what the events of its writing are called.
const WRITTEN_ITEMS: ReadonlyMap<unknown, readonly [member: string, events: string]> = new Map([
  ["function_call", ["arguments", "response.function_call_arguments"]],
  ["custom_tool_call", ["input", "response.custom_tool_call_input"]],
  ["mcp_call", ["arguments", "response.mcp_call_arguments"]],
  ["code_interpreter_call", ["code", "response.code_interpreter_call_code"]],
]);

// The same of the parts of an item's content.
const WRITTEN_PARTS: ReadonlyMap<unknown, readonly [member: string, events: string]> = new Map([
  ["output_text", ["text", "response.output_text"]],
  ["refusal", ["refusal", "response.refusal"]],
  ["reasoning_text", ["text", "response.reasoning_text"]],
]);

// How a response with a status ends; one without is taken for completed.
const ENDINGS: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  [undefined, "response.completed"],
  ["completed", "response.completed"],
  ["incomplete", "response.incomplete"],
  ["failed", "response.failed"],
]);

class ResponseWriter {
  readonly #response: JsonObject;
  readonly #events: SseEvent[] = [];

  constructor(response: JsonObject) {
    this.#response = response;
  }

  write(): SseEvent[] {
    const { output, status } = this.#response;
    const ending = ENDINGS.get(status);
    if (ending === undefined || !Array.isArray(output) || !output.every(isJsonObject)) {
      throw new TypeError(
        `Cannot make a stream of a response (it has to have ended, with a list of output): ${JSON.stringify(status)}`,
      );
    }
    const response = this.#begun();
    this.#event("response.created", { response });
    this.#event("response.in_progress", { response });
    for (const [index, item] of output.entries()) this.#item(item, index);
    this.#event(ending, { response: this.#response });
    return this.#events;
  }

  /** The response before its first item. What is not known until the end is absent there or `null`. */
  #begun(): JsonObject {
    // `output_text` is the official clients' own, made from the items.
    const { output_text: _, ...response } = this.#response;
    const unknown = ["usage", "completed_at", "incomplete_details", "error"].filter((name) => name in response);
    return {
      ...response,
      ...Object.fromEntries(unknown.map((name) => [name, null])),
      status: "in_progress",
      output: [],
    };
  }

  #item(item: JsonObject, index: number): void {
    const at = { item_id: item.id ?? "", output_index: index };
    const [member, events] = WRITTEN_ITEMS.get(item.type) ?? [];
    const text = member === undefined ? undefined : item[member];
    const content = Array.isArray(item.content) ? item.content.filter(isJsonObject) : [];
    const summary = Array.isArray(item.summary) ? item.summary.filter(isJsonObject) : [];
    this.#event("response.output_item.added", {
      output_index: index,
      item: {
        ...item,
        ...("status" in item && { status: "in_progress" }),
        ...(Array.isArray(item.content) && { content: [] }),
        ...(Array.isArray(item.summary) && { summary: [] }),
        ...(typeof text === "string" && { [member!]: "" }),
      },
    });
    if (typeof text === "string") {
      for (const delta of piecesOf(text)) this.#event(`${events}.delta`, { ...at, delta });
      const name = item.type === "function_call" && "name" in item ? { name: item.name } : {};
      this.#event(`${events}.done`, { ...at, ...name, [member!]: text });
    }
    for (const [number, part] of summary.entries()) this.#summaryPart(part, { ...at, summary_index: number });
    for (const [number, part] of content.entries()) this.#contentPart(part, { ...at, content_index: number });
    this.#event("response.output_item.done", { output_index: index, item });
  }

  #summaryPart(part: JsonObject, at: JsonObject): void {
    const text = typeof part.text === "string" ? part.text : "";
    this.#event("response.reasoning_summary_part.added", { ...at, part: { ...part, text: "" } });
    for (const delta of piecesOf(text)) this.#event("response.reasoning_summary_text.delta", { ...at, delta });
    this.#event("response.reasoning_summary_text.done", { ...at, text });
    this.#event("response.reasoning_summary_part.done", { ...at, part });
  }

  #contentPart(part: JsonObject, at: JsonObject): void {
    const [member, events] = WRITTEN_PARTS.get(part.type) ?? [];
    const text = member === undefined ? undefined : part[member];
    if (member === undefined || typeof text !== "string") {
      this.#event("response.content_part.added", { ...at, part });
    } else {
      const lists = Object.entries(part).filter(([, value]) => Array.isArray(value)).map(([name]) => [name, []]);
      this.#event("response.content_part.added", {
        ...at,
        part: { ...part, ...Object.fromEntries(lists), [member]: "" },
      });
      this.#writtenPart(part, text, `${events}`, at);
      const known = part.type === "output_text" ? { logprobs: listOf(part.logprobs) } : {};
      this.#event(`${events}.done`, { ...at, [member]: text, ...known });
    }
    this.#event("response.content_part.done", { ...at, part });
  }

  #writtenPart(part: JsonObject, text: string, events: string, at: JsonObject): void {
    const logprobs = listOf(part.logprobs);
    const tokens = logprobs.map((entry) => isJsonObject(entry) ? entry.token : undefined);
    for (const { text: delta, from, to } of tokenPiecesOf(text, tokens)) {
      const known = part.type === "output_text" ? { logprobs: logprobs.slice(from, to) } : {};
      this.#event(`${events}.delta`, { ...at, delta, ...known });
    }
    for (const [number, annotation] of listOf(part.annotations).entries()) {
      this.#event(`${events}.annotation.added`, { ...at, annotation_index: number, annotation });
    }
  }

  #event(type: string, members: JsonObject): void {
    const sequence = { type, sequence_number: this.#events.length };
    this.#events.push({ event: type, data: JSON.stringify({ ...sequence, ...members }) });
  }
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
