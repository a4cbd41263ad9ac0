/**
 * What a source of answers finds in itself, one request at a time: either something to carry, or something to leave, with
 * the reason. Every reader of a format gives these, so that carrying, counting and resuming are written once.
 *
 * @module
 */

import type { NewEntry, RequestRecord } from "../store/store.ts";

/**
 * Why an answer stays behind.
 *
 * - `expired`: its time has passed, and expired answers were not asked for.
 * - `broken`: the record cannot be read: a torn file, a wrong checksum, no JSON, a pickle with more than plain data.
 * - `older_schema`: the row has a version that its own program no longer reads.
 * - `too_long`: the record is larger than is read into memory at once.
 * - `outside`: the record names a file outside its folder, which is never opened.
 * - `request_unknown`: only a digest of the request is stored, so nobody can tell what was asked.
 * - `request_incomplete`: part of the request is not stored, or not in the form in which it was sent.
 * - `request_unsafe`: the request cannot be keyed: it names files or accounts, or has numbers no program agrees on.
 * - `answer_incomplete`: part of the answer is not stored: log-probabilities, sound, why it ended.
 * - `wrong_prompt`: the record itself says that the answer was given to another prompt.
 * - `outcome`: the answer is an error or empty, or counts as invalid: such are never kept.
 * - `conflict`: the target has samples of another call with the same seed, which must not be mixed with these.
 * - `other_data`: the record is no answer of a language model.
 */
export type LeaveReason =
  | "expired"
  | "broken"
  | "older_schema"
  | "too_long"
  | "outside"
  | "request_unknown"
  | "request_incomplete"
  | "request_unsafe"
  | "answer_incomplete"
  | "wrong_prompt"
  | "outcome"
  | "conflict"
  | "other_data";

/** A request and its answers, ready to be stored. */
export interface Carried {
  readonly type: "carry";
  /** The record's name in its source, for the report: a key or a place, never a prompt. */
  readonly id: string;
  readonly model: string;
  readonly request: RequestRecord;
  /** In the order in which they were stored. */
  readonly entries: readonly NewEntry[];
  /** Whether the source says when they were stored. */
  readonly isDated: boolean;
  readonly tags: readonly string[];
}

/** Answers that stay behind. */
export interface Left {
  readonly type: "left";
  readonly id: string;
  /** The model asked, where that is known. */
  readonly model?: string;
  readonly reason: LeaveReason;
  /** What exactly, in words without any of the prompt. */
  readonly detail: string;
  /** How many answers. */
  readonly answers: number;
}

/** One thing found. */
export type Finding = Carried | Left;

/** Something to carry answers from. */
export interface Source {
  /** Its format: `store` for one of ours. */
  readonly format: string;
  /** Where it is, for people. */
  readonly location: string;
  /** What the format never holds, in sentences, for the report. */
  readonly notes: readonly string[];
  /**
   * All that is there, in an order that is the same the next time as far as the source allows.
   *
   * @throws CacheError when the source cannot be read any further.
   */
  findings(): AsyncIterable<Finding>;
  /** How much there is, in the unit of progress, where that is known beforehand. */
  total?(): Promise<number | undefined>;
}

/** Something that stays behind. */
export function left(id: string, reason: LeaveReason, detail: string, model?: string, answers = 1): Left {
  return { type: "left", id, reason, detail, answers, ...(model !== undefined && { model }) };
}

/** What is found in one record; one that is nested more deeply than the stack is broken, and takes no other with it. */
export async function* inOneRecord(
  id: string,
  findings: AsyncIterable<Finding> | Iterable<Finding>,
): AsyncGenerator<Finding> {
  try {
    yield* findings;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    yield left(id, "broken", "it is nested too deeply");
  }
}
