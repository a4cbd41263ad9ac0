/**
 * The bytes that a vocabulary's tokens stand for. A tokenizer's own `decode` gives text, which cannot show part of a
 * character; answers are put together from bytes instead.
 *
 * @module
 */

import type { JsonObject } from "../files/model_files.ts";

/**
 * From a token as the vocabulary writes it to its bytes in UTF-8.
 *
 * @param isAdded Whether the tokenizer has it beside its model's vocabulary.
 */
export type TokenDecoder = (token: string, isAdded?: boolean) => Uint8Array;

/**
 * Reads the `decoder` of a `tokenizer.json`.
 *
 * @throws Error naming a kind of decoder whose tokens have no bytes of their own.
 */
export function readTokenDecoder(decoder: unknown): TokenDecoder {
  const parts = flatten(decoder);
  const unsupported = parts.find(({ type }) => !SUPPORTED.includes(type as string));
  if (unsupported !== undefined || parts.length === 0) {
    throw new Error(`the tokenizer's decoder is not supported: ${JSON.stringify(unsupported?.type ?? decoder)}`);
  }
  const types = parts.map(({ type }) => type);
  if (types.includes("ByteLevel")) return byteLevel;
  const replacements = parts.flatMap(readReplacement);
  const hasByteTokens = types.includes("ByteFallback");
  return (token) => {
    const byte = hasByteTokens ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1] : undefined;
    if (byte !== undefined) return new Uint8Array([Number.parseInt(byte, 16)]);
    return encoder.encode(replacements.reduce((text, [from, to]) => text.replaceAll(from, to), token));
  };
}

/** `Fuse` joins tokens, which joining bytes does too; `Strip` only cuts the beginning of a whole text. */
const SUPPORTED = ["ByteLevel", "ByteFallback", "Replace", "Metaspace", "Fuse", "Strip"];

const encoder = new TextEncoder();

function flatten(decoder: unknown): JsonObject[] {
  if (typeof decoder !== "object" || decoder === null) return [];
  const { type, decoders } = decoder as JsonObject;
  return type === "Sequence" && Array.isArray(decoders) ? decoders.flatMap(flatten) : [decoder as JsonObject];
}

function readReplacement({ type, replacement, pattern, content }: JsonObject): [string, string][] {
  if (type === "Metaspace") return [[typeof replacement === "string" ? replacement : "\u2581", " "]];
  if (type !== "Replace") return [];
  const { String: from } = (pattern ?? {}) as JsonObject;
  if (typeof from !== "string" || typeof content !== "string") {
    throw new Error(`the tokenizer's decoder replaces by a pattern that is not supported: ${JSON.stringify(pattern)}`);
  }
  return [[from, content]];
}

/** Added tokens are found in the text before it is written in these characters, and stand for themselves. */
function byteLevel(token: string, isAdded = false): Uint8Array {
  if (isAdded) return encoder.encode(token);
  const bytes: number[] = [];
  for (const character of token) {
    const byte = BYTE_OF.get(character);
    if (byte === undefined) bytes.push(...encoder.encode(character));
    else bytes.push(byte);
  }
  return new Uint8Array(bytes);
}

/**
 * Byte-level BPE writes each byte as one printable character: the printable ones of Latin-1 stand for themselves, the
 * other 68 for the characters from U+0100 on, in order. From GPT-2.
 */
const BYTE_OF: ReadonlyMap<string, number> = (() => {
  const printable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  let next = 0x100;
  const pairs = Array.from({ length: 256 }, (_, byte) => [printable(byte) ? byte : next++, byte] as const);
  return new Map(pairs.map(([codePoint, byte]) => [String.fromCodePoint(codePoint), byte]));
})();
