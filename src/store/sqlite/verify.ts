/**
 * Verifies all databases of a directory, beside whoever uses them: a slice at a time, in read transactions of some
 * milliseconds. Nothing is changed; what to do about what is found is for {@link ./repair.ts}.
 *
 * @module
 */

import type { Files } from "../../runtime/runtime.ts";
import type { CacheError } from "../error.ts";
import type { VerifyOptions, VerifyReport } from "../verify.ts";
import { Findings } from "../verify.ts";
import type { Databases, DatabasesSettings } from "./databases.ts";
import { toCacheError } from "./failure.ts";
import { modelsIn } from "./model_list.ts";
import { isDatabaseName } from "./names.ts";
import { keptNameOf } from "./repair_names.ts";
import { Slices } from "./slices.ts";
import { DatabaseCheck } from "./verify_database.ts";

/** Looks at the databases of a store, or at that of one model. */
export async function verifyDatabases(
  databases: Databases,
  settings: DatabasesSettings,
  options: VerifyOptions,
): Promise<VerifyReport> {
  const { runtime, directory, tools } = settings;
  const { model, onProgress, signal } = options;
  const findings = new Findings({ name: "sqlite", location: directory }, options);
  const slices = new Slices(databases, runtime.clock);
  const fail = (model: string | null, error: unknown): void => {
    const failure = toCacheError(error);
    if (failure.code === "closed") throw failure;
    const { kind, what } = problemOf(failure);
    if (model === null) findings.add({ kind, model, key: null, sample: null, what });
    else findings.of(model).add(kind, what);
  };
  databases.refuseClosed();
  let models: Iterable<string> = model === undefined ? [] : [model];
  if (model === undefined) {
    const found = await modelsIn(databases, settings);
    models = found.models.values();
    for (const failure of found.failures) fail(null, failure);
    await noteLeftovers(runtime.files, directory, findings);
  }
  let done = 0;
  for (const name of models) {
    signal?.throwIfAborted();
    const check = new DatabaseCheck(tools, runtime.clock, findings.of(name), options, () => done++);
    try {
      for (let isDone = false; !isDone;) {
        isDone = await slices.use(name, "verify", ({ connection }) => {
          connection.enterReading(runtime.clock.now());
          const { stamp } = connection.owned;
          return check.some({ stamp, statement: (sql) => connection.statement(sql) });
        }) ?? true;
        onProgress?.({ done, unit: "rows" });
        signal?.throwIfAborted();
      }
    } catch (error) {
      signal?.throwIfAborted();
      fail(name, error);
    }
  }
  return findings.report;
}

/** Who holds it, or wrote it with a newer program, has done it no harm. */
function problemOf({ code, message }: CacheError): { kind: "skipped" | "unreadable"; what: string } {
  const isHarmless = code === "locked" || code === "newer_schema";
  return { kind: isHarmless ? "skipped" : "unreadable", what: message };
}

/** What lies about: logs without a database, what a repair has kept, what one left when it was killed. */
async function noteLeftovers(files: Files, directory: string, findings: Findings): Promise<void> {
  const entries = await files.list(directory);
  const names = new Set(entries.map(({ name }) => name));
  const note = (what: string): void =>
    findings.add({ kind: "leftover", model: null, key: null, sample: null, what: `${directory}/${what}` });
  for (const { name } of entries) {
    const [, database] = /^(.*)-(?:wal|journal)$/.exec(name) ?? [];
    if (database !== undefined && isDatabaseName(database) && !names.has(database)) {
      note(`${name}: the log of a database that is not there`);
    }
    const kept = keptNameOf(name);
    if (kept === "original") note(`${name}: kept by a repair; remove it when you miss nothing`);
    if (kept === "unfinished") note(`${name}: left by a repair that was ended; remove it`);
  }
}
