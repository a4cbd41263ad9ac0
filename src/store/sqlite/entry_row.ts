/**
 * One answer as a row, and back. The checksum covers everything the row says, in an encoding in which no two rows look
 * alike ({@link ../../sqlite/packed_row.ts}), so a flipped bit, or a row found in another's place, is never an answer.
 *
 * @module
 */

import type { Checksum } from "../../codec/checksum.ts";
import type { Codec } from "../../codec/codec.ts";
import { plain } from "../../codec/plain.ts";
import { ZSTD_SIZE_LIMIT } from "../../codec/zstd.ts";
import type { SqlValue } from "../../sqlite/driver.ts";
import { PACKED_BLOB, PackedReader, packRow } from "../../sqlite/packed_row.ts";
import { CacheError } from "../error.ts";
import type { EntryFields, Key, NewEntry, Outcome, RequestRecord, StoredEntry } from "../store.ts";
import { ROW_VERSION } from "./schema.ts";

/** What rows are written and read with. */
export interface RowTools {
  readonly zstd: Codec;
  readonly checksum: Checksum;
}

/** Why a row is no answer. */
export type Unusable = "stale" | "expired" | "corrupt";

/** The columns of an entry, as they are selected and inserted; the checksum comes last. */
export const ENTRY_COLUMNS: string =
  "schema_version, key, sample, media_type, outcome, model_asked, model_answered, fingerprint, prompt_tokens, " +
  "completion_tokens, cost_microdollars, latency, created, expires, codec, dictionary, size, body, checksum";

/** The columns of a request, as they are inserted. */
export const REQUEST_COLUMNS: string =
  "key, namespace, provider, endpoint, identity, codec, dictionary, size, created, body, checksum";

/** Below this, compression gains nothing. */
const SMALLEST_COMPRESSED = 64;
const CHECKSUM_BYTES = 8;

/** An answer's columns, but for the key and the sample, which are chosen later. */
export interface CompressedEntry {
  readonly entry: NewEntry;
  readonly codec: string;
  readonly body: Uint8Array;
}

/** Compresses an answer. */
export function compressEntry(entry: NewEntry, tools: RowTools): CompressedEntry {
  return { entry, ...shorter(entry.body, tools.zstd) };
}

/** The values of {@link ENTRY_COLUMNS}. */
export function entryRow(key: Key, sample: number, compressed: CompressedEntry, tools: RowTools): SqlValue[] {
  const { entry, codec, body } = compressed;
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
    null,
    entry.body.byteLength,
    body,
  ], tools.checksum);
}

/** The values of {@link REQUEST_COLUMNS}. */
export function requestRow(request: RequestRecord, created: number, tools: RowTools): SqlValue[] {
  const { key, namespace, provider, endpoint, identity } = request;
  const { codec, body } = shorter(request.body, tools.zstd);
  const size = request.body.byteLength;
  return withChecksum(
    [key, namespace, provider, endpoint, identity, codec, null, size, created, body],
    tools.checksum,
  );
}

/** The answer in a packed row of {@link ENTRY_COLUMNS} that was found under `key`, or why there is none. */
export function readEntry(packed: Uint8Array, key: Key, now: number, tools: RowTools): StoredRow | Unusable {
  const reader = new PackedReader(packed);
  const version = reader.takeNumber();
  // How an older row's checksum was computed is not known here; a newer one cannot be in a file of this version.
  if (version !== null && version < ROW_VERSION) return "stale";
  if (version !== ROW_VERSION || !isIntact(packed, tools.checksum) || !isEqual(reader.takeBlob(), key)) {
    return "corrupt";
  }
  const row = new StoredRow(reader, tools.zstd);
  return row.expires !== null && row.expires <= now ? "expired" : row;
}

/** A verified row. Its answer stays compressed until it is asked for. */
export class StoredRow implements StoredEntry {
  readonly sample: number;
  readonly mediaType: string;
  readonly outcome: Outcome;
  readonly modelAsked: string;
  readonly modelAnswered: EntryFields["modelAnswered"];
  readonly fingerprint: EntryFields["fingerprint"];
  readonly promptTokens: EntryFields["promptTokens"];
  readonly completionTokens: EntryFields["completionTokens"];
  readonly costMicrodollars: EntryFields["costMicrodollars"];
  readonly latency: EntryFields["latency"];
  readonly created: number;
  readonly expires: EntryFields["expires"];
  readonly storedBytes: number;
  readonly #zstd: Codec;
  readonly #codec: string;
  readonly #size: number;
  readonly #body: Uint8Array;
  #bytes: Uint8Array | undefined;

  /** Reads an intact row, from its sample on. */
  constructor(reader: PackedReader, zstd: Codec) {
    this.sample = reader.takeNumber()!;
    this.mediaType = reader.takeText()!;
    this.outcome = reader.takeText() as Outcome;
    this.modelAsked = reader.takeText()!;
    this.modelAnswered = reader.takeText();
    this.fingerprint = reader.takeText();
    this.promptTokens = reader.takeNumber();
    this.completionTokens = reader.takeNumber();
    this.costMicrodollars = reader.takeNumber();
    this.latency = reader.takeNumber();
    this.created = reader.takeNumber()!;
    this.expires = reader.takeNumber();
    this.#codec = reader.takeText()!;
    // The dictionary: rows of this version have none.
    reader.takeNumber();
    this.#size = reader.takeNumber()!;
    this.#body = reader.takeBlob()!;
    this.#zstd = zstd;
    this.storedBytes = this.#body.byteLength;
  }

  bytes(): Uint8Array {
    return this.#bytes ??= this.#decompress();
  }

  #decompress(): Uint8Array {
    try {
      const codec = this.#codec === this.#zstd.name ? this.#zstd : plain;
      return codec.decompress(this.#body, this.#size);
    } catch (cause) {
      throw new CacheError("corrupt", `Cannot read a stored answer: ${(cause as Error).message}`, { cause });
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

function isIntact(packed: Uint8Array, checksum: Checksum): boolean {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const end = packed.byteLength - CHECKSUM_BYTES - 5;
  if (end < 0 || packed[end] !== PACKED_BLOB || view.getUint32(end + 1, true) !== CHECKSUM_BYTES) return false;
  return view.getBigUint64(end + 5) === checksum(packed.subarray(0, end));
}

function isEqual(left: Uint8Array | null, right: Uint8Array): boolean {
  return left !== null && left.byteLength === right.byteLength && left.every((byte, index) => byte === right[index]);
}
