/**
 * The contract between what a response cache means (`cache/`) and where its entries live (`store/`). A store knows
 * keys, samples and rows; it knows nothing of requests, providers or money.
 *
 * @module
 */

import type { Milliseconds } from "../runtime/runtime.ts";
import type { CacheError } from "./error.ts";
import type { VerifyOptions, VerifyReport } from "./verify.ts";

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
  /** Its place among the answers to this request that were found, from 0. */
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
  /** 16 bytes by which requests that resemble each other are found; see {@link Store.nearest}. */
  readonly sketch: Uint8Array;
}

/** One question in a lookup: the first samples of a key that can be served. */
export interface Want {
  /** The request's key. */
  readonly key: Key;
  /** At least 1. */
  readonly samples: number;
  /** How long after its time a row is still wanted; 0 by default. Whoever asks so looks at `expires`. */
  readonly grace?: Milliseconds;
  /**
   * It is only looked at, by whoever goes through all that is stored, and so is not used: a store that has to make room
   * goes by what was not used for longest. One that cannot tell may count it all the same.
   */
  readonly peek?: true;
  /** The request whose key it is, for a store that keeps a copy of what it finds elsewhere. Made when asked for. */
  readonly record?: () => RequestRecord;
}

/** The answer to one {@link Want}. */
export interface Found {
  /**
   * The valid samples that are there, in the order in which they were put, as many as were asked for at most; behind them
   * those whose time, but not the grace asked for, had passed. What was removed, has expired or is broken is passed over:
   * it hides no other sample, whether it has been swept out yet or not. So a sample's place changes only when one before
   * it goes.
   */
  readonly entries: readonly StoredEntry[];
  /** Of the rows looked at to find them, some was written under an older schema version; it is not in `entries`. */
  readonly stale: boolean;
  /** Some such row's time, and the grace asked for, had passed; it is not in `entries`. */
  readonly expired: boolean;
  /** Some such row's checksum was wrong; it is not in `entries`. */
  readonly corrupt: boolean;
}

/**
 * Where new entries go:
 *
 * - `append`: after the samples that can be served. Two writers never overwrite each other's; rows that are broken,
 *   expired or of an older version give way.
 * - `replace`: in place of the samples that can be served, the first first, then after them; those beyond stay.
 * - `replace_all`: samples 0, 1, …; those beyond go, in the same transaction.
 */
export type Placement = "append" | "replace" | "replace_all";

/** What is stored with a request besides its answers. */
export interface PutOptions {
  /** Words by which the entries of a request can be removed together; added to those it has. */
  readonly tags?: readonly string[];
}

/** Which entries: those that fit everything that is said. */
export interface Selection {
  /** Of requests to this model. */
  readonly model?: string;
  /** Of these requests. */
  readonly keys?: readonly Key[];
  /** Of requests in this namespace, and no other. */
  readonly namespace?: string;
  /** Of requests with this tag. */
  readonly tag?: string;
  /** That ended so. */
  readonly outcome?: Outcome;
  /** Stored before, in milliseconds since 1970. */
  readonly createdBefore?: number;
}

/** What was removed. */
export interface Removed {
  /** Answers, each sample counted as one. */
  readonly entries: number;
  /** Bytes of these as they were stored. */
  readonly storedBytes: number;
}

/** What is known of the calls for a request that failed. */
export interface FailureRecord {
  /** How many have failed so far. */
  readonly count: number;
  /** When the last one did, in milliseconds since 1970. */
  readonly last: number;
  /** Until when it need not be tried again, in milliseconds since 1970; `null` when it may be at once. */
  readonly expires: number | null;
  /** What it failed with: JSON in UTF-8, as the cache wrote it. */
  readonly error: Uint8Array;
}

/** A failure to be recorded. */
export type NewFailure = Omit<FailureRecord, "count">;

/** What came of asking for a claim: granted, or somebody else has it until then unless he renews it. */
export type ClaimReply = { readonly granted: true } | { readonly granted: false; readonly expires: number };

/**
 * What processes that share a store tell each other about calls under way, so that one of them calls and the others wait.
 * A claim is an expiring promise to call: a holder that dies keeps nobody waiting longer than that.
 */
export interface Claims {
  /** Claims a request for `duration`, unless somebody else has; who has it already gets it anew. */
  claim(model: string, key: Key, holder: string, duration: Milliseconds): MaybePromise<ClaimReply>;
  /** Gives a claim up, if `holder` has it. */
  release(model: string, key: Key, holder: string): MaybePromise<void>;
}

