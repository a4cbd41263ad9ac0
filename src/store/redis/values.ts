/**
 * What lies in Redis, byte by byte. A request and all its answers are one list, so that Redis's own eviction and expiry
 * take them together, and nothing is ever left without what belongs to it:
 *
 * 0. the label: what scripts need to know of the request and its answers;
 * 1. the request, as its row in a SQLite store, with its own checksum;
 * 2. and on: an answer each.
 *
 * An answer is 58 bytes that scripts read, and a row as in a SQLite store ({@link ../sqlite/entry_row.ts}), whose
 * checksum covers key, fields and stored bytes. The 58 bytes have a checksum of their own, over the model's name and the
 * row's checksum besides. Numbers are little-endian.
 *
 * | offset | bytes | |
 * |---|---|---|
 * | 0 | 1 | version: 1 |
 * | 1 | 8 | id, drawn anew for each answer |
 * | 9 | 8 | when it was stored, as a double |
 * | 17 | 8 | when it expires, as a double; infinity for never |
 * | 25 | 8 | bytes of the answer, as a double |
 * | 33 | 8 | bytes of it as stored, as a double |
 * | 41 | 1 | outcome |
 * | 42 | 8 | bytes of all of it, these 58 included, as a double |
 * | 50 | 8 | XXH64 |
 *
 * @module
 */

import { packRow } from "../../sqlite/packed_row.ts";
import type { RowTools } from "../sqlite/entry_row.ts";
import { compressEntry, entryRow, readEntry, requestRow, StoredRow } from "../sqlite/entry_row.ts";
import { readRequest } from "../sqlite/request_row.ts";
import { SKETCH_BYTES } from "../nearest.ts";
import { OUTCOMES } from "../outcomes.ts";
import type { Key, NewEntry, Outcome, RequestRecord } from "../store.ts";

/** Version of an answer's layout. What is greater was written by a newer program, and is passed over. */
const VERSION = 1;
/** Bytes in front of an answer's row. */
export const HEAD_BYTES = 58;
const ID_BYTES = 8;
const ID = 1;
const CREATED = 9;
const EXPIRES = 17;
const SIZE = 25;
const STORED = 33;
const OUTCOME = 41;
const LENGTH = 42;
const SUM = 50;
const SUM_BYTES = 8;

/** What a request's row begins with, so that no script takes it for an answer. */
const REQUEST_MARK = [0, "R".charCodeAt(0)] as const;
const LABEL_MARK = [0, "M".charCodeAt(0)] as const;
/** Of the label: mark, sketch, five doubles. */
const LABEL_BYTES = 2 + SKETCH_BYTES + 40;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A list's first element, as far as it is of use outside scripts. */
export interface Label {
  readonly sketch: Uint8Array;
  readonly entries: number;
  readonly bodyBytes: number;
  readonly storedBytes: number;
  readonly model: string;
  readonly namespace: string;
  readonly tags: readonly string[];
}

/** Why an element is no answer. */
export type NoAnswer = "stale" | "corrupt";

/** The number by which scripts know an outcome. */
export function outcomeNumber(outcome: Outcome): number {
  return OUTCOMES.indexOf(outcome);
}

/** An answer as an element. */
export function answerElement(model: string, key: Key, entry: NewEntry, tools: RowTools): Uint8Array {
  const compressed = compressEntry(entry, tools);
  const row = packRow(entryRow(key, 0, compressed, tools));
  const element = new Uint8Array(HEAD_BYTES + row.byteLength);
  const view = new DataView(element.buffer);
  element[0] = VERSION;
  crypto.getRandomValues(element.subarray(ID, ID + ID_BYTES));
  view.setFloat64(CREATED, entry.created, true);
  view.setFloat64(EXPIRES, entry.expires ?? Infinity, true);
  view.setFloat64(SIZE, entry.body.byteLength, true);
  view.setFloat64(STORED, compressed.body.byteLength, true);
  element[OUTCOME] = outcomeNumber(entry.outcome);
  view.setFloat64(LENGTH, element.byteLength, true);
  element.set(row, HEAD_BYTES);
  view.setBigUint64(SUM, sumOf(element, model, tools), true);
  return element;
}

/** The answer in an element, verified, or why there is none. */
export function readAnswer(element: Uint8Array, model: string, key: Key, tools: RowTools): StoredRow | NoAnswer {
  if (element.byteLength === 0) return "corrupt";
  if (element[0]! > VERSION) return "stale";
  if (element[0] !== VERSION || element.byteLength < HEAD_BYTES + SUM_BYTES) return "corrupt";
  const view = new DataView(element.buffer, element.byteOffset, element.byteLength);
  if (view.getBigUint64(SUM, true) !== sumOf(element, model, tools)) return "corrupt";
  // Its time is the caller's to judge, and no answer here was ever compressed with a dictionary.
  const found = readEntry(element.subarray(HEAD_BYTES), key, -Infinity, tools, () => undefined);
  return found instanceof StoredRow ? found : found === "stale" ? "stale" : "corrupt";
}

/** What tells a verified answer's element from all others, and is the same however often it was sent. */
export function idOf(element: Uint8Array): bigint {
  return new DataView(element.buffer, element.byteOffset, element.byteLength).getBigUint64(ID, true);
}

/** A request as an element. */
export function requestElement(request: RequestRecord, created: number, tools: RowTools): Uint8Array {
  const row = packRow(requestRow(request, created, tools));
  const element = new Uint8Array(REQUEST_MARK.length + row.byteLength);
  element.set(REQUEST_MARK);
  element.set(row, REQUEST_MARK.length);
  return element;
}

/** The request in an element; `undefined` when it is broken. */
export function readRequestElement(
  element: Uint8Array,
  sketch: Uint8Array,
  tools: RowTools,
): RequestRecord | undefined {
  if (!isMarked(element, REQUEST_MARK)) return undefined;
  return readRequest(element.subarray(REQUEST_MARK.length), sketch, tools);
}

/** What a list's label says; `undefined` when it is none. */
export function readLabel(element: Uint8Array): Label | undefined {
  if (!isMarked(element, LABEL_MARK) || element.byteLength < LABEL_BYTES) return undefined;
  const view = new DataView(element.buffer, element.byteOffset, element.byteLength);
  const number = (index: number): number => view.getFloat64(2 + SKETCH_BYTES + 8 * index, true);
  const words: string[] = [];
  for (let at = LABEL_BYTES; at < element.byteLength;) {
    if (at + 4 > element.byteLength) return undefined;
    const end = at + 4 + view.getUint32(at, true);
    if (end > element.byteLength) return undefined;
    words.push(decoder.decode(element.subarray(at + 4, end)));
    at = end;
  }
  const [model, namespace, ...tags] = words;
  if (model === undefined || namespace === undefined) return undefined;
  const sketch = element.slice(2, 2 + SKETCH_BYTES);
  return { sketch, entries: number(0), bodyBytes: number(1), storedBytes: number(2), model, namespace, tags };
}

/** Over the head, the model's name and the row's own checksum, which stands at its end. */
function sumOf(element: Uint8Array, model: string, { checksum }: RowTools): bigint {
  const name = encoder.encode(model);
  const covered = new Uint8Array(SUM + SUM_BYTES + name.byteLength);
  covered.set(element.subarray(0, SUM));
  covered.set(element.subarray(element.byteLength - SUM_BYTES), SUM);
  covered.set(name, SUM + SUM_BYTES);
  return checksum(covered);
}

function isMarked(element: Uint8Array, mark: readonly [number, number]): boolean {
  return element[0] === mark[0] && element[1] === mark[1];
}
