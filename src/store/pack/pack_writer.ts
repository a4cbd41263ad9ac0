/**
 * Writes a pack from blocks that come in order. Shards have names of their content, so that new ones lie beside the old
 * ones until the manifest, written last and all at once, says that they are the pack; those that were there already, from
 * an export that was interrupted or before it, are not written again. So whatever ends the work in the middle, the pack is
 * the one that it was.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import { CacheError } from "../error.ts";
import { isFileName } from "../names.ts";
import type { Block } from "./block.ts";
import {
  type Compression,
  digitsFor,
  MANIFEST,
  MOST_SHARD_BYTES,
  type PackTools,
  readShardName,
  shardName,
  WORKPLACE,
} from "./format.ts";
import { FrameWriter } from "./frame_writer.ts";
import { type Manifest, readManifest, type Shard, writeManifest } from "./manifest.ts";

/** Bytes of text by the models' folders. */
export type TextBytes = ReadonlyMap<string, number>;

/** What is to be written. */
export interface Writing {
  readonly directory: string;
  readonly compression: Compression;
  /** About how much text there is: as many digits of the keys tell shards apart as that takes. */
  readonly expected: TextBytes;
  /** The blocks from the first one on, in order, each request once. May be asked for twice. */
  readonly blocks: () => AsyncIterable<Block>;
  /** Hears of each block. */
  readonly onBlock?: (block: Block) => void;
}

/** A pack that was written. */
export interface WrittenPack extends Manifest {
  /** SHA-256 of the manifest, which names everything in the pack: the same for the same content. */
  readonly sha256: string;
  /** Shards that were there already. */
  readonly kept: number;
}

/**
 * Looks whether a pack may be written into a folder, and makes it.
 *
 * @throws CacheError `foreign_file` when something else is in it, `newer_schema` when a newer version's pack is.
 * @throws FileError
 */
export async function prepare({ runtime: { files } }: PackTools, directory: string): Promise<void> {
  const entries = await files.list(directory);
  if (entries.some(({ name }) => name === MANIFEST)) {
    // What is broken in it is replaced; what is somebody else's is not.
    await readManifest(files, directory).catch((error) => {
      if (!(error instanceof CacheError) || error.code !== "corrupt") throw error;
    });
  } else {
    const odd = entries.find(({ name, isDirectory }) => !name.startsWith(".") && !(isDirectory && isFileName(name)));
    if (odd !== undefined) {
      throw new CacheError(
        "foreign_file",
        `Cannot write a pack into ${directory}: something else is there, such as ${odd.name}; give an empty folder, a ` +
          "new one, or that of a pack",
      );
    }
  }
  files.makeDirectory(`${directory}/${WORKPLACE}`);
  for (const { name } of await files.list(`${directory}/${WORKPLACE}`)) {
    files.remove(`${directory}/${WORKPLACE}/${name}`);
  }
}

/** Removes the folder for what is not finished. What cannot be removed now is by the next export. */
export async function tidy({ runtime: { files } }: PackTools, directory: string): Promise<void> {
  try {
    const workplace = `${directory}/${WORKPLACE}`;
    for (const { name } of await files.list(workplace)) files.remove(`${workplace}/${name}`);
    files.removeEmptyDirectory(workplace);
  } catch {
    // Nobody reads it.
  }
}

/**
 * Writes a pack.
 *
 * @throws FileError when the disk does not take it: what was there before is there still.
 */
export async function writePack(tools: PackTools, writing: Writing): Promise<WrittenPack> {
  const { directory, compression, onBlock } = writing;
  const { files } = tools.runtime;
  let expected = writing.expected;
  for (;;) {
    const shards = new ShardWriter(tools, directory, compression, expected);
    const found = new Map<string, number>();
    try {
      for await (const block of writing.blocks()) {
        await shards.add(block);
        found.set(block.folder, (found.get(block.folder) ?? 0) + block.text.byteLength);
        onBlock?.(block);
      }
      await shards.finishShard();
    } finally {
      shards.close();
    }
    const isAsExpected = [...found].every(([folder, bytes]) =>
      digitsFor(bytes) === digitsFor(expected.get(folder) ?? 0)
    );
    expected = found;
    // Requests that came twice were merged: it was less text than it seemed.
    if (!isAsExpected) continue;
    const manifest = manifestOf(shards.shards, compression);
    const bytes = writeManifest(manifest);
    for (const folder of found.keys()) await files.sync(`${directory}/${folder}`);
    await files.replace(`${directory}/${MANIFEST}`, bytes, { synchronous: true });
    await files.sync(directory);
    await removeOthers(tools, directory, manifest);
    return { ...manifest, sha256: hexOf(tools.runtime.sha256(bytes)), kept: shards.kept };
  }
}

