/**
 * Python's way to write plain data, read and written. LangChain's and LiteLLM's keys are made of it.
 *
 * @see https://docs.python.org/3/reference/lexical_analysis.html#literals
 * @module
 */

/** Data that Python and JSON have in common; a tuple is read as a list. */
export type Literal = null | boolean | number | string | Literal[] | { [name: string]: Literal };

/** The text is no literal of plain data. */
export class LiteralError extends Error {
  override readonly name = "LiteralError";
}

const DEEPEST = 64;
const ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\",
  "'": "'",
  '"': '"',
  n: "\n",
  r: "\r",
  t: "\t",
};
const CONSTANTS: Readonly<Record<string, Literal>> = { None: null, True: true, False: false };

/**
 * The value of a text as `repr` writes it.
 *
 * @throws LiteralError for anything else: names, calls, objects.
 */
export function readLiteral(text: string): Literal {
  const reader = new LiteralReader(text);
  const value = reader.value(0);
  reader.end();
  return value;
}

class LiteralReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  end(): void {
    if (this.#at !== this.#text.length) throw this.#odd();
  }

  value(depth: number): Literal {
    if (depth > DEEPEST) throw new LiteralError("it is nested too deeply");
    const character = this.#text[this.#at];
    if (character === "'" || character === '"') return this.#string(character);
    if (character === "[") return this.#list("]", depth);
    if (character === "(") return this.#list(")", depth);
    if (character === "{") return this.#dictionary(depth);
    const word = /[A-Za-z0-9+.-]+/y;
    word.lastIndex = this.#at;
    const [found = ""] = word.exec(this.#text) ?? [];
    this.#at += found.length;
    if (Object.hasOwn(CONSTANTS, found)) return CONSTANTS[found]!;
    if (!/^-?(\d+|\d+\.\d+)(e[+-]?\d+)?$/.test(found)) throw this.#odd();
    const number = Number(found);
    // Another number than the one that is written would be another request.
    if (!/[.e]/.test(found) && !Number.isSafeInteger(number)) throw this.#odd();
    return number;
  }

  #list(end: string, depth: number): Literal[] {
    const list: Literal[] = [];
    this.#at++;
    while (!this.#skip(end)) {
      list.push(this.value(depth + 1));
      if (!this.#skip(", ") && !this.#skip(",") && this.#text[this.#at] !== end) throw this.#odd();
    }
    return list;
  }

  #dictionary(depth: number): Literal {
    const members: [string, Literal][] = [];
    this.#at++;
    while (!this.#skip("}")) {
      const name = this.value(depth + 1);
      if (typeof name !== "string" || !this.#skip(": ")) throw this.#odd();
      members.push([name, this.value(depth + 1)]);
      if (!this.#skip(", ") && this.#text[this.#at] !== "}") throw this.#odd();
    }
    return Object.fromEntries(members);
  }

  #string(quote: string): string {
    const parts: string[] = [];
    for (let from = ++this.#at;;) {
      const character = this.#text[this.#at];
      if (character === undefined) throw this.#odd();
      if (character !== quote && character !== "\\") {
        this.#at++;
        continue;
      }
      parts.push(this.#text.slice(from, this.#at));
      this.#at++;
      if (character === quote) return parts.join("");
      parts.push(this.#escaped());
      from = this.#at;
    }
  }

  #escaped(): string {
    const letter = this.#text[this.#at++] ?? "";
    if (Object.hasOwn(ESCAPES, letter)) return ESCAPES[letter]!;
    const digits = { x: 2, u: 4, U: 8 }[letter];
    const code = digits === undefined ? "" : this.#text.slice(this.#at, this.#at + digits);
    if (digits === undefined || code.length !== digits || !/^[0-9a-f]+$/.test(code)) throw this.#odd();
    this.#at += digits;
    const point = parseInt(code, 16);
    if (point > 0x10ffff) throw this.#odd();
    return String.fromCodePoint(point);
  }

  #skip(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }

  #odd(): LiteralError {
    return new LiteralError(`it is no plain data in Python's notation at character ${this.#at}`);
  }
}

/**
 * A value as Python's `repr` writes what `json.loads` makes of it. `undefined` where that cannot be told: a text with a
 * character that not every version of Python prints, and a number whose kind (`1` or `1.0`) JavaScript does not keep.
 */
export function writeLiteral(value: unknown): string | undefined {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return writeNumber(value);
  if (typeof value === "string") return writeString(value);
  if (Array.isArray(value)) {
    const items = value.map(writeLiteral);
    return items.includes(undefined) ? undefined : `[${items.join(", ")}]`;
  }
  if (typeof value !== "object") return undefined;
  const members = Object.entries(value).map(([name, member]) => {
    const [key, written] = [writeString(name), writeLiteral(member)];
    return key === undefined || written === undefined ? undefined : `${key}: ${written}`;
  });
  return members.includes(undefined) ? undefined : `{${members.join(", ")}}`;
}

/** Python changes to exponents at 1e16 and 1e-4, JavaScript at 1e21 and 1e-6. */
function writeNumber(value: number): string | undefined {
  if (!Number.isFinite(value) || Object.is(value, -0)) return undefined;
  if (Number.isInteger(value)) return Number.isSafeInteger(value) ? String(value) : undefined;
  if (Math.abs(value) >= 1e-4) return String(value);
  const [digits, exponent] = value.toExponential().split("e-");
  return `${digits}e-${exponent!.padStart(2, "0")}`;
}

/** Letters, marks, numbers, punctuation and symbols are printed as they are, controls and other white space escaped. */
const PRINTED = /^[\p{L}\p{M}\p{N}\p{P}\p{S} \n\r\t]*$/u;

function writeString(value: string): string | undefined {
  if (!PRINTED.test(value)) return undefined;
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  const escaped = value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r")
    .replaceAll("\t", "\\t").replaceAll(quote, `\\${quote}`);
  return `${quote}${escaped}${quote}`;
}
