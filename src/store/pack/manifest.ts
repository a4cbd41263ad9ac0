/**
 * The manifest: which shards a pack has, and what each has to be. A pack is what its manifest says and nothing else, so
 * that a pack changes all at once, when its manifest does.
 *
 * @module
 */

import { messageOf } from "../../runtime/message.ts";
import type { Files } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import { broken } from "./failure.ts";
import type { Compression, ShardPlace } from "./format.ts";
import {
  FORMAT,
  MANIFEST,
  MOST_MANIFEST_BYTES,
  MOST_SHARD_BYTES,
  readShardName,
  VERSION,
  WORKPLACE,
} from "./format.ts";

/** What a pack has. */
export interface Manifest {
  readonly compression: Compression;
  readonly requests: number;
  readonly samples: number;
  /** Sorted by name. */
  readonly shards: readonly Shard[];
}

/** What a shard has to be. */
export interface Shard {
  /** Its path in the pack, which is {@link ./format.ts shardName}'s. */
  readonly name: string;
  /** Of the file. */
  readonly bytes: number;
  /** Of the file, in hexadecimal. */
  readonly sha256: string;
  readonly textBytes: number;
  readonly requests: number;
  readonly samples: number;
  /** Of the answers as they are returned. */
  readonly answerBytes: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
const COUNTS = ["bytes", "textBytes", "requests", "samples", "answerBytes"] as const;

/** The bytes of a manifest: JSON, a line for each shard. */
export function writeManifest({ compression, requests, samples, shards }: Manifest): Uint8Array {
  const head = JSON.stringify({ format: FORMAT, version: VERSION, compression, requests, samples }).slice(1, -1);
  const lines = shards.map(({ name, bytes, sha256, textBytes, requests, samples, answerBytes }) =>
    `\n  ${JSON.stringify({ name, bytes, sha256, textBytes, requests, samples, answerBytes })}`
  );
  return encoder.encode(`{${head},"shards":[${lines.join(",")}${lines.length > 0 ? "\n" : ""}]}\n`);
}

/**
 * Reads the manifest of the pack in a folder, and looks whether its shards are there.
 *
 * @throws CacheError `foreign_file` when it is no pack; `newer_schema`; `corrupt` when something is missing or forged.
 * @throws FileError
 */
export async function openManifest(files: Files, directory: string): Promise<Manifest> {
  const manifest = await readManifest(files, directory);
  await findShards(files, directory, manifest.shards);
  return manifest;
}

/**
 * Looks whether shards are there, and in the pack's own folder.
 *
 * @throws CacheError `corrupt`; FileError
 */
export async function findShards(files: Files, directory: string, shards: readonly Shard[]): Promise<void> {
  const root = await files.realPath(directory);
  for (const { name, bytes } of shards) {
    const path = `${directory}/${name}`;
    const stat = await files.stat(path);
    if (stat === undefined) throw broken(path, "the manifest names it, and it is missing");
    if (await files.realPath(path) !== `${root}/${name}`) {
      throw broken(path, "it is a link, and may lead out of the pack; a shard has to be a file in it");
    }
    if (!stat.isFile || stat.size !== bytes) {
      throw broken(path, `it is to have ${bytes} bytes, and has ${stat.size}: it was cut off, or is another`);
    }
  }
}

/** {@link openManifest} without a look at the shards. */
export async function readManifest(files: Files, directory: string): Promise<Manifest> {
  const path = `${directory}/${MANIFEST}`;
  const stat = await files.stat(path);
  if (stat?.isFile !== true) throw await noPack(files, directory);
  await refuseSecond(files, directory);
  if (stat.size > MOST_MANIFEST_BYTES) throw foreign(path, `it has ${stat.size} bytes, more than any manifest`);
  return parseManifest(await files.read(path), path);
}

/** Reads a manifest's bytes. */
function parseManifest(bytes: Uint8Array, path: string): Manifest {
  const manifest = parsed(bytes, path);
  const { format, version, compression, requests, samples, shards } = manifest;
  if (format !== FORMAT) throw foreign(path, `it does not say "format":"${FORMAT}"`);
  if (!Number.isSafeInteger(version) || (version as number) < 1) throw foreign(path, `it has no version: ${version}`);
  if ((version as number) > VERSION) {
    throw new CacheError(
      "newer_schema",
      `Cannot read ${path}: a newer version of this program wrote it: version ${version}, this program knows ` +
        `${VERSION}; use the newer program, or have the pack written by this one`,
    );
  }
  if (compression !== "zstd" && compression !== "none") throw broken(path, `it names no compression: ${compression}`);
  if (!Array.isArray(shards)) throw broken(path, "it has no list of shards");
  const read = shards.map((shard) => readShard(shard, compression, path));
  refuseOddPlaces(read, path);
  const total = (count: "requests" | "samples"): number => read.reduce((sum, shard) => sum + shard[count], 0);
  if (total("requests") !== requests || total("samples") !== samples) {
    throw broken(path, "its shards do not add up to the requests and samples that it counts");
  }
  return { compression, requests, samples, shards: read };
}

function readShard(value: unknown, compression: Compression, path: string): Shard {
  const shard = value as Shard | null;
  const { name, sha256 } = shard ?? {};
  const place = typeof name === "string" ? readShardName(name) : undefined;
  if (place === undefined || place.compression !== compression) {
    throw broken(path, `this is no name of a shard, and is not followed: ${JSON.stringify(name)}`);
  }
  if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256) || !sha256.startsWith(place.sha256)) {
    throw broken(path, `the SHA-256 of shard ${name} is not the one in its name: ${JSON.stringify(sha256)}`);
  }
  for (const count of COUNTS) {
    if (!Number.isSafeInteger(shard![count]) || shard![count] < 0) {
      throw broken(path, `shard ${name} has no number of ${count}: ${JSON.stringify(shard![count])}`);
    }
  }
  const { bytes, textBytes, requests, samples, answerBytes } = shard!;
  if (textBytes > MOST_SHARD_BYTES || bytes > MOST_SHARD_BYTES) {
    const most = Math.max(textBytes, bytes);
    throw broken(path, `shard ${name} declares ${most} bytes, and ${MOST_SHARD_BYTES} is the most there can be`);
  }
  return { name: name!, bytes, sha256, textBytes, requests, samples, answerBytes };
}

