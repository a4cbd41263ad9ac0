/**
 * Has a database's files at hand where opening or making one takes time that SQLite does not give
 * ({@link ../runtime/runtime.ts Files.prepare}). Elsewhere nothing is done.
 *
 * @module
 */

import type { Files } from "../runtime/runtime.ts";

/** What lies beside a database, or will, where nobody shares it. */
const PARTS: readonly string[] = ["", "-journal", "-wal", "-owner"];

/**
 * For who opens the database at `path`, and makes what is missing.
 *
 * @throws FileError
 */
export async function prepareDatabase(files: Files, path: string): Promise<void> {
  await files.prepare?.(PARTS.map((part) => path + part));
}

/**
 * For who reads what is there and makes nothing.
 *
 * @throws FileError
 */
export async function prepareToRead(files: Files, path: string): Promise<void> {
  await files.prepare?.(PARTS.map((part) => path + part).filter((each) => files.exists(each)));
}
