/**
 * The blocks of a pack, in their order. A shard is read twice: first its digest is compared, so that nothing of a file
 * that is not the manifest's is used.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import { messageOf } from "../../runtime/message.ts";
import { nextTurn } from "../file/turns.ts";
import type { Block } from "./block.ts";
import { headOf } from "./line.ts";
import { broken } from "./failure.ts";
import { FRAME_BYTES, type PackTools, readShardName } from "./format.ts";
import { type Frame, framesOf } from "./frames.ts";
import { blocksIn, type BlockText } from "./lines.ts";
import type { Manifest, Shard } from "./manifest.ts";

/** A shard and where it is. */
export interface PlacedShard extends Shard {
  readonly folder: string;
  readonly prefix: string;
  readonly path: string;
}

/** The shards of a pack in the order of their blocks, which that of their names need not be. */
export function shardsOf({ shards }: Manifest, directory: string): PlacedShard[] {
  return shards
    .map((shard) => ({ ...shard, ...placeOf(shard.name), path: `${directory}/${shard.name}` }))
    .toSorted((left, right) => compare(left.folder, right.folder) || compare(left.prefix, right.prefix));
}

/**
 * Compares a shard's bytes with its digest.
 *
 * @throws FileError; CacheError `corrupt`.
 */
export async function checkShard({ runtime }: PackTools, { path, bytes, sha256 }: PlacedShard): Promise<void> {
  const file = runtime.files.open(path, "read");
  try {
    const digest = runtime.sha256InParts();
    const part = new Uint8Array(FRAME_BYTES);
    let at = 0;
    for (let count: number; (count = file.read(part, at)) > 0; at += count) {
      if (at + count > bytes) break;
      digest.update(part.subarray(0, count));
      await nextTurn(runtime.clock);
    }
    if (at === bytes && hexOf(digest.digest()) === sha256) return;
  } finally {
    file.close();
  }
  throw broken(path, `its SHA-256 is not the manifest's, ${sha256}`);
}

/** The texts of a shard's blocks, in their place; what they say is for {@link ./block.ts readBlock} to verify. */
export async function* blockTexts(
  tools: PackTools,
  shard: PlacedShard,
  onFrame: (frame: Frame) => void = () => {},
): AsyncGenerator<Block & BlockText> {
  const { path, folder, prefix } = shard;
  const seen = { requests: 0, samples: 0, answerBytes: 0, textBytes: 0 };
  let before: Pick<Block, "key" | "model"> = { key: "", model: "" };
  const samplesOf = (line: string): number => {
    try {
      return headOf(line).samples;
    } catch (error) {
      throw broken(`${path}, request ${seen.requests + 1}`, messageOf(error), error);
    }
  };
  for await (const block of blocksIn(told(framesIn(tools, shard), onFrame), path, samplesOf)) {
    const { model, key, samples, answerBytes } = headOf(block.first);
    if (!key.startsWith(prefix)) throw broken(path, `request ${key} belongs into another shard`);
    if ((compare(before.key, key) || compare(before.model, model)) >= 0 && seen.requests > 0) {
      throw broken(path, `request ${key} is out of order`);
    }
    before = { key, model };
    seen.requests++;
    seen.samples += samples;
    seen.answerBytes += answerBytes;
    seen.textBytes += block.text.byteLength;
    yield { ...block, folder, key, model, samples, answerBytes };
  }
  for (const count of ["requests", "samples", "answerBytes", "textBytes"] as const) {
    if (seen[count] !== shard[count]) {
      throw broken(path, `it is to have ${shard[count]} ${count}, and has ${seen[count]}`);
    }
  }
}

/** All blocks of a pack, the digests of its shards compared before. */
export async function* blocksOf(tools: PackTools, manifest: Manifest, directory: string): AsyncGenerator<Block> {
  for (const shard of shardsOf(manifest, directory)) {
    await checkShard(tools, shard);
    yield* blockTexts(tools, shard);
  }
}

function framesIn(tools: PackTools, { name, path, textBytes }: PlacedShard): ReturnType<typeof framesOf> {
  return framesOf(tools, { path, compression: readShardName(name)!.compression, mostText: textBytes });
}

async function* told<T extends Frame>(frames: AsyncIterable<T>, onFrame: (frame: Frame) => void): AsyncGenerator<T> {
  for await (const frame of frames) {
    const { at, length, textAt, textLength } = frame;
    onFrame({ at, length, textAt, textLength });
    yield frame;
  }
}

function placeOf(name: string): Pick<PlacedShard, "folder" | "prefix"> {
  const { folder, prefix } = readShardName(name)!;
  return { folder, prefix };
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
