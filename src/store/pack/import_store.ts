/**
 * Puts what a pack holds into a store. What is there already stays, in its place: of each request, the answers that the
 * store lacks are put behind those it has. So an import that was interrupted is begun again and goes on where it was, and
 * one that is repeated changes nothing.
 *
 * @module
 */

import type { Clock } from "../../runtime/runtime.ts";
import { Turns } from "../file/turns.ts";
import type { NewEntry, Store, StoredEntry } from "../store.ts";
import { fieldsOf } from "../tiers/entry_fields.ts";
import { type Block, type Content, readBlock } from "./block.ts";
import { failed } from "./failure.ts";
import type { PackTools } from "./format.ts";
import { type Answer, contentOf, type Sha256 } from "./line.ts";
import { openManifest } from "./manifest.ts";
import { blockTexts, checkShard, shardsOf } from "./pack_reader.ts";
import { Count, type PackWork } from "./progress.ts";

/** How to import. */
export interface ImportOptions extends PackWork {
  /**
   * Takes requests under other keys than `docs/key.md` gives them, as a program with a store of its own may have chosen.
   * Default: false, so that nobody's pack can bring an answer under another question's key.
   */
  readonly foreignKeys?: boolean;
}

/** What was imported. Plain data. */
export interface ImportReport {
  /** In the pack. */
  readonly requests: number;
  /** Their answers. */
  readonly samples: number;
  /** Samples that the store did not have. */
  readonly added: number;
  /** Samples that it had. */
  readonly present: number;
  /** Samples whose time had passed, which were left out. */
  readonly expired: number;
}

/** Looked up, and put, together. */
const TOGETHER = 32;
/** Nor more text than this. */
const TOGETHER_BYTES = 4 * 1024 * 1024;
/** As many as there are. */
const ALL_SAMPLES = 1_000_000_000;

/**
 * Imports the pack in a folder.
 *
 * @throws CacheError `foreign_file`, `newer_schema` or `corrupt` for what is no sound pack: of a broken shard nothing is
 * imported, what came before it is. What the store throws, of which what came before is stored.
 */
export async function importStore(
  tools: PackTools,
  directory: string,
  store: Store,
  options: ImportOptions = {},
): Promise<ImportReport> {
  const { foreignKeys = false, signal } = options;
  const { runtime } = tools;
  try {
    signal?.throwIfAborted();
    const manifest = await openManifest(runtime.files, directory);
    const { requests, samples } = manifest;
    const count = new Count(options, "samples", samples);
    const totals = { added: 0, present: 0, expired: 0 };
    const turns = new Turns(runtime.clock);
    let waiting: Block[] = [];
    let bytes = 0;
    const putWaiting = async (what: string): Promise<void> => {
      const contents: Content[] = [];
      await turns.each(waiting, ({ text }) => {
        contents.push(readBlock(text, { sha256: runtime.sha256, foreignKeys, what }));
      });
      waiting = [];
      bytes = 0;
      const put = await putSome(store, contents, runtime.clock, runtime.sha256);
      for (const name of ["added", "present", "expired"] as const) totals[name] += put[name];
      count.add(put.added + put.present + put.expired);
    };
    for (const shard of shardsOf(manifest, directory)) {
      await checkShard(tools, shard);
      for await (const block of blockTexts(tools, shard)) {
        if (waiting.length > 0 && waiting[0]!.model !== block.model) await putWaiting(shard.path);
        bytes += block.text.byteLength;
        if (waiting.push(block) >= TOGETHER || bytes > TOGETHER_BYTES) await putWaiting(shard.path);
      }
      if (waiting.length > 0) await putWaiting(shard.path);
    }
    count.tell();
    return { requests, samples, ...totals };
  } catch (error) {
    throw failed(error, signal);
  }
}

/** Requests to one model. */
async function putSome(
  store: Store,
  contents: readonly Content[],
  clock: Clock,
  sha256: Sha256,
): Promise<Pick<ImportReport, "added" | "present" | "expired">> {
  const totals = { added: 0, present: 0, expired: 0 };
  const { model } = contents[0]!;
  const found = await store.lookup(
    model,
    contents.map(({ record }) => ({ key: record.key, samples: ALL_SAMPLES, peek: true, record: () => record })),
  );
  const now = clock.now();
  // Settled, not raced: nothing may go on in the background when this one fails.
  const puts = await Promise.allSettled(contents.map(async ({ record, tags, answers }, index) => {
    const fresh = answers.filter(({ fields: { expires } }) => expires === null || expires > now);
    const missing = missingOf(fresh, found[index]!.entries, sha256);
    totals.expired += answers.length - fresh.length;
    totals.present += fresh.length - missing.length;
    if (missing.length === 0 && (tags.length === 0 || fresh.length === 0)) return;
    const entries = missing.map(({ fields, body }): NewEntry => ({ ...fields, body }));
    await store.put(model, record, entries, "append", { tags });
    totals.added += missing.length;
  }));
  for (const put of puts) if (put.status === "rejected") throw put.reason;
  return totals;
}

/** Those that are not there, as often as they are not there. */
function missingOf(answers: readonly Answer[], there: readonly StoredEntry[], sha256: Sha256): readonly Answer[] {
  if (there.length === 0) return answers;
  const counts = new Map<string, number>();
  for (const entry of there) {
    const digest = entry.read((body) => contentOf({ fields: fieldsOf(entry), body }, sha256));
    counts.set(digest, (counts.get(digest) ?? 0) + 1);
  }
  return answers.filter((answer) => {
    const digest = contentOf(answer, sha256);
    const count = counts.get(digest) ?? 0;
    counts.set(digest, count - 1);
    return count <= 0;
  });
}
