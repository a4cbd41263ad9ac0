/**
 * One database looked at in slices: its pages first, then its rows. Pages are read through the connection, in a state
 * that must not change before all are seen; where others write all the time that is tried again a few times, and then
 * left to whoever finds a quiet moment.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import type { ModelFindings, VerifyOptions } from "../verify.ts";
import type { RowTools } from "./entry_row.ts";
import type { PageReader } from "./verify_pages.ts";
import type { RowSource } from "./verify_rows.ts";
import { RowCheck } from "./verify_rows.ts";
import { walkStructure } from "./verify_structure.ts";

/** A slice is no longer, but for the row it is at. */
const SLICE: Milliseconds = 3;
/** How often the walk through the pages begins anew after somebody has written. */
const MOST_WALKS = 4;
/** A file so broken says the same a thousand times. */
const MOST_STRUCTURE_PROBLEMS = 64;
/** SQLite looks at a database of so many bytes itself within some milliseconds. */
const SMALL = 256 * 1024;

/** A database as it is now. */
export interface CheckedDatabase extends RowSource {
  /** The same as before only if nobody has written since. */
  readonly stamp: number;
}

/** The check of one database. */
export class DatabaseCheck {
  readonly #clock: Clock;
  readonly #findings: ModelFindings;
  readonly #steps: Generator<undefined, void>;
  #source!: CheckedDatabase;

  /** `onRow` is told of each row that was looked at. */
  constructor(
    tools: RowTools,
    clock: Clock,
    findings: ModelFindings,
    options: Pick<VerifyOptions, "deep" | "checkKey">,
    onRow: () => void = () => {},
  ) {
    this.#clock = clock;
    this.#findings = findings;
    const now = (): Milliseconds => clock.now();
    this.#steps = this.#all(new RowCheck({ source: () => this.#source, tools, findings, options, now, onRow }));
  }

  /** Looks at some, in a read transaction that has begun; whether all was seen. */
  some(source: CheckedDatabase): boolean {
    this.#source = source;
    const end = this.#clock.monotonic() + SLICE;
    while (!this.#steps.next().done) if (this.#clock.monotonic() >= end) return false;
    return true;
  }

  *#all(rows: RowCheck): Generator<undefined, void> {
    yield* this.#pages();
    yield* rows.all();
  }

  *#pages(): Generator<undefined, void> {
    for (let walks = 0; walks < MOST_WALKS; walks++) {
      const problems: string[] = [];
      const { stamp } = this.#source;
      const reader = pagesOf(() => this.#source);
      if (reader.count * reader.pageSize <= SMALL) problems.push(...this.#integrity());
      const walk = walkStructure(reader, (what) => {
        if (problems.length < MOST_STRUCTURE_PROBLEMS) problems.push(what);
      });
      let isSame = true;
      while (isSame && !walk.next().done) {
        yield;
        isSame = this.#source.stamp === stamp;
      }
      if (!isSame) continue;
      for (const what of problems) this.#findings.add("structure", what);
      return;
    }
    const advice = "verify it again when fewer write to it";
    this.#findings.add("skipped", `how its pages hang together: others wrote to it all the time; ${advice}`);
  }

  /** What SQLite itself says. */
  #integrity(): string[] {
    const rows = this.#source.statement(`PRAGMA integrity_check(${MOST_STRUCTURE_PROBLEMS})`).all().flat();
    return rows.filter((row) => row !== "ok").map(String);
  }
}

/** The pages of a database that is open. */
function pagesOf(source: () => CheckedDatabase): PageReader {
  const number = (sql: string): number => source().statement(sql).get()?.[0] as number;
  const pageSize = number("PRAGMA page_size");
  return {
    pageSize,
    count: number("PRAGMA page_count"),
    page(page) {
      const data = source().statement("SELECT data FROM sqlite_dbpage WHERE pgno = ?").get(page)?.[0];
      return data instanceof Uint8Array && data.byteLength === pageSize ? data : undefined;
    },
  };
}
