/**
 * Reads the raw text of a request. Once parsed, a body no longer shows what its text had: a name given twice, or an
 * integer that a double cannot hold. Two texts that mean different things to the provider would then share a key.
 *
 * @module
 */

import { MAX_DEPTH } from "./canonical.ts";

/** A parsed request, and whether its key would be safe. */
export interface ParsedRequest {
  readonly body: unknown;
  /** Why the text must not be keyed: it has to bypass the cache. Absent when it may be keyed. */
  readonly unkeyable?: string;
}

/**
 * Parses JSON text (RFC 8259). A body without `unkeyable` has canonical JSON.
 *
 * Unkeyable are: a name twice in one object (after unescaping), an integer beyond 2^53 - 1 in any notation, a number
 * that overflows or underflows, a lone surrogate, nesting deeper than {@link MAX_DEPTH}, and what the engine misreads.
 *
 * @throws SyntaxError with the position (in UTF-16 code units) when the text is not JSON.
 */
export function parseRequest(text: string): ParsedRequest {
  const { unkeyable, names, escaped } = new Scanner(text).scan();
  if (unkeyable !== undefined) return { body: JSON.parse(text), unkeyable };
  if (!escaped) return { body: JSON.parse(text) };
  // V8 may take an escaped name for one it met before in that place: https://github.com/nodejs/node/issues/63785
  const unseen = Map.groupBy(names, (name) => name);
  const body: unknown = JSON.parse(text, function (name, value) {
    if (!Array.isArray(this)) unseen.get(name)?.pop();
    return value;
  });
  const misread = [...unseen].find(([, names]) => names.length > 0)?.[0];
  return misread === undefined ? { body } : { body, unkeyable: `the name ${brief(misread)} was misread` };
}

/** Enough of a name to find it. */
function brief(name: string): string {
  return JSON.stringify(name.slice(0, 40));
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LITERAL = /true|false|null/y;
const SPACE = /[ \t\n\r]*/y;
// Everything but quotes, backslashes and control characters.
const PLAIN = /[ !#-[\]-\uffff]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/** Walks the grammar with its own stack, so that no text can overflow the caller's. */
class Scanner {
  readonly #text: string;
  #at = 0;
  /** What is open: the names seen in an object, `null` for an array. */
  readonly #open: (Set<string> | null)[] = [];
  /** Every name of every object. */
  readonly #names: string[] = [];
  #escaped = false;
  #unkeyable: string | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  /** The first reason against keying the text, if any; all its names, and whether one was written with an escape. */
  scan(): { unkeyable: string | undefined; names: readonly string[]; escaped: boolean } {
    if (!this.#text.isWellFormed()) this.#refuse("a lone surrogate");
    do this.#value(); while (this.#next());
    return { unkeyable: this.#unkeyable, names: this.#names, escaped: this.#escaped };
  }

  /** Passes what may start a value, up to its first scalar or empty composite. */
  #value(): void {
    for (;;) {
      const first = this.#peek();
      if (first === "{") {
        if (!this.#enter(new Set(), "}")) return;
        this.#name();
      } else if (first === "[") {
        if (!this.#enter(null, "]")) return;
      } else {
        return this.#scalar(first);
      }
    }
  }

  /** Passes what may follow a value; `true` when another value has to come. */
  #next(): boolean {
    for (let names; (names = this.#open.at(-1)) !== undefined; this.#open.pop()) {
      const following = this.#peek();
      if (following !== "," && following !== (names === null ? "]" : "}")) this.#fail();
      this.#at++;
      if (following !== ",") continue;
      if (names !== null) this.#name();
      return true;
    }
    if (this.#peek() !== "") this.#fail();
    return false;
  }

  /** Passes an opening bracket; `false` when the composite was empty and is closed again. */
  #enter(names: Set<string> | null, closing: string): boolean {
    if (this.#open.length === MAX_DEPTH) this.#refuse(`nested deeper than ${MAX_DEPTH}`);
    this.#at++;
    const empty = this.#peek() === closing;
    if (empty) this.#at++;
    else this.#open.push(names);
    return !empty;
  }

  #scalar(first: string): void {
    if (first === '"') {
      this.#string();
      return;
    }
    const start = this.#at;
    if (this.#pass(NUMBER)) this.#number(this.#text.slice(start, this.#at));
    else if (!this.#pass(LITERAL)) this.#fail();
  }

  #name(): void {
    if (this.#peek() !== '"') this.#fail();
    const start = this.#at;
    const name = this.#string();
    this.#names.push(name);
    if (this.#at - start !== name.length + 2) this.#escaped = true;
    const names = this.#open.at(-1)!;
    if (names.has(name)) this.#refuse(`the name ${brief(name)} appears twice`);
    names.add(name);
    if (this.#peek() !== ":") this.#fail();
    this.#at++;
  }

  #string(): string {
    const start = this.#at++;
    let escaped = false;
    for (;;) {
      this.#pass(PLAIN);
      const found = this.#text.charAt(this.#at);
      if (found === '"') break;
      if (found !== "\\" || !this.#pass(ESCAPE)) this.#fail();
      escaped = true;
    }
    const quoted = this.#text.slice(start, ++this.#at);
    if (!escaped) return quoted.slice(1, -1);
    const value: string = JSON.parse(quoted);
    if (!value.isWellFormed()) this.#refuse("a lone surrogate");
    return value;
  }

  #number(literal: string): void {
    const value = Number(literal);
    if (!Number.isFinite(value) || (value === 0 && /^[^eE]*[1-9]/.test(literal))) {
      this.#refuse(`the number ${literal.slice(0, 40)} is out of range`);
    } else if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
      this.#refuse(`the integer ${literal.slice(0, 40)} is beyond 2^53 - 1`);
    }
  }

  /** The next character that is not white space; empty at the end. */
  #peek(): string {
    this.#pass(SPACE);
    return this.#text.charAt(this.#at);
  }

  /** Passes what the pattern matches here; `false` when that is nothing. */
  #pass(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    if (!pattern.test(this.#text) || pattern.lastIndex === this.#at) return false;
    this.#at = pattern.lastIndex;
    return true;
  }

  #refuse(reason: string): void {
    this.#unkeyable ??= reason;
  }

  #fail(): never {
    const found = this.#at < this.#text.length ? JSON.stringify(this.#text.charAt(this.#at)) : "end";
    throw new SyntaxError(`Cannot parse the request as JSON: unexpected ${found} at position ${this.#at}`);
  }
}
