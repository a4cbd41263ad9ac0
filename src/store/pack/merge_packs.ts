/**
 * Merges packs into one: whatever the order in which they are given, and however they are merged one after the other, the
 * same bytes come out ({@link ./block.ts} has the rule for requests that several of them have).
 *
 * @module
 */

import { Turns } from "../file/turns.ts";
import { readBlock } from "./block.ts";
import type { Block } from "./block.ts";
import { type PackReport, reportOf } from "./export_store.ts";
import { failed } from "./failure.ts";
import type { Compression, PackTools } from "./format.ts";
import type { ImportOptions } from "./import_store.ts";
import { type Manifest, openManifest } from "./manifest.ts";
import { merged } from "./merging.ts";
import { blocksOf } from "./pack_reader.ts";
import { prepare, tidy, writePack } from "./pack_writer.ts";
import { Count } from "./progress.ts";

/** How to merge. */
export interface MergeOptions extends ImportOptions {
  /** `zstd` (the default), or `none`: plain text. */
  readonly compression?: Compression;
}

/**
 * Merges packs. The target may be one of them.
 *
 * @throws CacheError `foreign_file`, `newer_schema` or `corrupt` when one of them is no sound pack; `unavailable` when the
 * target cannot be written. The target is then what it was.
 */
export async function mergePacks(
  tools: PackTools,
  directories: readonly string[],
  target: string,
  options: MergeOptions = {},
): Promise<PackReport> {
  const { compression = "zstd", signal } = options;
  try {
    signal?.throwIfAborted();
    const { files } = tools.runtime;
    const manifests: Manifest[] = [];
    for (const directory of directories) manifests.push(await openManifest(files, directory));
    await prepare(tools, target);
    try {
      const count = new Count(options, "requests");
      const written = await writePack(tools, {
        directory: target,
        compression,
        expected: textBytesOf(manifests),
        blocks: () =>
          merged(
            directories.map((directory, index) =>
              verified(tools, blocksOf(tools, manifests[index]!, directory), directory, options)
            ),
            tools.runtime.sha256,
          ),
        onBlock: () => count.add(1),
      });
      count.tell();
      return reportOf(target, written);
    } finally {
      await tidy(tools, target);
    }
  } catch (error) {
    throw failed(error, signal);
  }
}

/** What is merged has the digests of what was sound: nothing broken may get new ones. */
async function* verified(
  { runtime: { sha256, clock } }: PackTools,
  blocks: AsyncIterable<Block>,
  what: string,
  { foreignKeys = false }: MergeOptions,
): AsyncGenerator<Block> {
  const turns = new Turns(clock);
  for await (const block of blocks) {
    if (turns.isOver()) await turns.next();
    readBlock(block.text, { sha256, foreignKeys, what });
    yield block;
  }
}

function textBytesOf(manifests: readonly Manifest[]): Map<string, number> {
  const bytes = new Map<string, number>();
  for (const { name, textBytes } of manifests.flatMap(({ shards }) => shards)) {
    const folder = name.slice(0, name.indexOf("/"));
    bytes.set(folder, (bytes.get(folder) ?? 0) + textBytes);
  }
  return bytes;
}
