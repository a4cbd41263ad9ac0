/**
 * Reads the members of one long JSON object or list without holding all of it: a bin of tens of megabytes comes in pieces,
 * and each member is given out as soon as its last byte is there. What is between the members is checked here, what is in
 * them by whoever parses them.
 *
 * @see https://www.rfc-editor.org/rfc/rfc8259
 * @module
 */

import { decodeText } from "../../cache/json.ts";
import { nextTurn } from "../../cache/flow/turns.ts";
import type { Runtime } from "../../runtime/runtime.ts";

/** A member as it stands in the text. */
export interface JsonMember {
  /** Its name; absent in a list. */
  readonly name: string | undefined;
  /** Its JSON text; `undefined` for one that is longer than {@link LONGEST_MEMBER} and was passed over. */
  readonly text: string | undefined;
}

/** The text is not the JSON that it should be, or ends before its end. */
export class TornJsonError extends Error {
  override readonly name = "TornJsonError";
}

/** Bytes of one member that are taken into memory at most. */
export const LONGEST_MEMBER: number = 64 * 1024 * 1024;
const CHUNK = 256 * 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;

type State = "container" | "first" | "name" | "colon" | "value" | "more" | "rest" | "end";

/** Takes bytes and gives members. */
export class JsonMembers {
  readonly #under: string | undefined;
  #state: State = "container";
  /** Inside the member that was asked for, if one was. */
  #isWithin: boolean;
  #isList = false;
  #name: string | undefined;
  /** What is being read, a name or a value, so far. */
  #parts: Uint8Array[] = [];
  #length = 0;
  #isReading: "string" | "nested" | "scalar" | undefined;
  #depth = 0;
  #isQuoted = false;
  #isEscaped = false;
  #position = 0;

  /** Of the text's object or list; with `under`, of the object or list that is its member of this name. */
  constructor(under?: string) {
    this.#under = under;
    this.#isWithin = under === undefined;
  }

  /** Whether all was read that was to be read, and it was there. */
  get isComplete(): boolean {
    return this.#isWithin && (this.#state === "end" || this.#state === "rest");
  }