/** A stored request, and the model whose it is. */
export interface ListedRequest {
  /** The model the request named; `_none` where it named none. */
  readonly model: string;
  /** What was asked. */
  readonly request: RequestRecord;
  /** The words that {@link PutOptions.tags} has given it, in any order; absent where the store cannot tell. */
  readonly tags?: readonly string[];
}

/** What went wrong behind a call that was answered all the same. */
export interface StoreFault {
  /** A lookup that was answered from elsewhere, or a put that will not be there although it was acknowledged. */
  readonly type: "lookup_failed" | "write_failed";
  /** Whose request it was. */
  readonly model: string;
  /** Why. */
  readonly error: CacheError;
}

/** Remembers failures by request. They are counted for as long as the request is known. */
export interface Failures {
  /** Counts a failure and remembers it as the last one. */
  record(model: string, key: Key, failure: NewFailure): MaybePromise<void>;
  /** The last failure of a request, if there was one. */
  last(model: string, key: Key): MaybePromise<FailureRecord | undefined>;
}

/** Amounts by name, to be added up. */
export type Amounts = Readonly<Record<string, number>>;

/** The amounts of one model on one day. */
export interface DailyAmounts {
  /** Whose requests they are about. */
  readonly model: string;
  /** The day in UTC: `2026-11-22`. */
  readonly day: string;
  /** What was added up on that day. */
  readonly amounts: Amounts;
}

/** Adds up what happened, by model and day, over all processes and all time. */
export interface DailyLedger {
  /** Adds to a day's amounts: in memory at once, in the store when there is time, and before it is closed. */
  add(daily: DailyAmounts): void;
  /** All that was added so far, here and by others who have written theirs down. */
  read(): MaybePromise<readonly DailyAmounts[]>;
}

/** How much a store holds. */
export interface StoreSize {
  /** Stored answers, over all models. */
  readonly entries: number;
  /** Bytes of the answers as they are returned. */
  readonly bodyBytes: number;
  /** Bytes of the answers as stored, compressed. */
  readonly storedBytes: number;
  /** Bytes that all of it takes where it lives, requests and indexes and logs included. */
  readonly totalBytes: number;
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
    options?: PutOptions,
  ): MaybePromise<void>;
  /** Removes entries, and what is known of requests that have none left. */
  remove(selection: Selection): MaybePromise<Removed>;
  /**
   * The stored requests whose sketches resemble one most, the nearest first, `limit` at most; those to `model` only, if
   * one is given.
   */
  nearest(sketch: Uint8Array, limit: number, model?: string): MaybePromise<readonly RequestRecord[]>;
  /**
   * The stored requests, each once, in no order that means anything; of one model or one namespace only, where that is
   * said. Taken a few at a time: of what is put or removed meanwhile, some may be among them.
   */
  list(selection?: Pick<Selection, "model" | "namespace">): AsyncIterable<ListedRequest>;
  /**
   * A word for what is stored of a request, quick to get: as long as it is the same, {@link lookup} finds the same, time
   * apart, whoever else uses the store. `undefined` when that cannot be told just now; absent where it never can.
   */
  stamp?(model: string, key: Key): string | number | undefined;
  /**
   * Has `listener` hear of what goes wrong behind calls that have been answered; the last one set is the one. Absent
   * where nothing can.
   */
  onFault?(listener: (fault: StoreFault) => void): void;
  /** Present where nothing can be put or removed: both throw {@link CacheError} `read_only`. */
  readonly isReadOnly?: true;
  /** Absent where nobody else can be using the store. */
  readonly claims?: Claims;
  /** Absent where failures are not remembered. */
  readonly failures?: Failures;
  /** Absent where nothing outlives the process. */
  readonly ledger?: DailyLedger;
  /**
   * Looks at all that is stored, not only what is asked for, and changes nothing. Absent where a lookup sees as much.
   *
   * @throws the signal's reason.
   */
  verify?(options: VerifyOptions): Promise<VerifyReport>;
  /** How much is stored now. */
  size(): MaybePromise<StoreSize>;
  /** The same by model; what is of no model in particular is left out. Absent where that cannot be told apart. */
  modelSizes?(): MaybePromise<ReadonlyMap<string, StoreSize>>;
  /** Writes out what waits and lets go of every file. Closing twice is no error. */
  close(): MaybePromise<void>;
}