/** A key has one place: shards of a model are told apart by the same number of digits, each by others. */
function refuseOddPlaces(shards: readonly Shard[], path: string): void {
  let before: (ShardPlace & { readonly name: string }) | undefined;
  for (const { name } of shards) {
    const place = { ...readShardName(name)!, name };
    if (before !== undefined && before.name >= name) throw broken(path, `its shards are not in order: ${name}`);
    if (before?.folder === place.folder) {
      const isOdd = before.prefix.length !== place.prefix.length || before.prefix === place.prefix;
      if (isOdd) throw broken(path, `two of its shards are for the same keys: ${before.name}, ${name}`);
    }
    before = place;
  }
}

function parsed(bytes: Uint8Array, path: string): Readonly<Record<string, unknown>> {
  let text: string;
  try {
    text = decoder.decode(bytes);
    if (/^(<{7}|={7}|>{7})/m.test(text)) throw new SyntaxError("git has left conflicts in it: merge both sides' packs");
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    throw new SyntaxError("it is no JSON object");
  } catch (error) {
    throw foreign(path, messageOf(error));
  }
}

/** Which of two manifests says what the pack is cannot be told. */
async function refuseSecond(files: Files, directory: string): Promise<void> {
  const names = (await files.list(directory)).map(({ name }) => name);
  const second = names.find((name) => /^manifest.*\.json$/i.test(name) && name !== MANIFEST);
  if (second === undefined) return;
  throw broken(
    directory,
    `it has two manifests, ${MANIFEST} and ${second}: remove the one that is not the pack's, or put each pack into a ` +
      "folder of its own and merge them",
  );
}

async function noPack(files: Files, directory: string): Promise<CacheError> {
  const stat = await files.stat(directory);
  if (stat === undefined) return new CacheError("unavailable", `Cannot read the pack ${directory}: nothing is there`);
  if (!stat.isDirectory) return foreign(directory, "a pack is a folder");
  const names = (await files.list(directory)).map(({ name }) => name);
  if (names.includes(WORKPLACE)) {
    return broken(directory, "its export was interrupted: run the export again, and it goes on");
  }
  return foreign(directory, names.length === 0 ? "it is empty" : `it has no ${MANIFEST}`);
}

function foreign(path: string, why: string): CacheError {
  return new CacheError(
    "foreign_file",
    `Cannot read ${path}: ${why}, so it is no pack; give the folder that an export has made (with ${MANIFEST} in it)`,
  );
}