  /**
   * The members whose ends are in these bytes.
   *
   * @throws TornJsonError
   */
  *push(chunk: Uint8Array): Generator<JsonMember> {
    let at = 0;
    while (at < chunk.byteLength) {
      if (this.#isReading !== undefined) {
        const end = this.#endOf(chunk, at);
        if (end === undefined) {
          this.#keep(chunk.subarray(at).slice());
          break;
        }
        this.#keep(chunk.subarray(at, end));
        at = end;
        const member = this.#finish();
        if (member !== undefined) yield member;
        continue;
      }
      if (this.#state === "rest") break;
      const byte = chunk[at]!;
      if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) {
        at++;
        continue;
      }
      if (this.#step(byte, this.#position + at)) at++;
    }
    this.#position += chunk.byteLength;
  }

  /** Deals with a byte between two values; whether it is used up. */
  #step(byte: number, position: number): boolean {
    switch (this.#state) {
      case "container":
        if (byte !== OPEN_OBJECT && (byte !== OPEN_LIST || !this.#isWithin)) throw this.#torn(position);
        this.#isList = byte === OPEN_LIST;
        this.#state = "first";
        return true;
      case "first":
        if (byte === (this.#isList ? CLOSE_LIST : CLOSE_OBJECT)) return this.#close();
        this.#state = this.#isList ? "value" : "name";
        return false;
      case "name":
        if (byte !== QUOTE) throw this.#torn(position);
        this.#begin("string");
        return false;
      case "colon":
        if (byte !== COLON) throw this.#torn(position);
        this.#state = "value";
        return true;
      case "value":
        if (!this.#isWithin && this.#name === this.#under && (byte === OPEN_OBJECT || byte === OPEN_LIST)) {
          this.#isWithin = true;
          this.#state = "container";
          return false;
        }
        this.#begin(byte === QUOTE ? "string" : byte === OPEN_OBJECT || byte === OPEN_LIST ? "nested" : "scalar");
        return false;
      case "more":
        if (byte === COMMA) {
          this.#state = this.#isList ? "value" : "name";
          return true;
        }
        if (byte !== (this.#isList ? CLOSE_LIST : CLOSE_OBJECT)) throw this.#torn(position);
        return this.#close();
      default:
        throw this.#torn(position);
    }
  }

  #close(): true {
    // What follows the members that were asked for is nobody's business.
    this.#state = this.#under !== undefined && this.#isWithin ? "rest" : "end";
    return true;
  }

  #begin(kind: "string" | "nested" | "scalar"): void {
    this.#isReading = kind;
    this.#depth = 0;
    this.#isQuoted = false;
    this.#isEscaped = false;
  }

  /** Where the value that is being read ends in these bytes, if it does. */
  #endOf(chunk: Uint8Array, from: number): number | undefined {
    if (this.#isReading === "scalar") {
      for (let at = from; at < chunk.byteLength; at++) {
        const byte = chunk[at]!;
        if (byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_LIST || byte <= 0x20) return at;
      }
      return undefined;
    }
    for (let at = from; at < chunk.byteLength; at++) {
      const byte = chunk[at]!;
      if (this.#isQuoted) {
        if (this.#isEscaped) this.#isEscaped = false;
        else if (byte === BACKSLASH) this.#isEscaped = true;
        else if (byte === QUOTE) {
          this.#isQuoted = false;
          if (this.#depth === 0) return at + 1;
        }
      } else if (byte === QUOTE) this.#isQuoted = true;
      else if (byte === OPEN_OBJECT || byte === OPEN_LIST) this.#depth++;
      else if ((byte === CLOSE_OBJECT || byte === CLOSE_LIST) && --this.#depth === 0) return at + 1;
    }
    return undefined;
  }

  #keep(bytes: Uint8Array): void {
    this.#length += bytes.byteLength;
    if (this.#length > LONGEST_MEMBER) this.#parts = [];
    else this.#parts.push(bytes);
  }

  /** Ends a name or a value; a value is a member, unless it is beside what was asked for. */
  #finish(): JsonMember | undefined {
    const text = this.#length > LONGEST_MEMBER ? undefined : decodeAll(this.#parts, this.#length);
    this.#parts = [];
    this.#length = 0;
    this.#isReading = undefined;
    if (this.#state === "name") {
      this.#name = text === undefined ? undefined : nameIn(text);
      this.#state = "colon";
      return undefined;
    }
    this.#state = "more";
    return this.#isWithin ? { name: this.#isList ? undefined : this.#name, text } : undefined;
  }

  #torn(position: number): TornJsonError {
    return new TornJsonError(`it is no JSON at byte ${position}`);
  }
}

/**
 * The members in a file, piece by piece.
 *
 * @throws TornJsonError when it is no JSON, or ends before its end; all members before that were given.
 * @throws FileError
 */
export async function* membersOfFile(
  { files, clock }: Runtime,
  path: string,
  under?: string,
): AsyncGenerator<JsonMember> {
  const file = files.open(path, "read");
  try {
    const reader = new JsonMembers(under);
    const buffer = new Uint8Array(CHUNK);
    let position = 0;
    for (;;) {
      const count = file.read(buffer, position);
      if (count === 0) break;
      position += count;
      yield* reader.push(buffer.subarray(0, count));
      await nextTurn(clock);
    }
    if (!reader.isComplete) throw new TornJsonError("it ends in the middle");
  } finally {
    file.close();
  }
}

/**
 * The members of a text, as they stand there.
 *
 * @throws TornJsonError
 */
export function membersOfText(text: string): Map<string, string> {
  const reader = new JsonMembers();
  const members = new Map<string, string>();
  for (const { name, text: value } of reader.push(new TextEncoder().encode(text))) {
    if (name !== undefined && value !== undefined) members.set(name, value);
  }
  if (!reader.isComplete) throw new TornJsonError("it ends in the middle");
  return members;
}

function nameIn(text: string): string {
  try {
    return JSON.parse(text) as string;
  } catch {
    throw new TornJsonError("a name in it is no JSON");
  }
}

function decodeAll(parts: readonly Uint8Array[], length: number): string {
  const [first] = parts;
  try {
    if (parts.length === 1) return decodeText(first!);
    const all = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.byteLength;
    }
    return decodeText(all);
  } catch {
    throw new TornJsonError("it is not in UTF-8");
  }
}
