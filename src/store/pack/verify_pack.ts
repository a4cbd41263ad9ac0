/**
 * Looks at every byte of a pack, without a store: the digests of the shards and of their lines, the keys of the requests,
 * the order of it all.
 *
 * @module
 */

import { messageOf } from "../../runtime/message.ts";
import { Turns } from "../file/turns.ts";
import { readBlock } from "./block.ts";
import { failed } from "./failure.ts";
import type { PackTools } from "./format.ts";
import type { ImportOptions } from "./import_store.ts";
import { findShards, readManifest } from "./manifest.ts";
import { blockTexts, checkShard, shardsOf } from "./pack_reader.ts";
import { Count } from "./progress.ts";

/** What is wrong with a shard. */
export interface PackProblem {
  /** Its path in the pack; `null` where it is the manifest's. */
  readonly shard: string | null;
  /** What, and what to do. */
  readonly message: string;
}

/** What was found. Plain data. */
export interface PackVerification {
  /** Whether everything is as it was written. */
  readonly isSound: boolean;
  /** Files that the manifest names. */
  readonly shards: number;
  /** Requests that are sound. */
  readonly requests: number;
  /** Their answers. */
  readonly samples: number;
  /** One for each shard that is not sound: what was found first. */
  readonly problems: readonly PackProblem[];
}

/**
 * Verifies the pack in a folder.
 *
 * @throws CacheError `foreign_file` or `newer_schema` for what is no pack that this version knows; `corrupt` when its
 * manifest cannot be read; `unavailable` when a file cannot.
 */
export async function verifyPack(
  tools: PackTools,
  directory: string,
  options: ImportOptions = {},
): Promise<PackVerification> {
  const { foreignKeys = false, signal } = options;
  const { runtime: { files, sha256, clock } } = tools;
  try {
    signal?.throwIfAborted();
    const manifest = await readManifest(files, directory);
    const count = new Count(options, "requests", manifest.requests);
    const problems: PackProblem[] = [];
    const turns = new Turns(clock);
    let [requests, samples] = [0, 0];
    for (const shard of shardsOf(manifest, directory)) {
      const sound = { requests: 0, samples: 0 };
      try {
        await findShards(files, directory, [shard]);
        await checkShard(tools, shard);
        for await (const block of blockTexts(tools, shard)) {
          readBlock(block.text, { sha256, foreignKeys, what: shard.path });
          sound.requests++;
          sound.samples += block.samples;
          count.add(1);
          if (turns.isOver()) await turns.next();
        }
      } catch (error) {
        if (signal?.aborted) throw error;
        problems.push({ shard: shard.name, message: messageOf(error) });
      }
      requests += sound.requests;
      samples += sound.samples;
    }
    count.tell();
    return { isSound: problems.length === 0, shards: manifest.shards.length, requests, samples, problems };
  } catch (error) {
    throw failed(error, signal);
  }
}
