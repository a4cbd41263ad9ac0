/**
 * One answer as a row, and back. The checksum covers everything the row says, in an encoding in which no two rows look
 * alike ({@link ../../sqlite/packed_row.ts}), so a flipped bit, or a row found in another's place, is never an answer.
 *
 * @module
 */

import type { Checksum } from "../../codec/checksum.ts";
import type { Codec } from "../../codec/codec.ts";
import { CodecError } from "../../codec/error.ts";
import type { Dictionary, Sha256 } from "../../codec/dictionary.ts";
import { plain } from "../../codec/plain.ts";
import { ZSTD_SIZE_LIMIT } from "../../codec/zstd.ts";
import type { SqlValue } from "../../sqlite/driver.ts";
import { PACKED_BLOB, PackedRow, packRow } from "../../sqlite/packed_row.ts";
import { CacheError } from "../error.ts";
import type { EntryFields, Key, NewEntry, Outcome, RequestRecord, StoredEntry } from "../store.ts";
import { ROW_VERSION } from "./schema.ts";

/** What rows are written and read with. */
export interface RowCodecs {
  readonly zstd: Codec;
  readonly checksum: Checksum;
}

/** The same, and what names dictionaries. */
export interface RowTools extends RowCodecs {
  readonly sha256: Sha256;
}

/** Finds the dictionary that an id stands for; `undefined` when there is none, or a broken one. */
export type FindDictionary = (id: number) => Dictionary | undefined;

/** Why a row is no answer. */
export type Unusable = "stale" | "expired" | "corrupt";

/** The columns of an entry, as they are selected and inserted; the checksum comes last. */
export const ENTRY_COLUMNS: string =
  "schema_version, key, sample, media_type, outcome, model_asked, model_answered, fingerprint, prompt_tokens, " +
  "completion_tokens, cost_microdollars, latency, created, expires, codec, dictionary, size, body, checksum";

/**
 * Selects {@link ENTRY_COLUMNS} of a key's samples, so many at most. The table is joined with itself by rowid, so that all
 * columns, key and sample too, come from the row: read by way of an index, SQLite takes the columns that are in it from
 * there, and a row in another's place would look right. It costs nothing that can be measured (`bench/engine.ts`).
 */
export const SELECT_ENTRIES: string =
  `SELECT ${ENTRY_COLUMNS.split(", ").map((column) => `row.${column}`).join(", ")} ` +
  "FROM entry AS found LEFT JOIN entry AS row ON row.rowid = found.rowid " +
  "WHERE found.key = ? ORDER BY found.sample LIMIT ?";

// Their places.
const SCHEMA_VERSION = 0;
/** Where a row of {@link ENTRY_COLUMNS} has its key. */
export const KEY_COLUMN = 1;
const SAMPLE = 2;
const MEDIA_TYPE = 3;
const OUTCOME = 4;
const MODEL_ASKED = 5;
const MODEL_ANSWERED = 6;
const FINGERPRINT = 7;
const PROMPT_TOKENS = 8;
const COMPLETION_TOKENS = 9;
const COST_MICRODOLLARS = 10;
const LATENCY = 11;
const CREATED = 12;
const EXPIRES = 13;
const CODEC = 14;
const DICTIONARY = 15;
const SIZE = 16;
const BODY = 17;

/** The columns of a request that its checksum covers, which comes last. Its sketch is beside them: it only ranks. */
export const REQUEST_COLUMNS: string =
  "key, namespace, provider, endpoint, identity, codec, dictionary, size, created, body, checksum";

/** Below this, compression gains nothing. */
const SMALLEST_COMPRESSED = 64;
const CHECKSUM_BYTES = 8;
const sumBytes = new Uint8Array(CHECKSUM_BYTES);
const sumView = new DataView(sumBytes.buffer);

/** An answer's columns, but for the key and the sample, which are chosen later. */
export interface CompressedEntry {
  readonly entry: EntryFields;
  /** Bytes of the answer as it is returned. */
  readonly size: number;
  readonly codec: string;
  /** What it was compressed with, if it was with one. */
  readonly dictionary: number | null;
  readonly body: Uint8Array;
}

/** Compresses an answer, while somebody waits. */
export function compressEntry(entry: NewEntry, tools: RowCodecs): CompressedEntry {
  return { entry, size: entry.body.byteLength, dictionary: null, ...shorter(entry.body, tools.zstd) };
}

/** The values of {@link ENTRY_COLUMNS}. */
export function entryRow(key: Key, sample: number, compressed: CompressedEntry, tools: RowCodecs): SqlValue[] {
  const { entry, size, codec, dictionary, body } = compressed;
  return withChecksum([
    ROW_VERSION,
    key,
    sample,
    entry.mediaType,
    entry.outcome,
    entry.modelAsked,
    entry.modelAnswered,
    entry.fingerprint,
    entry.promptTokens,
    entry.completionTokens,
    entry.costMicrodollars,
    entry.latency,
    entry.created,
    entry.expires,
    codec,
    dictionary,
    size,
    body,
  ], tools.checksum);
}

/** The values of {@link REQUEST_COLUMNS}. */
export function requestRow(request: RequestRecord, created: number, tools: RowCodecs): SqlValue[] {
  const { key, namespace, provider, endpoint, identity } = request;
  const { codec, body } = shorter(request.body, tools.zstd);
  const size = request.body.byteLength;
  return withChecksum(
    [key, namespace, provider, endpoint, identity, codec, null, size, created, body],
    tools.checksum,
  );
}