/** Cuts blocks into shards. */
class ShardWriter {
  readonly shards: Shard[] = [];
  kept = 0;
  readonly #tools: PackTools;
  readonly #directory: string;
  readonly #compression: Compression;
  readonly #expected: TextBytes;
  #current: { readonly folder: string; readonly prefix: string; readonly writer: FrameWriter } | undefined;
  #counts = { requests: 0, samples: 0, answerBytes: 0 };

  constructor(tools: PackTools, directory: string, compression: Compression, expected: TextBytes) {
    this.#tools = tools;
    this.#directory = directory;
    this.#compression = compression;
    this.#expected = expected;
  }

  async add({ folder, key, samples, answerBytes, text }: Block): Promise<void> {
    const prefix = key.slice(0, digitsFor(this.#expected.get(folder) ?? 0));
    if (this.#current?.folder !== folder || this.#current.prefix !== prefix) {
      await this.finishShard();
      const writer = new FrameWriter(this.#tools, this.#partial, this.#compression);
      this.#current = { folder, prefix, writer };
    }
    await this.#current!.writer.add(text);
    this.#counts.requests++;
    this.#counts.samples += samples;
    this.#counts.answerBytes += answerBytes;
  }

  async finishShard(): Promise<void> {
    if (this.#current === undefined) return;
    const { folder, prefix, writer } = this.#current;
    const { files } = this.#tools.runtime;
    const written = writer.finish();
    this.#current = undefined;
    if (written.textBytes > MOST_SHARD_BYTES) {
      throw new RangeError(
        `Cannot pack answers that are so large (${MOST_SHARD_BYTES} bytes in a shard): ${written.textBytes} bytes`,
      );
    }
    const name = shardName(folder, prefix, written.sha256, this.#compression);
    const path = `${this.#directory}/${name}`;
    const there = await files.stat(path);
    if (there?.size === written.bytes && await isSound(this.#tools, path, written.sha256)) {
      this.kept++;
    } else {
      files.makeDirectory(`${this.#directory}/${folder}`);
      await files.sync(this.#partial);
      await files.rename(this.#partial, path);
    }
    this.shards.push({ name, ...written, ...this.#counts });
    this.#counts = { requests: 0, samples: 0, answerBytes: 0 };
  }

  close(): void {
    this.#current?.writer.close();
  }

  get #partial(): string {
    return `${this.#directory}/${WORKPLACE}/shard`;
  }
}

async function isSound({ runtime }: PackTools, path: string, sha256: string): Promise<boolean> {
  return hexOf(runtime.sha256(await runtime.files.read(path))) === sha256;
}

function manifestOf(shards: readonly Shard[], compression: Compression): Manifest {
  const sum = (count: "requests" | "samples"): number => shards.reduce((total, shard) => total + shard[count], 0);
  const sorted = shards.toSorted((left, right) => left.name < right.name ? -1 : 1);
  return { compression, requests: sum("requests"), samples: sum("samples"), shards: sorted };
}

/** Removes shards that are not the pack's any more. Whatever else lies there is left alone. */
async function removeOthers({ runtime: { files } }: PackTools, directory: string, manifest: Manifest): Promise<void> {
  const own = new Set(manifest.shards.map(({ name }) => name));
  for (const { name: folder, isDirectory } of await files.list(directory)) {
    if (!isDirectory || !isFileName(folder)) continue;
    for (const { name: file } of await files.list(`${directory}/${folder}`)) {
      const name = `${folder}/${file}`;
      if (readShardName(name) !== undefined && !own.has(name)) files.remove(`${directory}/${name}`);
    }
    files.removeEmptyDirectory(`${directory}/${folder}`);
  }
}
