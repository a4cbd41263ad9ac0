/**
 * Streams of language models as the AI SDK's providers give them: parts of its interface, version 4
 * (`LanguageModelV4StreamPart`, https://ai-sdk.dev/docs/ai-sdk-core/provider-management), each as JSON. The SDK has its
 * own form for the same answer that did not come as a stream (`LanguageModelV4GenerateResult`); that is the answer here.
 *
 * A part of a type that is not known makes the stream a failure: nobody could say whether it belongs to the answer.
 *
 * @module
 */

import { isJsonObject, type JsonObject } from "../json.ts";
import { assemblerOf, type Assembly } from "./assembler.ts";
import { replaceMembers } from "./merge.ts";
import { piecesOf } from "./pieces.ts";
import type { StreamProtocol } from "./protocol.ts";
import type { SseEvent } from "./sse.ts";

/** The protocol of language models. */
export const languageModel: StreamProtocol = {
  ending: "event",
  assembler: () => assemblerOf(new ResultAssembly()),
  disassemble: write,
};

/** Parts that are content as they are. */
const WHOLE: ReadonlySet<unknown> = new Set([
  "tool-call",
  "tool-result",
  "tool-approval-request",
  "custom",
  "file",
  "reasoning-file",
  "source",
]);

/** Parts that tell how something comes, and not what: it comes whole as well. */
const PASSING: ReadonlySet<unknown> = new Set([
  "tool-input-start",
  "tool-input-delta",
  "tool-input-end",
  "ping",
  "raw",
]);

class ResultAssembly implements Assembly {
  readonly #content: JsonObject[] = [];
  /** Texts and thoughts that are being written, by kind and id. */
  readonly #open = new Map<string, JsonObject>();
  readonly #response: JsonObject = {};
  #warnings: unknown = [];
  #finish: JsonObject | undefined;

  get isComplete(): boolean {
    return this.#finish !== undefined;
  }

  add(part: JsonObject, type: string | undefined): void {
    if (this.#finish !== undefined) return;
    const { type: _, id, delta, ...rest } = part;
    switch (type) {
      case "stream-start":
        this.#warnings = part.warnings;
        return;
      case "response-metadata":
        return replaceMembers(this.#response, id === undefined ? rest : { id, ...rest });
      case "text-start":
      case "reasoning-start":
        return this.#start(type.slice(0, -"-start".length), id, rest);
      case "text-delta":
      case "reasoning-delta":
        return this.#write(type.slice(0, -"-delta".length), id, delta, rest);
      case "text-end":
      case "reasoning-end":
        return this.#end(type.slice(0, -"-end".length), id, rest);
      case "finish":
        return this.#conclude(rest);
      default:
        if (WHOLE.has(type)) this.#content.push(part);
        else if (!PASSING.has(type)) refuse(`a part is of an unknown type: ${String(type)}`);
    }
  }

  end(): void {
    if (!this.isComplete) refuse("it ended before the model had finished");
  }

  answer(): JsonObject {
    return {
      content: this.#content,
      ...this.#finish,
      ...(Object.keys(this.#response).length > 0 && { response: this.#response }),
      warnings: this.#warnings,
    };
  }

  #start(kind: string, id: unknown, rest: JsonObject): void {
    const name = `${kind} ${String(id)}`;
    if (this.#open.has(name)) return refuse(`${name} starts twice`);
    const begun = { type: kind, text: "", ...rest };
    this.#open.set(name, begun);
    this.#content.push(begun);
  }

  #write(kind: string, id: unknown, delta: unknown, rest: JsonObject): void {
    const begun = this.#openPart(kind, id);
    if (typeof delta !== "string") return refuse(`a piece of ${kind} is no text`);
    begun.text = `${begun.text}${delta}`;
    replaceMembers(begun, rest);
  }

  #end(kind: string, id: unknown, rest: JsonObject): void {
    replaceMembers(this.#openPart(kind, id), rest);
    this.#open.delete(`${kind} ${String(id)}`);
  }

  #openPart(kind: string, id: unknown): JsonObject {
    return this.#open.get(`${kind} ${String(id)}`) ?? refuse(`${kind} ${String(id)} was not started`);
  }

  #conclude(finish: JsonObject): void {
    const { unified, raw } = isJsonObject(finish.finishReason) ? finish.finishReason : {};
    if (typeof unified !== "string") return refuse("it ended without a finishReason");
    // What a provider's adapter says that was told nothing by the provider.
    const isCut = unified === "interrupted" || (unified === "other" && typeof raw !== "string");
    if (isCut) return refuse("it ended before the provider gave a reason");
    if (this.#open.size > 0) return refuse(`it ended before ${[...this.#open.keys()][0]} did`);
    this.#finish = finish;
  }
}

function refuse(why: string): never {
  throw new TypeError(`Cannot put a stream together: ${why}`);
}

/** The parts that would have brought an answer. */
function write({ content, response, warnings = [], ...finish }: JsonObject): SseEvent[] {
  if (!Array.isArray(content) || !content.every(isJsonObject) || !isJsonObject(finish.finishReason)) {
    throw new TypeError("Cannot make a stream of an answer (it has to have content and a finishReason): it has not");
  }
  const parts: JsonObject[] = [
    { type: "stream-start", warnings },
    ...(isJsonObject(response) ? [{ type: "response-metadata", ...response }] : []),
    ...content.flatMap((part, index) => partsOf(part, String(index))),
    { type: "finish", ...finish },
  ];
  return parts.map((part) => ({ event: String(part.type), data: JSON.stringify(part) }));
}

function partsOf(part: JsonObject, id: string): JsonObject[] {
  const { type, text, ...rest } = part;
  if ((type === "text" || type === "reasoning") && typeof text === "string") {
    return [
      { type: `${type}-start`, id },
      ...piecesOf(text).map((delta) => ({ type: `${type}-delta`, id, delta })),
      { type: `${type}-end`, id, ...rest },
    ];
  }
  return type === "tool-call" ? [...inputOf(part), part] : [part];
}

/** A tool's input as it is written, which some displays show while it comes. */
function inputOf({ toolCallId, toolName, input, providerExecuted, dynamic }: JsonObject): JsonObject[] {
  if (typeof toolCallId !== "string" || typeof input !== "string") return [];
  const how = {
    ...(providerExecuted !== undefined && { providerExecuted }),
    ...(dynamic !== undefined && { dynamic }),
  };
  return [
    { type: "tool-input-start", id: toolCallId, toolName, ...how },
    ...piecesOf(input).map((delta) => ({ type: "tool-input-delta", id: toolCallId, delta })),
    { type: "tool-input-end", id: toolCallId },
  ];
}
