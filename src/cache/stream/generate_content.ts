/**
 * Streams of Gemini's `streamGenerateContent` with `alt=sse` (https://ai.google.dev/api/generate-content). Every chunk
 * is an answer of its own that has the next parts of each candidate; nothing but the end of the connection says which is
 * the last, and some models name a `finishReason` in every one of them.
 *
 * A text goes on in the next part of its kind. A part that has more than its text stays by itself: a `thoughtSignature`
 * is of the part in which it came (https://ai.google.dev/gemini-api/docs/thought-signatures).
 *
 * @module
 */

import { isJsonObject, type JsonObject } from "../json.ts";
import { assemblerOf, type Assembly } from "./assembler.ts";
import { isExact } from "./exact.ts";
import { mergePiece, replaceMembers } from "./merge.ts";
import { piecesOf } from "./pieces.ts";
import type { StreamProtocol } from "./protocol.ts";
import type { SseEvent } from "./sse.ts";

/** The protocol of generateContent. */
export const generateContent: StreamProtocol = {
  ending: "close",
  assembler: () => assemblerOf(new ContentAssembly()),
  disassemble: write,
};

/** Members of a candidate that come in pieces, besides its content; of any other the last one stands. */
const IN_PIECES = ["citationMetadata", "logprobsResult"];

class ContentAssembly implements Assembly {
  readonly #head: JsonObject = {};
  readonly #candidates = new Map<number, JsonObject>();

  get isComplete(): boolean {
    const candidates = [...this.#candidates.values()];
    return candidates.length === 0 ? isBlocked(this.#head) : candidates.every(isFinished);
  }

  add(chunk: JsonObject): void {
    const { candidates, ...head } = chunk;
    if (candidates !== undefined && !Array.isArray(candidates)) return refuse("a chunk's candidates are no list");
    if (candidates === undefined && !isJsonObject(head.promptFeedback) && !isJsonObject(head.usageMetadata)) {
      return refuse("a chunk has neither candidates nor usage");
    }
    replaceMembers(this.#head, head);
    for (const candidate of candidates ?? []) this.#addPiece(candidate);
  }

  end(): void {
    if (!this.isComplete) refuse("it ended before its candidates had a finishReason");
  }

  answer(): JsonObject {
    const inOrder = [...this.#candidates].toSorted(([one], [other]) => one - other).map(([, candidate]) => candidate);
    return { ...(inOrder.length > 0 && { candidates: inOrder }), ...this.#head };
  }

  #addPiece(piece: unknown): void {
    if (!isJsonObject(piece)) return refuse("a candidate is no object");
    const { content, ...rest } = piece;
    const index = rest.index ?? 0;
    if (!Number.isSafeInteger(index)) return refuse("a candidate has no index");
    let candidate = this.#candidates.get(index as number);
    if (candidate === undefined) this.#candidates.set(index as number, candidate = {});
    for (const name of IN_PIECES) {
      if (isJsonObject(rest[name])) mergePiece(candidate, { [name]: rest[name] });
    }
    replaceMembers(candidate, Object.fromEntries(Object.entries(rest).filter(([name]) => !IN_PIECES.includes(name))));
    if (isJsonObject(content)) addContent(candidate, content);
  }
}

function addContent(candidate: JsonObject, { parts, ...rest }: JsonObject): void {
  const content = (candidate.content ??= {}) as JsonObject;
  replaceMembers(content, rest);
  if (!Array.isArray(parts)) return;
  const list = (content.parts ??= []) as JsonObject[];
  for (const part of parts) {
    if (!isJsonObject(part)) return refuse("a part is no object");
    const before = list.at(-1);
    if (before !== undefined && isPlainText(before) && isPlainText(part) && before.thought === part.thought) {
      before.text = `${before.text}${part.text}`;
    } else list.push(checked(part));
  }
}

/** A part as it is, if nothing of it is still to come or has been changed by parsing. */
function checked(part: JsonObject): JsonObject {
  const { functionCall } = part;
  if (isJsonObject(functionCall) && ("partialArgs" in functionCall || "willContinue" in functionCall)) {
    return refuse("a function's arguments come in pieces");
  }
  return isExact(functionCall) ? part : refuse("a function's arguments have an integer beyond 2^53 - 1");
}

function isPlainText(part: JsonObject): boolean {
  return typeof part.text === "string" && Object.keys(part).every((name) => name === "text" || name === "thought");
}

function isFinished({ finishReason }: JsonObject): boolean {
  return typeof finishReason === "string" && finishReason !== "" && finishReason !== "FINISH_REASON_UNSPECIFIED";
}

/** Whether the prompt was refused, so that nothing follows. */
function isBlocked({ promptFeedback }: JsonObject): boolean {
  return isJsonObject(promptFeedback) && typeof promptFeedback.blockReason === "string";
}

function refuse(why: string): never {
  throw new TypeError(`Cannot put a stream together: ${why}`);
}

// What each chunk says; anything else of the head is said at the end.
const IN_EACH_CHUNK = ["responseId", "modelVersion"];

/** The chunks of an answer. The candidates are written side by side, so that none seems finished before the others. */
function write(answer: JsonObject): SseEvent[] {
  const { candidates = [], ...head } = answer;
  const isAnswer = Array.isArray(candidates) && candidates.every(isJsonObject) &&
    (candidates.length > 0 || isBlocked(head));
  if (!isAnswer) {
    throw new TypeError("Cannot make a stream of an answer (it has to have candidates): there are none");
  }
  const each = Object.fromEntries(Object.entries(head).filter(([name]) => IN_EACH_CHUNK.includes(name)));
  const pieces = (candidates as JsonObject[]).map(partsOf);
  const chunks: JsonObject[] = Array.from({ length: Math.max(0, ...pieces.map(({ length }) => length)) }, (_, at) => ({
    candidates: (candidates as JsonObject[]).flatMap((candidate, index) =>
      pieces[index]!.slice(at, at + 1).map((part) => ({
        content: { ...contentOf(candidate), parts: [part] },
        ...("index" in candidate && { index: candidate.index }),
      }))
    ),
    ...each,
  }));
  const last = (candidates as JsonObject[]).map((candidate, index) => ({
    ...candidate,
    ...("content" in candidate && { content: pieces[index]!.length > 0 ? contentOf(candidate) : candidate.content }),
  }));
  chunks.push({ ...(last.length > 0 && { candidates: last }), ...head });
  return chunks.map((chunk) => ({ data: JSON.stringify(chunk) }));
}

/** A candidate's content without its parts. */
function contentOf({ content }: JsonObject): JsonObject {
  const { parts: _, ...rest } = isJsonObject(content) ? content : {};
  return rest;
}

/** A candidate's parts, its texts in pieces. */
function partsOf({ content }: JsonObject): JsonObject[] {
  const parts = isJsonObject(content) && Array.isArray(content.parts) ? content.parts : [];
  return parts.flatMap((part) => {
    if (!isJsonObject(part) || !isExact(part.functionCall)) {
      throw new TypeError("Cannot make a stream of an answer (its parts are objects, its integers below 2^53): not so");
    }
    if (!isPlainText(part) || part.text === "") return [part];
    return piecesOf(part.text as string).map((text) => ({ ...part, text }));
  });
}
