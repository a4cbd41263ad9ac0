/**
 * The contract's values as bytes: what both sides write and read in the same order.
 *
 * @module
 */

import type { CacheError, CacheErrorCode } from "../error.ts";
import { SKETCH_BYTES } from "../nearest.ts";
import { OUTCOMES } from "../outcomes.ts";
import type {
  DailyAmounts,
  EntryFields,
  FailureRecord,
  Found,
  ListedRequest,
  NewEntry,
  Placement,
  RequestRecord,
  Selection,
  StoredEntry,
  Want,
} from "../store.ts";
import { BadBytes, type ByteReader, type ByteWriter } from "./bytes.ts";

/** Bytes of a request's key. */
const KEY_BYTES = 32;

const PLACEMENTS: readonly Placement[] = ["append", "replace", "replace_all"];
const CODES: readonly CacheErrorCode[] = [
  "locked",
  "newer_schema",
  "foreign_file",
  "unavailable",
  "corrupt",
  "closed",
];

/** A key. */
export function readKey(reader: ByteReader): Uint8Array {
  return ofLength(reader.blob(), KEY_BYTES, "key");
}

export function writeWant(writer: ByteWriter, { key, samples, grace = 0 }: Want): void {
  writer.blob(key).number(samples).number(grace);
}

export function readWant(reader: ByteReader): Want {
  const [key, samples, grace] = [readKey(reader), reader.number(), reader.number()];
  if (!(samples >= 1)) throw new BadBytes(`a lookup of ${samples} samples`);
  return { key, samples, grace };
}

/** What was found, with as many of its answers as `entries` has. */
export function writeFound(
  writer: ByteWriter,
  { stale, expired, corrupt }: Omit<Found, "entries">,
  entries: readonly StoredEntry[],
): void {
  writer.byte((stale ? 1 : 0) + (expired ? 2 : 0) + (corrupt ? 4 : 0)).list(entries, (entry) => {
    writeFields(writer, entry);
    writer.number(entry.sample).number(entry.storedBytes).blob(entry.bytes());
  });
}

export function readFound(reader: ByteReader): Found {
  const flags = reader.byte();
  const entries = reader.list((): StoredEntry => {
    const fields = readFields(reader);
    const [sample, storedBytes, body] = [reader.number(), reader.number(), reader.blob()];
    // The caller may change what it gets, and the next one must not see it.
    return { ...fields, sample, storedBytes, bytes: () => body.slice(), read: (use) => use(body) };
  });
  return { entries, stale: (flags & 1) !== 0, expired: (flags & 2) !== 0, corrupt: (flags & 4) !== 0 };
}

export function writeNewEntry(writer: ByteWriter, entry: NewEntry): void {
  writeFields(writer, entry);
  writer.blob(entry.body);
}

export function readNewEntry(reader: ByteReader): NewEntry {
  const fields = readFields(reader);
  return { ...fields, body: reader.blob() };
}

export function writeRequest(writer: ByteWriter, request: RequestRecord): void {
  writer.blob(request.key).text(request.namespace).text(request.provider).text(request.endpoint)
    .nullable(request.identity, (identity) => writer.text(identity)).blob(request.body).blob(request.sketch);
}

/** A request that is the reader's own, whatever becomes of the bytes it was read from. */
export function readRequest(reader: ByteReader): RequestRecord {
  return {
    key: readKey(reader).slice(),
    namespace: reader.text(),
    provider: reader.text(),
    endpoint: reader.text(),
    identity: reader.nullable(() => reader.text()),
    body: reader.blob().slice(),
    sketch: readSketch(reader),
  };
}

export function readSketch(reader: ByteReader): Uint8Array {
  return ofLength(reader.blob(), SKETCH_BYTES, "sketch").slice();
}

export function writeListed(writer: ByteWriter, { model, request }: ListedRequest): void {
  writer.text(model);
  writeRequest(writer, request);
}

export function readListed(reader: ByteReader): ListedRequest {
  return { model: reader.text(), request: readRequest(reader) };
}

export function writePlacement(writer: ByteWriter, placement: Placement): void {
  writer.byte(PLACEMENTS.indexOf(placement));
}

