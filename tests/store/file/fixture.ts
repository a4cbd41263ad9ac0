/** File stores on real files. What is put into them is what the SQLite store's tests put into theirs. */

import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { FileStoreOptions } from "../../../src/store/file/file_store.ts";
import { openFileStore } from "../../../src/store/file/file_store.ts";
import { fileNameOf } from "../../../src/store/names.ts";
import type { Store } from "../../../src/store/store.ts";
import { keyOf, machine, MODEL } from "../sqlite/fixture.ts";

export { at, entryOf, find, keyOf, machine, MODEL, NOW, requestOf, texts } from "../sqlite/fixture.ts";

/** A store in a folder, with defaults for tests. */
export function openFiles(directory: string, options: Partial<FileStoreOptions> = {}): Promise<Store> {
  return openFileStore({ runtime: machine, directory, ...options });
}

/** The folder of a model. */
export function folderIn(directory: string, model: string = MODEL): string {
  return join(directory, fileNameOf(model, (bytes) => createHash("sha256").update(bytes).digest()));
}

/** Where the bin of a request known by a word lies. */
export function binIn(directory: string, word: string, model: string = MODEL): string {
  const key = Array.from(keyOf(word), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return join(folderIn(directory, model), key.slice(0, 2), `${key}.json`);
}

/** Everything in a folder and below, as paths from there; folders end with a slash. */
export async function treeOf(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  const inner = entries.map(async (entry) =>
    entry.isDirectory()
      ? [`${entry.name}/`, ...(await treeOf(join(directory, entry.name))).map((path) => `${entry.name}/${path}`)]
      : [entry.name]
  );
  return (await Promise.all(inner)).flat().sort();
}
