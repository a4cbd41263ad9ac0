/**
 * The figures of the pack format, as `docs/packs.md` specifies it: versions, sizes, names of files. What is written keeps
 * to them exactly, so that the same content makes the same bytes; what is read is refused when it goes beyond them, before
 * memory is taken for it.
 *
 * @module
 */

import type { Codec } from "../../codec/codec.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import { isFileName } from "../names.ts";

/** What a manifest says it is. */
export const FORMAT = "warmcache-pack";
/** The version that is written, and the newest that can be read. */
export const VERSION = 1;
/** The file that says what belongs to a pack. */
export const MANIFEST = "manifest.json";
/** The folder for what is not finished, inside the pack's. */
export const WORKPLACE = ".partial";

/** Bytes of text in a frame, the last one of a shard excepted. */
export const FRAME_BYTES: number = 128 * 1024;
/** Bytes that a frame can take in a file: what does not compress grows a little. */
export const MOST_FRAME_BYTES: number = FRAME_BYTES + 64 * 1024;
/** Bytes of text that a shard has on average at most. */
export const SHARD_BYTES: number = 4 * 1024 * 1024;
/** Bytes of text that a shard, and a request with all its answers, can have. */
export const MOST_SHARD_BYTES: number = 1024 * 1024 * 1024;
/** Bytes of a line. */
export const MOST_LINE_BYTES: number = 256 * 1024 * 1024;
/** Bytes of a manifest: a hundred thousand shards. */
export const MOST_MANIFEST_BYTES: number = 32 * 1024 * 1024;
/** Digits of a key by which shards are told apart at most. */
export const MOST_DIGITS = 8;

/** How shards are kept: `zstd`, or `none` as plain text, which `git` compares line by line. */
export type Compression = "zstd" | "none";

/** What reading and writing packs takes. */
export interface PackTools {
  readonly runtime: Runtime;
  readonly zstd: Codec;
}

/** How many digits of the key tell the shards of a model apart that has so many bytes of text. */
export function digitsFor(textBytes: number): number {
  let digits = 0;
  for (let room = SHARD_BYTES; room < textBytes && digits < MOST_DIGITS; room *= 16) digits++;
  return digits;
}

/** A shard's place in its pack: `<folder of the model>/<digits, or all>-<16 digits of its SHA-256>.jsonl[.zst]`. */
export function shardName(folder: string, prefix: string, sha256: string, compression: Compression): string {
  return `${folder}/${prefix || "all"}-${sha256.slice(0, 16)}.jsonl${compression === "zstd" ? ".zst" : ""}`;
}

/** What a shard's name says. */
export interface ShardPlace {
  readonly folder: string;
  readonly prefix: string;
  /** The first 16 digits. */
  readonly sha256: string;
  readonly compression: Compression;
}

const SHARD = /^(?:all|([0-9a-f]{1,8}))-([0-9a-f]{16})\.jsonl(\.zst)?$/;

/** Reads a shard's name; `undefined` for every name that {@link shardName} would not make, whatever it leads to. */
export function readShardName(name: string): ShardPlace | undefined {
  const [folder = "", file = "", ...more] = name.split("/");
  const match = SHARD.exec(file);
  if (more.length > 0 || !match || !isFileName(folder)) return undefined;
  return {
    folder,
    prefix: match[1] ?? "",
    sha256: match[2]!,
    compression: match[3] === undefined ? "none" : "zstd",
  };
}