/** The answer in a packed row of {@link ENTRY_COLUMNS} that was found under `key`, or why there is none. */
export function readEntry(
  packed: Uint8Array,
  key: Key,
  now: number,
  tools: RowCodecs,
  findDictionary: FindDictionary,
): StoredRow | Unusable {
  const row = new PackedRow(packed);
  const version = row.number(SCHEMA_VERSION);
  // How an older row's checksum was computed is not known here; a newer one cannot be in a file of this version.
  if (version !== null && version < ROW_VERSION) return "stale";
  if (version !== ROW_VERSION || !isIntact(packed, tools.checksum) || !isEqual(row.blob(KEY_COLUMN), key)) {
    return "corrupt";
  }
  const expires = row.number(EXPIRES);
  if (expires !== null && expires <= now) return "expired";
  const id = row.number(DICTIONARY);
  if (id === null) return new StoredRow(row, tools.zstd);
  // The checksum vouches for the id, and the id for the content.
  const dictionary = findDictionary(id);
  return dictionary === undefined ? "corrupt" : new StoredRow(row, tools.zstd, dictionary);
}

/** A verified row. Fields are read, and its answer is decompressed, when they are asked for. */
export class StoredRow implements StoredEntry {
  /** Its number in the database, until somebody has put it among others. */
  sample: number;
  readonly #row: PackedRow;
  readonly #zstd: Codec;
  readonly #dictionary: Dictionary | undefined;
  #bytes: Uint8Array | undefined;

  /** `row` has to be intact, and `dictionary` the one it names. */
  constructor(row: PackedRow, zstd: Codec, dictionary?: Dictionary) {
    this.sample = row.number(SAMPLE)!;
    this.#row = row;
    this.#zstd = zstd;
    this.#dictionary = dictionary;
  }

  /** What it was compressed with, if it was with one. */
  get dictionary(): Dictionary | undefined {
    return this.#dictionary;
  }

  get mediaType(): string {
    return this.#row.text(MEDIA_TYPE)!;
  }

  get outcome(): Outcome {
    return this.#row.text(OUTCOME) as Outcome;
  }

  get modelAsked(): string {
    return this.#row.text(MODEL_ASKED)!;
  }

  get modelAnswered(): EntryFields["modelAnswered"] {
    return this.#row.text(MODEL_ANSWERED);
  }

  get fingerprint(): EntryFields["fingerprint"] {
    return this.#row.text(FINGERPRINT);
  }

  get promptTokens(): EntryFields["promptTokens"] {
    return this.#row.number(PROMPT_TOKENS);
  }

  get completionTokens(): EntryFields["completionTokens"] {
    return this.#row.number(COMPLETION_TOKENS);
  }

  get costMicrodollars(): EntryFields["costMicrodollars"] {
    return this.#row.number(COST_MICRODOLLARS);
  }

  get latency(): EntryFields["latency"] {
    return this.#row.number(LATENCY);
  }

  get created(): number {
    return this.#row.number(CREATED)!;
  }

  get expires(): EntryFields["expires"] {
    return this.#row.number(EXPIRES);
  }

  get storedBytes(): number {
    return this.#row.blob(BODY)!.byteLength;
  }

  bytes(): Uint8Array {
    return this.#bytes ??= this.read((bytes) => bytes.slice());
  }

  read<T>(use: (bytes: Uint8Array) => T): T {
    if (this.#bytes) return use(this.#bytes);
    const codec = this.#row.text(CODEC) === this.#zstd.name ? this.#zstd : plain;
    try {
      return codec.read(this.#row.blob(BODY)!, this.#row.number(SIZE)!, use, this.#dictionary);
    } catch (cause) {
      if (!(cause instanceof CodecError)) throw cause;
      throw new CacheError("corrupt", `Cannot read a stored answer: ${cause.message}`, { cause });
    }
  }
}

function shorter(bytes: Uint8Array, zstd: Codec): { codec: string; body: Uint8Array } {
  if (bytes.byteLength >= SMALLEST_COMPRESSED && bytes.byteLength <= ZSTD_SIZE_LIMIT) {
    const body = zstd.compress(bytes);
    if (body.byteLength < bytes.byteLength) return { codec: zstd.name, body };
  }
  return { codec: plain.name, body: bytes };
}

function withChecksum(values: SqlValue[], checksum: Checksum): SqlValue[] {
  const sum = new Uint8Array(CHECKSUM_BYTES);
  new DataView(sum.buffer).setBigUint64(0, checksum(packRow(values)));
  return [...values, sum];
}

export function isIntact(packed: Uint8Array, checksum: Checksum): boolean {
  const end = packed.byteLength - CHECKSUM_BYTES - 5;
  if (end < 0) return false;
  if (packed[end] !== PACKED_BLOB || packed[end + 1] !== CHECKSUM_BYTES) return false;
  if (packed[end + 2] !== 0 || packed[end + 3] !== 0 || packed[end + 4] !== 0) return false;
  for (let index = 0; index < CHECKSUM_BYTES; index++) sumBytes[index] = packed[end + 5 + index]!;
  return sumView.getBigUint64(0) === checksum(packed.subarray(0, end));
}

function isEqual(left: Uint8Array | null, right: Uint8Array): boolean {
  if (left?.byteLength !== right.byteLength) return false;
  for (let index = 0; index < right.byteLength; index++) if (left[index] !== right[index]) return false;
  return true;
}
