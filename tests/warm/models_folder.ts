/** Models directories on disk, and the real runtime to look at them with. */

import { mkdir, utimes, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { FileDigest, Runtime } from "../../src/runtime/runtime.ts";
import { Catalogue } from "../../src/warm/catalogue.ts";

/** A catalogue on the real file system. */
export async function catalogueOver(directory: string, hub?: string): Promise<Catalogue> {
  return new Catalogue({ runtime: await loadRuntime(), directory, ...(hub === undefined ? {} : { hub }) });
}

/** The files of a base as small texts, enough for whoever only looks at their names. */
export const BASE_FILES: readonly string[] = ["config.json", "tokenizer.json", "onnx/model.onnx"];

/** The files of an adapter. */
export const ADAPTER_FILES: readonly string[] = ["adapter_config.json", "adapter_model.safetensors"];

/** Writes files, each with its own path as content, last changed at `seconds` since 1970. */
export async function writeFiles(folder: string, paths: readonly string[], seconds = 1_000_000_000): Promise<void> {
  for (const path of paths) {
    await mkdir(dirname(`${folder}/${path}`), { recursive: true });
    await writeFile(`${folder}/${path}`, path);
    await utimes(`${folder}/${path}`, seconds, seconds);
  }
}

/** Writes files that say something. */
export async function writeTexts(folder: string, texts: Readonly<Record<string, unknown>>): Promise<void> {
  for (const [path, text] of Object.entries(texts)) {
    await mkdir(dirname(`${folder}/${path}`), { recursive: true });
    await writeFile(`${folder}/${path}`, typeof text === "string" ? text : JSON.stringify(text));
  }
}

/** A runtime whose clock is ahead, so that files that were just written count as settled, and that tells what it hashes. */
export async function watchedRuntime(ahead = 60_000): Promise<Runtime & { readonly hashed: string[] }> {
  const runtime = await loadRuntime();
  const hashed: string[] = [];
  const digestFile = (path: string): Promise<FileDigest> => {
    hashed.push(path);
    return runtime.digestFile(path);
  };
  return { ...runtime, clock: { ...runtime.clock, now: () => runtime.clock.now() + ahead }, digestFile, hashed };
}
