/**
 * What lies where in a directory, and what of it is ours:
 *
 * ```text
 * <directory>/<slug>-<hash>/                   one folder for each model (../names.ts)
 *   model.json                                 the model's exact name
 *   lock, lock-holder.json                     who writes now
 *   <two digits>/<key>.json                    a bin: one request and its answers
 *   <two digits>/<key>.json.broken-<number>    what was at a bin's place and could not be read
 * ```
 *
 * Whatever has another name is somebody else's and is not touched.
 *
 * @module
 */

import type { Files } from "../../runtime/runtime.ts";
import { isFileName } from "../names.ts";

const SHARD = /^[0-9a-f]{2}$/;
const BIN = /^([0-9a-f]{64})\.json(\.broken-\d+)?$/;
/** What replacing a file of ours leaves when the process is killed meanwhile. */
const TEMPORARY =
  /^(?:model\.json|[0-9a-f]{64}\.json(?:\.broken-\d+)?)\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.tmp$/;

/** Where the bin of a key, in hexadecimal, lies in a model's folder. */
export function binPath(folder: string, key: string): string {
  return `${shardPath(folder, key)}/${key}.json`;
}

/** Where it is said whose a model's folder is, once something is written there. */
export function namePath(folder: string): string {
  return `${folder}/model.json`;
}

/** The part of a model's folder in which a bin lies. */
export function shardPath(folder: string, key: string): string {
  return `${folder}/${key.slice(0, 2)}`;
}

/** The folders in a directory that are called like a model's. */
export async function modelFolders(files: Files, directory: string): Promise<string[]> {
  return await foldersIn(files, directory, isFileName);
}

/**
 * The keys, in hexadecimal, of what lies in a model's folder, some at a time, sorted: of bins, and of what is left of
 * broken ones.
 */
export async function* keysIn(files: Files, folder: string): AsyncGenerator<readonly string[]> {
  for (const shard of await foldersIn(files, folder, (name) => SHARD.test(name))) {
    const names = (await files.list(shard)).filter(({ isFile }) => isFile).map(({ name }) => BIN.exec(name)?.[1]);
    const keys = new Set(names.filter((key) => key !== undefined && shard.endsWith(`/${key.slice(0, 2)}`)));
    if (keys.size > 0) yield [...keys] as string[];
  }
}

/** What processes that were killed have left in a folder, and what those that live are about to rename. */
export async function temporariesIn(files: Files, folder: string): Promise<string[]> {
  const entries = await files.list(folder);
  return entries.filter(({ name, isFile }) => isFile && TEMPORARY.test(name)).map(({ name }) => `${folder}/${name}`);
}

/** What was put aside of a bin, the oldest first. */
export function brokenPaths(files: Files, path: string): string[] {
  const paths: string[] = [];
  for (let number = 1; files.exists(brokenPath(path, number)); number++) paths.push(brokenPath(path, number));
  return paths;
}

/** Where what cannot be read at a bin's place is kept, the `number`th time. */
export function brokenPath(path: string, number: number): string {
  return `${path}.broken-${number}`;
}

async function foldersIn(files: Files, directory: string, isOurs: (name: string) => boolean): Promise<string[]> {
  const entries = await files.list(directory);
  return entries.filter(({ name, isDirectory }) => isDirectory && isOurs(name)).map(({ name }) =>
    `${directory}/${name}`
  );
}