export function readPlacement(reader: ByteReader): Placement {
  return named(PLACEMENTS, reader.byte(), "placement");
}

export function writeSelection(writer: ByteWriter, selection: Selection): void {
  const { model, keys, namespace, tag, outcome, createdBefore } = selection;
  const text = (value: string): ByteWriter => writer.text(value);
  writer.nullable(model ?? null, text)
    .nullable(keys ?? null, (each) => writer.list(each, (key) => writer.blob(key)))
    .nullable(namespace ?? null, text).nullable(tag ?? null, text)
    .nullable(outcome ?? null, (each) => writer.byte(OUTCOMES.indexOf(each)))
    .nullable(createdBefore ?? null, (time) => writer.number(time));
}

export function readSelection(reader: ByteReader): Selection {
  const text = (): string => reader.text();
  const said = {
    model: reader.nullable(text),
    keys: reader.nullable(() => reader.list(() => readKey(reader))),
    namespace: reader.nullable(text),
    tag: reader.nullable(text),
    outcome: reader.nullable(() => named(OUTCOMES, reader.byte(), "outcome")),
    createdBefore: reader.nullable(() => reader.number()),
  };
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== null)) as Selection;
}

export function writeFailure(writer: ByteWriter, failure: FailureRecord): void {
  writer.number(failure.count).number(failure.last)
    .nullable(failure.expires, (time) => writer.number(time)).blob(failure.error);
}

export function readFailure(reader: ByteReader): FailureRecord {
  return {
    count: reader.number(),
    last: reader.number(),
    expires: reader.nullable(() => reader.number()),
    error: reader.blob().slice(),
  };
}

export function writeDaily(writer: ByteWriter, { model, day, amounts }: DailyAmounts): void {
  writer.text(model).text(day)
    .list(Object.entries(amounts), ([name, amount]) => writer.text(name).number(amount));
}

export function readDaily(reader: ByteReader): DailyAmounts {
  const [model, day] = [reader.text(), reader.text()];
  return { model, day, amounts: Object.fromEntries(reader.list(() => [reader.text(), reader.number()] as const)) };
}

/** A code that stores fail with. */
export function writeCode(writer: ByteWriter, { code }: CacheError): void {
  writer.byte(CODES.includes(code) ? CODES.indexOf(code) : CODES.indexOf("unavailable"));
}

export function readCode(reader: ByteReader): CacheErrorCode {
  return named(CODES, reader.byte(), "code");
}

function writeFields(writer: ByteWriter, fields: EntryFields): void {
  const text = (value: string): ByteWriter => writer.text(value);
  const number = (value: number): ByteWriter => writer.number(value);
  writer.text(fields.mediaType).byte(OUTCOMES.indexOf(fields.outcome)).text(fields.modelAsked)
    .nullable(fields.modelAnswered, text).nullable(fields.fingerprint, text)
    .nullable(fields.promptTokens, number).nullable(fields.completionTokens, number)
    .nullable(fields.costMicrodollars, number).nullable(fields.latency, number)
    .number(fields.created).nullable(fields.expires, number);
}

function readFields(reader: ByteReader): EntryFields {
  const text = (): string => reader.text();
  const number = (): number => reader.number();
  return {
    mediaType: reader.text(),
    outcome: named(OUTCOMES, reader.byte(), "outcome"),
    modelAsked: reader.text(),
    modelAnswered: reader.nullable(text),
    fingerprint: reader.nullable(text),
    promptTokens: reader.nullable(number),
    completionTokens: reader.nullable(number),
    costMicrodollars: reader.nullable(number),
    latency: reader.nullable(number),
    created: reader.number(),
    expires: reader.nullable(number),
  };
}

function named<T>(names: readonly T[], number: number, what: string): T {
  const name = names[number];
  if (name === undefined) throw new BadBytes(`the ${what} ${number} is not known here`);
  return name;
}

function ofLength(bytes: Uint8Array, length: number, what: string): Uint8Array {
  if (bytes.byteLength !== length) throw new BadBytes(`a ${what} has ${length} bytes: ${bytes.byteLength}`);
  return bytes;
}
