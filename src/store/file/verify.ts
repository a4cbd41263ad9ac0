/**
 * Looks at every file of a store: whether each can be read, whether the checksums of what it holds are right, whether it
 * lies where it belongs; and at what lies about. Nothing is changed.
 *
 * @module
 */

import { bytesOfHex } from "../../runtime/hex.ts";
import { messageOf } from "../../runtime/message.ts";
import { CacheError } from "../error.ts";
import type { Findings, ModelFindings, VerifyOptions } from "../verify.ts";
import type { Bin, Contents } from "./bin.ts";
import { binPath, brokenPaths, keysIn, modelFolders, namePath, temporariesIn } from "./folder.ts";
import type { SurveyPlace } from "./survey.ts";
import { Turns } from "./turns.ts";

/**
 * Adds what is found to `findings`.
 *
 * @throws FileError when a directory cannot be read; the signal's reason.
 */
export async function verifyBins(place: SurveyPlace, options: VerifyOptions, findings: Findings): Promise<void> {
  const { runtime: { files, clock }, directory, reader, folderOf } = place;
  const { model, onProgress, signal } = options;
  const folders = model === undefined ? await modelFolders(files, directory) : [folderOf(model)];
  const turns = new Turns(clock);
  let done = 0;
  for (const folder of folders) {
    const of = findings.of(model ?? await nameIn(place, folder));
    const note = (what: string): void => of.add("leftover", what);
    for (const path of await temporariesIn(files, folder)) note(`${path}: left by a process that was killed`);
    for await (const keys of keysIn(files, folder)) {
      if (keys.length > 0) {
        const shard = binPath(folder, keys[0]!).replace(/\/[^/]*$/, "");
        for (const path of await temporariesIn(files, shard)) note(`${path}: left by a process that was killed`);
      }
      for (const key of keys) {
        signal?.throwIfAborted();
        const path = binPath(folder, key);
        for (const broken of brokenPaths(files, path)) {
          note(`${broken}: was broken, and is kept for you to mend or remove`);
        }
        try {
          look(path, key, reader.glance(path).contents, of, options, clock.now());
        } catch (error) {
          const isNewer = error instanceof CacheError && error.code === "newer_schema";
          of.add(isNewer ? "skipped" : "unreadable", `${path}: ${messageOf(error)}`, bytesOfHex(key));
        }
        onProgress?.({ done: ++done, unit: "files" });
        if (turns.isOver()) await turns.next();
      }
    }
  }
}

function look(
  path: string,
  key: string,
  { bin, isRuin }: Contents,
  of: ModelFindings,
  { checkKey }: VerifyOptions,
  now: number,
): void {
  const id = bytesOfHex(key);
  if (isRuin) of.add("corrupt", `${path} cannot be read; the next put keeps it aside, or mend it from its history`, id);
  if (!bin) return;
  of.requests++;
  const record = bin.question()?.record;
  if (record === undefined) of.add("corrupt", `${path}: the checksum of its request does not hold`, id);
  const wrong = record && checkKey?.(record);
  if (wrong !== undefined) of.add("key", wrong, id);
  samples(path, id, bin, of, now);
  if (bin.samples.length === 0) of.add("orphan", `${path}: a request without an answer`, id);
}

function samples(path: string, id: Uint8Array, bin: Bin, of: ModelFindings, now: number): void {
  for (const [index, sample] of bin.samples.entries()) {
    of.entries++;
    const answer = sample();
    if (!answer) of.add("corrupt", `${path}: the checksum of an answer does not hold`, id, index);
    else if (answer.fields.expires !== null && answer.fields.expires <= now) {
      of.add("expired", "its time has passed", id, index);
    }
  }
}

/** Whose a folder is, as it says; its own name where it does not. */
async function nameIn({ runtime: { files } }: SurveyPlace, folder: string): Promise<string> {
  const own = folder.slice(folder.lastIndexOf("/") + 1);
  try {
    const said = JSON.parse(new TextDecoder().decode(await files.read(namePath(folder)))) as
      | { model?: unknown }
      | string;
    const name = typeof said === "string" ? said : said?.model;
    return typeof name === "string" ? name : own;
  } catch {
    return own;
  }
}
