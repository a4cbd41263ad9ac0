/**
 * What a repair calls the files it makes beside a database.
 *
 * @module
 */

import type { Files, Milliseconds } from "../../runtime/runtime.ts";

const ORIGINAL = /\.sqlite\.broken-\d{8}T\d{6}Z(?:-\d+)?$/;
const UNFINISHED = /\.sqlite\.repair-\d{8}T\d{6}Z(?:-\d+)?$/;

/** Which file of a repair a name is; `undefined` for all others. */
export function keptNameOf(name: string): "original" | "unfinished" | undefined {
  if (ORIGINAL.test(name)) return "original";
  return UNFINISHED.test(name) ? "unfinished" : undefined;
}

/** Where a database that is replaced is kept, and the folder in which its successor is made: names nobody has yet. */
export function repairPaths(
  files: Files,
  path: string,
  now: Milliseconds,
): { readonly original: string; readonly workshop: string } {
  const time = new Date(now).toISOString().replace(/[-:]/g, "").replace(/\.\d+Z$/, "Z");
  for (let attempt = 1;; attempt++) {
    const suffix = attempt === 1 ? time : `${time}-${attempt}`;
    const [original, workshop] = [`${path}.broken-${suffix}`, `${path}.repair-${suffix}`];
    const taken = [original, `${original}-wal`, `${original}-shm`, `${original}-journal`, workshop];
    if (!taken.some((each) => files.exists(each))) return { original, workshop };
  }
}
