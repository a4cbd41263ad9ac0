/**
 * What the tests of stores put, and how they read what they find.
 *
 * @module
 */

import { CacheError } from "../../store/error.ts";
import type { EntryFields, Found, Key, StoredEntry } from "../../store/store.ts";

/** The model that most tests use. */
export const MODEL = "gpt-4o-mini";

const decoder = new TextDecoder();

/** A key known by a number. */
export function keyOf(number: number): Key {
  const key = new Uint8Array(32).fill(7);
  new DataView(key.buffer).setUint32(0, number);
  return key;
}

/** The texts that were found. */
export function bodiesOf(found: Found): string[] {
  return found.entries.map((entry) => decoder.decode(entry.bytes()));
}

/** The fields of an entry that `fields` has; an entry may read them when asked for. */
export function pick(entry: StoredEntry, fields: EntryFields): Partial<EntryFields> {
  return Object.fromEntries(Object.keys(fields).map((name) => [name, entry[name as keyof EntryFields]]));
}

/** A sketch with so many bits set. */
export function sketchOf(bits: number): Uint8Array {
  const sketch = new Uint8Array(16);
  for (let bit = 0; bit < bits; bit++) sketch[bit >> 3]! |= 1 << (bit & 7);
  return sketch;
}

/** Each byte there is, once. */
export function everyByte(): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => byte);
}

/** Bytes that do not compress: the high byte of a linear congruential generator. */
export function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = length >>> 0;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[index] = state >>> 24;
  }
  return bytes;
}

/** Whether an error says that the store was closed. */
export function isClosed(error: unknown): boolean {
  return error instanceof CacheError && error.code === "closed";
}
