/**
 * What chat completions and completions have in common: chunks that repeat a head and bring pieces of numbered choices,
 * in any order, then usage, then `[DONE]`.
 *
 * Not every provider sends `[DONE]`, and some send it when their own upstream broke off. So an answer is complete when
 * each choice has its `finish_reason`: all that were asked for, or, after `[DONE]`, all that came.
 *
 * @module
 */

import { isJsonObject, type JsonObject } from "../json.ts";
import { type Assembly, END_MARK, errorWords, type Expected } from "./assembler.ts";
import { replaceMembers } from "./merge.ts";
import type { StreamWishes } from "./protocol.ts";
import type { SseEvent } from "./sse.ts";

/** What is particular about the choices of a protocol. */
export interface ChoiceForm {
  /** Adds a piece to a choice. */
  add(choice: JsonObject, piece: JsonObject): void;
  /** The choice as an answer has it. */
  finish(choice: JsonObject): JsonObject;
}

/** Puts chunks with `choices` together. */
export class ChoiceAssembly implements Assembly {
  readonly #form: ChoiceForm;
  readonly #expected: number;
  readonly #head: JsonObject = {};
  readonly #choices = new Map<number, JsonObject>();
  #hasEnded = false;

  /** For choices of one form. */
  constructor(form: ChoiceForm, { samples, prompts }: Expected) {
    this.#form = form;
    this.#expected = samples * prompts;
  }

  get isComplete(): boolean {
    const enough = this.#hasEnded ? 1 : this.#expected;
    return this.#choices.size >= enough && [...this.#choices.values()].every(isFinished);
  }

  add(chunk: JsonObject): void {
    // Padding against eavesdroppers on packet lengths; it belongs to the stream, not to the answer.
    const { choices, obfuscation: _, ...head } = chunk;
    if (!Array.isArray(choices) && !isJsonObject(head.usage)) {
      throw new TypeError("Cannot put a stream together: a chunk has neither choices nor usage");
    }
    replaceMembers(this.#head, head);
    if (Array.isArray(choices)) { for (const piece of choices) this.#addPiece(piece); }
  }

  end(): void {
    this.#hasEnded = true;
    if (this.isComplete) return;
    throw new TypeError("Cannot put a stream together: it ended before its choices had a finish_reason");
  }

  answer(): JsonObject {
    const { usage, ...head } = this.#head;
    const inOrder = [...this.#choices].toSorted(([one], [other]) => one - other);
    const bill = [usage, isJsonObject(head.x_groq) ? head.x_groq.usage : undefined].find(isJsonObject);
    return { ...head, choices: inOrder.map(([, choice]) => this.#form.finish(choice)), ...(bill && { usage: bill }) };
  }

  #addPiece(piece: unknown): void {
    if (!isJsonObject(piece)) throw new TypeError("Cannot put a stream together: a choice is no object");
    if (isJsonObject(piece.error)) throw new Error(errorWords(piece.error));
    const index = this.#indexOf(piece);
    let choice = this.#choices.get(index);
    if (choice === undefined) this.#choices.set(index, choice = { index });
    this.#form.add(choice, piece);
  }

  #indexOf({ index }: JsonObject): number {
    if (index === undefined && this.#expected === 1) return 0;
    if (Number.isSafeInteger(index) && (index as number) >= 0) return index as number;
    throw new TypeError("Cannot put a stream together: a choice has no index");
  }
}

function isFinished({ finish_reason: reason }: JsonObject): boolean {
  return typeof reason === "string" && reason !== "";
}

// What each chunk says; anything else of the head is said once.
const IN_EACH_CHUNK = ["id", "object", "created", "model", "system_fingerprint", "service_tier"];

/** Writes the chunks of an answer. */
export class ChunkWriter {
  /** The events so far. */
  readonly events: SseEvent[] = [];
  readonly #usage: JsonObject | undefined;
  readonly #each: JsonObject;
  #head: JsonObject;

  /** @param head The answer without its choices. */
  constructor({ usage, ...head }: JsonObject, { includeUsage }: StreamWishes) {
    this.#usage = includeUsage && isJsonObject(usage) ? usage : undefined;
    this.#head = head;
    this.#each = Object.fromEntries(Object.entries(head).filter(([name]) => IN_EACH_CHUNK.includes(name)));
  }

  /** A chunk with a piece of one choice. */
  write(choice: JsonObject): void {
    // Who wishes for the usage gets `null` until it is known.
    this.#event({ ...this.#head, choices: [choice], ...(this.#usage && { usage: null }) });
    this.#head = this.#each;
  }

  /** The last events: the usage, where it is wished for, and the end mark. */
  end(): SseEvent[] {
    if (this.#usage) this.#event({ ...this.#head, choices: [], usage: this.#usage });
    this.events.push({ data: END_MARK });
    return this.events;
  }

  #event(chunk: JsonObject): void {
    this.events.push({ data: JSON.stringify(chunk) });
  }
}

/**
 * The choices of an answer.
 *
 * @throws TypeError when it has none.
 */
export function choicesOf(answer: JsonObject): JsonObject[] {
  const { choices } = answer;
  if (Array.isArray(choices) && choices.length > 0 && choices.every(isJsonObject)) return choices;
  throw new TypeError("Cannot make a stream of an answer (it has to have choices): there are none");
}

/** Drops the chunk that has nothing but the usage where the usage is not wished for. */
export function trimUsage({ data }: SseEvent, { includeUsage }: StreamWishes): boolean {
  if (includeUsage || !data.includes('"usage"')) return true;
  const chunk: unknown = data === END_MARK ? undefined : JSON.parse(data);
  return !isJsonObject(chunk) || !isJsonObject(chunk.usage) || !Array.isArray(chunk.choices) ||
    chunk.choices.length > 0;
}

/** The lists in log-probabilities, cut to some of their tokens; `undefined` when nothing is left of them. */
export function cutLists(logprobs: JsonObject, from: number, to: number): JsonObject | undefined {
  const lists = Object.entries(logprobs).filter(([, list]) => Array.isArray(list)) as [string, unknown[]][];
  const cut = lists.map(([name, list]) => [name, list.slice(from, to)] as const);
  return cut.some(([, list]) => list.length > 0) ? Object.fromEntries(cut) : undefined;
}

/** Log-probabilities before the first token. */
export function emptyLists(logprobs: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(logprobs).map(([name, value]) => [name, Array.isArray(value) ? [] : value]),
  );
}
