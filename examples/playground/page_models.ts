/// <reference lib="dom" />
/** What runs in this page, and what is kept in this browser: the rest of the page sees no more of them than this. */

import type { Answerer } from "./answerer.ts";
import type { Question, Side } from "./question.ts";
import type { Residence } from "./residence.ts";

/** A question that the cache has answers to. */
export interface Asked {
  /** With the lowest of its seeds. */
  readonly question: Question;
  /** How many samples in a row there are. */
  readonly samples: number;
  /** When the newest answer was generated, in milliseconds since 1970. */
  readonly created: number;
}

/** What the cache did, in all tabs and all time. */
export interface Savings {
  readonly hits: number;
  readonly lookups: number;
  /** Tokens that were not generated again. */
  readonly tokens: number;
  /** Milliseconds that were not waited for again. */
  readonly waiting: number;
  readonly entries: number | null;
  readonly storedBytes: number | null;
  /** How many times shorter answers are as stored. */
  readonly ratio: number | null;
  /** Where answers are kept, for people. */
  readonly place: string;
  /** Whether that is in files, which can be taken along. */
  readonly isInFiles: boolean;
}

/** Answers in this page. */
export interface PageModels extends Answerer {
  /** Hears what becomes of the model, and at once how it is. */
  onResidence(listener: (residence: Residence) => void): void;
  /** What was asked before, newest first. */
  history(): Promise<Asked[]>;
  savings(): Promise<Savings>;
  /** The database with a side's answers, by the name under which servers look for it. */
  database(side: Side): Promise<File>;
  /** Removes all answers. */
  forget(): Promise<void>;
  /** Lets go of the model and its memory. */
  coolDown(): Promise<void>;
}
