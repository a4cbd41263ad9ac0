/**
 * Bytes in a line of a pack: as text where they are UTF-8, so that people and `git` can read them, else in base64. Which
 * of the two depends on the bytes alone.
 *
 * @module
 */

import { fromBase64, toBase64 } from "../../runtime/base64.ts";

/** Bytes as a line has them. */
export type WrittenBytes = string | { readonly base64: string };

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes for a line: text, if it is UTF-8 whose escapes in JSON add no more characters than there are bytes. */
export function writeBytes(bytes: Uint8Array): WrittenBytes {
  let text: string;
  try {
    text = decoder.decode(bytes);
  } catch {
    return { base64: toBase64(bytes) };
  }
  const added = JSON.stringify(text).length - text.length - 2;
  return added <= bytes.byteLength ? text : { base64: toBase64(bytes) };
}

/**
 * The bytes that {@link writeBytes} was given.
 *
 * @throws TypeError, or a DOMException, when `written` is nothing that it makes.
 */
export function readBytes(written: unknown): Uint8Array {
  if (typeof written === "string") return encoder.encode(written);
  const { base64 } = written as { readonly base64?: unknown };
  if (typeof base64 !== "string") throw new TypeError("Cannot read bytes in a pack: neither text nor base64 is there");
  return fromBase64(base64);
}
