/**
 * Writes what a store holds into a pack. Any store will do: it is asked for its requests, in whatever order it has them,
 * and for their answers; what it says is sorted on the disk.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import { Turns } from "../file/turns.ts";
import type { ListedRequest, Selection, Store, StoredEntry } from "../store.ts";
import { BACK_FILLED } from "../tiers/copy_up.ts";
import { fieldsOf } from "../tiers/entry_fields.ts";
import { writeBlock } from "./block.ts";
import { failed } from "./failure.ts";
import { type Compression, type PackTools, WORKPLACE } from "./format.ts";
import { hasItsKey } from "./key_check.ts";
import type { Answer } from "./line.ts";
import { prepare, tidy, writePack } from "./pack_writer.ts";
import { Count, type PackWork } from "./progress.ts";
import { Runs } from "./runs.ts";

/** What of a store, and how. */
export interface ExportOptions extends PackWork, Pick<Selection, "model" | "namespace"> {
  /** `zstd` (the default), or `none`: plain text, which `git` compares line by line. */
  readonly compression?: Compression;
  /** Takes answers whose time has passed, too, if that is no longer ago than this. Default: 0. */
  readonly grace?: Milliseconds;
}

/** What was written. Plain data. */
export interface PackReport {
  /** Where the pack is. */
  readonly directory: string;
  /** SHA-256 of the manifest, in hexadecimal: the same for the same content. */
  readonly sha256: string;
  /** In the pack. */
  readonly requests: number;
  /** Their answers. */
  readonly samples: number;
  /** Files in which they are. */
  readonly shards: number;
  /** Shards that were there already, and were not written again. */
  readonly shardsKept: number;
  /** Bytes of the shards' files. */
  readonly bytes: number;
  /** Bytes of the text that is in them. */
  readonly textBytes: number;
}

/** What was exported. Plain data. */
export interface ExportReport extends PackReport {
  /** What is not in the pack: requests none of whose answers can be served, among them those whose answers… */
  readonly left: {
    /** …expired, */
    readonly expired: number;
    /** …were stored under an older schema, */
    readonly stale: number;
    /** …or have some that are broken, which are not in the pack; the sound ones are. */
    readonly corrupt: number;
  };
  /** Requests whose keys are not those of `docs/key.md`: whoever reads them has to say `foreignKeys`. */
  readonly foreignKeys: number;
}

/** Looked up together. */
const TOGETHER = 32;
/** As many as there are. */
const ALL_SAMPLES = 1_000_000_000;

/**
 * Exports a store. The pack that is at `directory` is replaced in the end, all at once.
 *
 * @throws CacheError `foreign_file` or `newer_schema` for a folder that holds something else; `unavailable` when it cannot
 * be written; what the store throws.
 */
export async function exportStore(
  tools: PackTools,
  store: Store,
  directory: string,
  options: ExportOptions = {},
): Promise<ExportReport> {
  const { compression = "zstd", grace = 0, signal } = options;
  if (!Number.isFinite(grace) || grace < 0) {
    throw new RangeError(`Cannot export a pack (grace has to be 0 or more, in milliseconds): ${grace}`);
  }
  try {
    signal?.throwIfAborted();
    await prepare(tools, directory);
    try {
      const runs = new Runs(tools, `${directory}/${WORKPLACE}`);
      const taken = await take(tools, store, runs, options);
      const written = await writePack(tools, {
        directory,
        compression,
        expected: runs.textBytes,
        blocks: () => runs.sorted(),
        onBlock: () => signal?.throwIfAborted(),
      });
      return { ...reportOf(directory, written), ...taken };
    } finally {
      await tidy(tools, directory);
    }
  } catch (error) {
    throw failed(error, signal);
  }
}

/** What was written, for a report. */
export function reportOf(directory: string, written: Awaited<ReturnType<typeof writePack>>): PackReport {
  const { sha256, requests, samples, shards, kept } = written;
  const sum = (count: "bytes" | "textBytes"): number => shards.reduce((total, shard) => total + shard[count], 0);
  const sizes = { bytes: sum("bytes"), textBytes: sum("textBytes") };
  return { directory, sha256, requests, samples, shards: shards.length, shardsKept: kept, ...sizes };
}

async function take(
  tools: PackTools,
  store: Store,
  runs: Runs,
  options: ExportOptions,
): Promise<Pick<ExportReport, "left" | "foreignKeys">> {
  const { model, namespace, grace = 0 } = options;
  const selection = { ...model !== undefined && { model }, ...namespace !== undefined && { namespace } };
  const isWhole = model === undefined && namespace === undefined;
  const count = new Count(options, "samples", isWhole ? (await store.size()).entries : undefined);
  const left = { expired: 0, stale: 0, corrupt: 0 };
  let foreignKeys = 0;
  const { sha256, clock } = tools.runtime;
  const turns = new Turns(clock);
  const takeSome = async (model: string, some: readonly ListedRequest[]): Promise<void> => {
    const wants = some.map(({ request: { key } }) => ({ key, samples: ALL_SAMPLES, grace, peek: true as const }));
    const found = await store.lookup(model, wants);
    for (const [index, { request, tags = [] }] of some.entries()) {
      const { entries, expired, stale, corrupt } = found[index]!;
      const answers = entries.map(readAnswer).filter((answer) => answer !== undefined);
      if (corrupt || answers.length < entries.length) left.corrupt++;
      if (answers.length === 0) {
        if (expired) left.expired++;
        if (stale) left.stale++;
        continue;
      }
      if (!hasItsKey(request, sha256)) foreignKeys++;
      // Of a copy from another tier, that is no word of the user's.
      const own = tags.filter((tag) => tag !== BACK_FILLED);
      await runs.add(writeBlock({ model, record: request, tags: own, answers }, sha256));
      count.add(answers.length);
      if (turns.isOver()) await turns.next();
    }
  };
  const waiting = new Map<string, ListedRequest[]>();
  for await (const listed of store.list(selection)) {
    options.signal?.throwIfAborted();
    const some = waiting.get(listed.model) ?? [];
    waiting.set(listed.model, some);
    if (some.push(listed) < TOGETHER) continue;
    waiting.delete(listed.model);
    await takeSome(listed.model, some);
  }
  for (const [model, some] of waiting) await takeSome(model, some);
  count.tell();
  return { left, foreignKeys };
}

/** An answer whose bytes the store could not give back is not there. */
function readAnswer(entry: StoredEntry): Answer | undefined {
  try {
    return { fields: fieldsOf(entry), body: entry.bytes() };
  } catch (error) {
    if (error instanceof CacheError && error.code === "corrupt") return undefined;
    throw error;
  }
}
