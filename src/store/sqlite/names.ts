/**
 * How a model's database is called: as everything of that model is ({@link ../names.ts}), and `.sqlite`.
 *
 * @module
 */

import type { Runtime } from "../../runtime/runtime.ts";
import { fileNameOf, isFileName } from "../names.ts";

const ENDING = ".sqlite";

/** The file name of a model's database. */
export function databaseName(model: string, sha256: Runtime["sha256"]): string {
  return `${fileNameOf(model, sha256)}${ENDING}`;
}

/** Whether a file is called as {@link databaseName} would call it. */
export function isDatabaseName(name: string): boolean {
  return name.endsWith(ENDING) && isFileName(name.slice(0, -ENDING.length));
}
