/** The SQLite of the runtime that the tests run on. */

import process from "node:process";
import type { NativeDatabase } from "../../../src/sqlite/native_driver.ts";

/** Opens a file, or `:memory:`. */
export async function openNative(path: string): Promise<NativeDatabase> {
  if (process.versions.bun !== undefined) {
    const name = "bun:sqlite";
    const { Database } = await import(name) as { Database: new (path: string) => NativeDatabase };
    return new Database(path);
  }
  const { DatabaseSync } = await import("node:sqlite");
  return new DatabaseSync(path) as unknown as NativeDatabase;
}
