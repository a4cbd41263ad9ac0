/**
 * What repairing a cache's files comes to: plain data, to be printed, sent and compared.
 *
 * @module
 */

import type { CacheErrorCode } from "./error.ts";
import type { ProblemKind } from "./verify.ts";

/**
 * What became of a file:
 *
 * - `sound`: nothing is wrong with it, and it was left as it is.
 * - `repaired`: another has taken its place, with all of it that could be read; it is kept beside that.
 * - `refused`: it is not ours to repair, and was left as it is; `reason` says why.
 * - `failed`: it could not be repaired, and was left as it is; `reason` says why.
 */
export type RepairOutcome = "sound" | "repaired" | "refused" | "failed";

/** What was taken over into the new file, and what was not. */
export interface SalvageCounts {
  /** Answers that were taken over, each sample counted as one. */
  readonly entries: number;
  /** Answers that an index names, and that could not be read. */
  readonly lost: number;
  /** Answers of which nothing says that they were not deleted; left out. */
  readonly doubtful: number;
  /** Answers that were whole, but whose dictionary is lost; left out. */
  readonly withoutDictionary: number;
  /** Rows with a wrong checksum that were come by. */
  readonly broken: number;
  /** Requests, each counted once. */
  readonly requests: number;
  /** Answers whose request is lost: they are found, but neither listed nor removed by namespace. */
  readonly withoutRequest: number;
  /** Dictionaries that answers are compressed with. */
  readonly dictionaries: number;
  /** Tags of requests. */
  readonly tags: number;
}

/** What became of one file. */
export interface FileRepair {
  /** Which file. */
  readonly file: string;
  /** Whose answers it holds; `null` where that cannot be told. */
  readonly model: string | null;
  /** How it ended. */
  readonly outcome: RepairOutcome;
  /** Why it was refused or failed. */
  readonly reason: string | null;
  /** The same for programs. */
  readonly code: CacheErrorCode | null;
  /** Where the file is now that was there before, if another has taken its place. */
  readonly kept: string | null;
  /** What was wrong: how often each kind of problem was found. */
  readonly problems: Readonly<Partial<Record<ProblemKind, number>>>;
  /** What was salvaged, of a file that was repaired. */
  readonly salvaged: SalvageCounts | null;
  /** What else is to be said. */
  readonly notes: readonly string[];
}

/** What became of a directory. */
export interface RepairReport {
  /** Whether all files are sound now. */
  readonly ok: boolean;
  /** Which one. */
  readonly directory: string;
  /** Each of its files. */
  readonly files: readonly FileRepair[];
}
