/**
 * The contract between what a response cache means (`cache/`) and where its entries live (`store/`). A store knows
 * keys, samples and rows; it knows nothing of requests, providers or money.
 *
 * @module
 */

/** SHA-256 of a canonical request: 32 bytes. */
export type Key = Uint8Array;

/** A value now or later: a store that can answer at once stays synchronous. */
export type MaybePromise<T> = T | Promise<T>;

/** What became of a request, as far as it decides whether the answer may be stored. */
export type Outcome =
  | "stop"
  | "length"
  | "tool_calls"
  | "refusal"
  | "content_filter"
  | "empty"
  | "error"
  | "invalid";

/** What is known of one answer besides its bytes. `null` stands for "the provider did not say". */
export interface EntryFields {
  /** Media type of the stored bytes; `application/json` unless the answer was recorded as a stream. */
  readonly mediaType: string;
  /** How the answer ended. */
  readonly outcome: Outcome;
  /** The model the request named. */
  readonly modelAsked: string;
  /** The model the answer names, which may be a dated version of the one asked for. */
  readonly modelAnswered: string | null;
  /** The provider's `system_fingerprint`. */
  readonly fingerprint: string | null;
  /** Tokens in the prompt. */
  readonly promptTokens: number | null;
  /** Tokens in the answer. */
  readonly completionTokens: number | null;
  /** What the answer cost, in millionths of a US dollar. */
  readonly costMicrodollars: number | null;
  /** How long the provider took, in milliseconds. */
  readonly latency: number | null;
  /** When the answer was stored, in milliseconds since 1970. */
  readonly created: number;
  /** When it may no longer be served, in milliseconds since 1970, or `null` for never. */
  readonly expires: number | null;
}

/** One answer to be stored. */
export interface NewEntry extends EntryFields {
  /** The answer as it is to be returned, byte for byte. */
  readonly body: Uint8Array;
}

/** One stored answer. Its row's checksum was verified before this object existed. */
export interface StoredEntry extends EntryFields {
  /** Which of the answers to this request it is, from 0. */
  readonly sample: number;
  /** Bytes of the answer as stored, compressed. */
  readonly storedBytes: number;
  /**
   * The answer, byte for byte. Decompressed when first asked for.
   *
   * @throws CacheError `corrupt` when the verified bytes do not decompress to what was stored.
   */
  bytes(): Uint8Array;
  /**
   * Has `use` look at {@link bytes} without a copy of them, where there is none yet: `use` must neither keep nor change
   * them, nor read another entry meanwhile.
   *
   * @throws as {@link bytes} does, and what `use` throws.
   */
  read<T>(use: (bytes: Uint8Array) => T): T;
}

/** What a request was, kept beside its answers for people and for `explain`. */
export interface RequestRecord {
  /** The request's key. */
  readonly key: Key;
  /** What keeps it apart from the same request of somebody else. */
  readonly namespace: string;
  /** Who was asked. */
  readonly provider: string;
  /** The path at the provider, without query. */
  readonly endpoint: string;
  /** Content identity of a local model, else `null`. */
  readonly identity: string | null;
  /** The canonical JSON of the request's body less what the key ignores, in UTF-8. */
  readonly body: Uint8Array;
}

/** One question in a lookup: samples 0 to `samples` - 1 of a key. */
export interface Want {
  /** The request's key. */
  readonly key: Key;
  /** At least 1. */
  readonly samples: number;
}

/** The answer to one {@link Want}. */
export interface Found {
  /** The valid samples that are there, ascending from 0 without a gap, as many as were asked for at most. */
  readonly entries: readonly StoredEntry[];
  /** Some row was written under an older schema version; it is not in `entries`. */
  readonly stale: boolean;
  /** Some row's time had come; it is not in `entries`. */
  readonly expired: boolean;
  /** Some row's checksum was wrong; it is not in `entries`. */
  readonly corrupt: boolean;
}

/**
 * Where new entries go: `append` after the samples that can be served (two writers never overwrite each other's; rows
 * that are broken, expired or of an older version give way), or `replace` samples 0, 1, … and leave those beyond.
 */
export type Placement = "append" | "replace";

/** How much a store holds. */
export interface StoreSize {
  /** Stored answers, over all models. */
  readonly entries: number;
  /** Bytes of the answers as they are returned. */
  readonly bodyBytes: number;
  /** Bytes of the answers as stored, compressed. */
  readonly storedBytes: number;
}

/**
 * Where entries live, apart by model. All methods throw or reject with {@link ./error.ts CacheError} only. A broken
 * row is never an error and never an answer: it is reported in {@link Found}.
 */
export interface Store {
  /** Which backend this is: `sqlite`, `memory`, … */
  readonly name: string;
  /** Where it lives, for people: a directory, a URL. */
  readonly location: string;
  /** Looks up many keys in one pass; results are in the order of `wants`. Creates nothing. */
  lookup(model: string, wants: readonly Want[]): MaybePromise<readonly Found[]>;
  /** Stores a request and its answers, all or nothing. */
  put(
    model: string,
    request: RequestRecord,
    entries: readonly NewEntry[],
    placement: Placement,
  ): MaybePromise<void>;
  /** How much is stored now. */
  size(): MaybePromise<StoreSize>;
  /** Writes out what waits and lets go of every file. Closing twice is no error. */
  close(): MaybePromise<void>;
}
