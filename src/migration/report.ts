/**
 * The account of a migration: what was read, what came over, what was there already, and what stayed behind and why.
 * Plain data, so that a program can test it and the command line only has to print it. It names records by their keys and
 * places: a report may be shown to people who must not see the prompts.
 *
 * @module
 */

import type { Finding, LeaveReason } from "./finding.ts";

/** Answers that stayed behind for one reason. */
export interface LeftAnswers {
  /** In one word. */
  readonly reason: LeaveReason;
  /** What exactly. */
  readonly detail: string;
  /** How many. */
  readonly answers: number;
  /** The first few records, by their names in the source. */
  readonly examples: readonly string[];
}

/** What became of one model's answers. A sample counts as one. */
export interface ModelMigration {
  /** The model the requests named; `_unknown` for records that do not tell. */
  readonly model: string;
  /** Answers found in the source: the sum of the next three. */
  readonly read: number;
  /** Answers stored in the target; in a dry run, those that would be. */
  readonly carried: number;
  /** Answers the target had already. */
  readonly present: number;
  /** Answers that stayed behind. */
  readonly left: number;
  /** Why, most first. */
  readonly reasons: readonly LeftAnswers[];
}

/** What became of a migration. */
export interface MigrationReport {
  /** The format of the source: `store`, `safety-tooling`, `langchain`, `promptfoo`, `litellm`. */
  readonly format: string;
  /** Where the answers came from. */
  readonly from: string;
  /** Where they went. */
  readonly to: string;
  /** Whether nothing was written. */
  readonly dryRun: boolean;
  /** Answers found, over all models; and so on as in {@link ModelMigration}. */
  readonly read: number;
  /** Answers stored. */
  readonly carried: number;
  /** Answers the target had. */
  readonly present: number;
  /** Answers that stayed behind. */
  readonly left: number;
  /** By model, in the order of their names. */
  readonly models: readonly ModelMigration[];
  /** What the source's format never holds, in sentences. */
  readonly notes: readonly string[];
}

const UNKNOWN = "_unknown";
const MOST_EXAMPLES = 3;
/** Different details are told apart, but a hostile source must not fill memory with them. */
const MOST_REASONS = 64;
const LONGEST_EXAMPLE = 100;

interface Tally {
  carried: number;
  present: number;
  left: number;
  readonly reasons: Map<string, { reason: LeaveReason; detail: string; answers: number; examples: string[] }>;
}

/** Keeps the account while a migration runs. */
export class Account {
  readonly #models = new Map<string, Tally>();

  /** Answers to a request that were stored, and that were there. */
  count(model: string, carried: number, present: number): void {
    const tally = this.#of(model);
    tally.carried += carried;
    tally.present += present;
  }

  /** Answers that stay behind. */
  leave({ id, model = UNKNOWN, reason, detail, answers }: Extract<Finding, { type: "left" }>): void {
    const tally = this.#of(model);
    tally.left += answers;
    const exact = `${reason} ${detail}`;
    const name = tally.reasons.has(exact) || tally.reasons.size < MOST_REASONS ? exact : reason;
    let kept = tally.reasons.get(name);
    if (kept === undefined) {
      kept = { reason, detail: name === exact ? detail : "for various causes", answers: 0, examples: [] };
      tally.reasons.set(name, kept);
    }
    kept.answers += answers;
    if (kept.examples.length < MOST_EXAMPLES) kept.examples.push(id.slice(0, LONGEST_EXAMPLE));
  }

  /** The account so far. */
  report(about: Pick<MigrationReport, "format" | "from" | "to" | "dryRun" | "notes">): MigrationReport {
    const models = [...this.#models].sort(([one], [other]) => one < other ? -1 : 1)
      .map(([model, { carried, present, left, reasons }]): ModelMigration => ({
        model,
        read: carried + present + left,
        carried,
        present,
        left,
        reasons: [...reasons.values()].sort((one, other) => other.answers - one.answers),
      }));
    const sum = (of: (model: ModelMigration) => number): number => models.reduce((all, model) => all + of(model), 0);
    return {
      ...about,
      read: sum(({ read }) => read),
      carried: sum(({ carried }) => carried),
      present: sum(({ present }) => present),
      left: sum(({ left }) => left),
      models,
    };
  }

  #of(model: string): Tally {
    let tally = this.#models.get(model);
    if (tally === undefined) {
      this.#models.set(model, tally = { carried: 0, present: 0, left: 0, reasons: new Map() });
    }
    return tally;
  }
}
