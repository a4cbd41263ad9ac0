/**
 * Bytes as people read them, in a JSON document: as JSON where that gives back exactly the same bytes, else as text, a
 * line of it a line of the file, else in base64.
 *
 * @module
 */

import { fromBase64, toBase64 } from "../../runtime/base64.ts";

/** Bytes in a document. What they are is told by which of the names is there. */
export type Shown = ShownJson | ShownText | ShownBase64;

/** The bytes are this value as `JSON.stringify` writes it. */
interface ShownJson {
  readonly json: unknown;
  /** By how many spaces it is indented; absent where it has no spaces. */
  readonly indent?: 2;
  /** What comes after it; absent where nothing does. */
  readonly end?: "\n";
}

/** The bytes are these lines in UTF-8, with a line feed between any two. */
interface ShownText {
  readonly text: readonly string[];
}

interface ShownBase64 {
  readonly base64: string;
}

/** What is longer is read by nobody, and would be written several times only to be compared. */
const LONGEST_JSON = 1024 * 1024;
/** What is nested deeper is left to who wrote it: how deep a runtime can read and write differs. */
const DEEPEST_JSON = 64;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes for people. */
export function show(bytes: Uint8Array): Shown {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return { base64: toBase64(bytes) };
  }
  return (text.length <= LONGEST_JSON ? showJson(text) : undefined) ?? { text: text.split("\n") };
}

/**
 * The bytes that {@link show} was given.
 *
 * @throws TypeError, or a DOMException, when `shown` is nothing that it makes.
 */
export function unshow(shown: unknown): Uint8Array {
  const { json, indent, end = "", text, base64 } = shown as Partial<ShownJson & ShownText & ShownBase64>;
  if (text !== undefined) return encoder.encode(text.join("\n"));
  if (base64 !== undefined) return fromBase64(base64);
  if (json === undefined) throw new TypeError("Cannot read shown bytes: neither json, text nor base64 is there");
  return encoder.encode(JSON.stringify(json, null, indent) + end);
}

function showJson(text: string): ShownJson | undefined {
  if (!/^[[{]/.test(text)) return undefined;
  const end = text.endsWith("\n") ? "\n" : "";
  const bare = end ? text.slice(0, -1) : text;
  let json: unknown;
  try {
    json = JSON.parse(bare);
    if (isDeeper(json, DEEPEST_JSON)) return undefined;
  } catch {
    return undefined;
  }
  const indent = /^[[{]\n/.test(text) ? 2 : undefined;
  if (JSON.stringify(json, null, indent) !== bare) return undefined;
  return { json, ...(indent && { indent }), ...(end && { end }) };
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isDeeper(inner, levels - 1));
}
