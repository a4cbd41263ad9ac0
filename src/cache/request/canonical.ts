/**
 * Canonical JSON (RFC 8785), so that two requests that mean the same have the same bytes and so the same key. It writes
 * what `JSON.stringify` would send, and refuses what that would silently change: an answer stored under a request that
 * was never sent is a wrong answer.
 *
 * @module
 */

/** Objects and arrays inside each other, at most. */
export const MAX_DEPTH = 512;

/** UTF-16 code units in all texts of a value together, at most: writing more would keep everybody else waiting. */
export const MAX_LENGTH: number = 64 * 1024 * 1024;

/** Names of one object. */
const FEW_NAMES = 16;

/** UTF-16 code units of a text that is looked at before it is quoted: most are names, and as they are. */
const SHORT = 48;
const PLAIN = /^[ !#-[\]-~]*$/;

/** The value is larger than {@link MAX_LENGTH}. */
export class TooLongError extends Error {
  override readonly name = "TooLongError";
}

/**
 * The value names a file, whose content has to stand in its place. Where there were none before, the caller has changed
 * the value meanwhile.
 */
export class NamesFileError extends TypeError {
  override readonly name = "NamesFileError";
}

/** Where the writer is: the names on the way down, and the objects they lead through. */
interface Trail {
  readonly names: (string | number)[];
  readonly ancestors: object[];
  readonly refusesFiles: boolean;
  /** How much was written so far, names and texts only. */
  length: number;
}

/**
 * The canonical JSON of a value: names sorted by UTF-16 code units, no white space, numbers as ECMAScript prints them.
 *
 * As in `JSON.stringify`, `toJSON` is honoured, boxed primitives are opened, and `undefined`, functions and symbols are
 * left out of objects and are `null` in arrays.
 *
 * @see https://www.rfc-editor.org/rfc/rfc8785
 * @throws TypeError for NaN, infinities, BigInt, lone surrogates, cycles, raw JSON, nesting beyond {@link MAX_DEPTH},
 * and a value that has no JSON at all; the message names the path and the value.
 * @throws TooLongError
 * @throws NamesFileError for a `file:` URL, if `refusesFiles`; else it is written as the text that is sent.
 */
export function canonicalJson(value: unknown, refusesFiles = false): string {
  const trail: Trail = { names: [], ancestors: [], refusesFiles, length: 0 };
  const text = write(value, "", trail);
  if (text === undefined) throw refusal(trail, `${typeof value} has no JSON`);
  return text;
}

/** The value that `JSON.stringify` would serialise in place of `value`, found under `name`. */
export function valueAsSent(value: unknown, name: string): unknown {
  if (value === null || (typeof value !== "object" && typeof value !== "function" && typeof value !== "bigint")) {
    return value;
  }
  const { toJSON } = value as { toJSON?: unknown };
  const sent = typeof toJSON === "function" ? toJSON.call(value, name) : value;
  if (sent instanceof Number) return Number(sent);
  if (sent instanceof String) return String(sent);
  if (sent instanceof Boolean || sent instanceof BigInt) return sent.valueOf();
  return sent;
}

/** Whether a value is a `file:` URL, of whatever realm. */
export function isFileUrl(value: unknown): value is URL {
  return Object.prototype.toString.call(value) === "[object URL]" && (value as URL).protocol === "file:";
}

/**
 * A copy of what would be sent for a value, which is the copy's owner's alone. A `file:` URL stays one: it is the
 * caller's function that knows how to send a file.
 */
export function copyAsSent(held: unknown, name = ""): unknown {
  const value = isFileUrl(held) ? held : valueAsSent(held, name);
  if (isFileUrl(value)) return new URL(value.href);
  if (typeof value === "function" || typeof value === "symbol") return undefined;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return Array.from(value, (item, index) => copyAsSent(item, String(index)) ?? null);
  const members = Object.entries(value).map(([name, member]) => [name, copyAsSent(member, name)] as const);
  return Object.fromEntries(members.filter(([, member]) => member !== undefined));
}

function write(held: unknown, name: string, trail: Trail): string | undefined {
  const value = valueAsSent(held, name);
  // A URL is sent as another value, a text. So nearly all values are known to be none without a look.
  if (value !== held && trail.refusesFiles) refuseFile(isFileUrl(held) ? held : value);
  switch (typeof value) {
    case "string":
      return quote(value, trail);
    case "number":
      if (!Number.isFinite(value)) throw refusal(trail, `${value} is no JSON number`);
      return String(value);
    case "boolean":
      return String(value);
    case "bigint":
      throw refusal(trail, `${value}n is a BigInt`);
    case "object":
      return value === null ? "null" : writeComposite(value, trail);
    default:
      return undefined;
  }
}

function refuseFile(value: unknown): void {
  if (!isFileUrl(value)) return;
  throw new NamesFileError(`Cannot key a request that came to name a file while it was answered: ${value.href}`);
}

function writeComposite(value: object, trail: Trail): string {
  if (trail.ancestors.includes(value)) throw refusal(trail, "the value contains itself");
  if (trail.ancestors.length === MAX_DEPTH) throw refusal(trail, `nested deeper than ${MAX_DEPTH}`);
  if (isRawJson(value)) throw refusal(trail, "JSON.rawJSON has no value to compare");
  trail.ancestors.push(value);
  const text = Array.isArray(value) ? writeArray(value, trail) : writeObject(value as Record<string, unknown>, trail);
  trail.ancestors.pop();
  return text;
}

function writeArray(items: readonly unknown[], trail: Trail): string {
  let text = "";
  for (let index = 0; index < items.length; index++) {
    trail.names.push(index);
    text += (index === 0 ? "" : ",") + (write(items[index], String(index), trail) ?? "null");
    trail.names.pop();
  }
  return `[${text}]`;
}

function writeObject(members: Record<string, unknown>, trail: Trail): string {
  let text = "";
  for (const name of sortedNames(members)) {
    trail.names.push(name);
    const value = write(members[name], name, trail);
    if (value !== undefined) text += `${text === "" ? "" : ","}${quote(name, trail)}:${value}`;
    trail.names.pop();
  }
  return `{${text}}`;
}

/** Names by UTF-16 code units. A sort that is called for a few names takes longer to begin than these to be put in order. */
function sortedNames(members: object): string[] {
  const names = Object.keys(members);
  if (names.length > FEW_NAMES) return names.sort();
  for (let end = 1; end < names.length; end++) {
    const name = names[end]!;
    let at = end;
    for (; at > 0 && names[at - 1]! > name; at--) names[at] = names[at - 1]!;
    names[at] = name;
  }
  return names;
}

function quote(text: string, trail: Trail): string {
  trail.length += text.length;
  if (trail.length > MAX_LENGTH) {
    throw new TooLongError(`Cannot make canonical JSON of more than ${MAX_LENGTH} characters`);
  }
  if (text.length <= SHORT && PLAIN.test(text)) return `"${text}"`;
  if (!text.isWellFormed()) throw refusal(trail, `a lone surrogate in ${JSON.stringify(excerpt(text))}`);
  return JSON.stringify(text);
}

/** Enough of a text to find the fault; a prompt does not belong in a log. */
function excerpt(text: string): string {
  const at = text.search(/\p{Surrogate}/u);
  return text.slice(Math.max(0, at - 8), at + 8);
}

function isRawJson(value: object): boolean {
  return (JSON as { isRawJSON?(value: unknown): boolean }).isRawJSON?.(value) ?? false;
}

function refusal(trail: Trail, reason: string): TypeError {
  const path = trail.names.map((name) => (typeof name === "number" ? `[${name}]` : `.${name}`)).join("");
  return new TypeError(`Cannot make canonical JSON at $${path}: ${reason}`);
}
