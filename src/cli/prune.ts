/**
 * `prune`: removes the entries that fit all that is said, once somebody has said that he means it.
 *
 * @module
 */

import { pruned, type PruneOptions } from "../cache/removal.ts";
import { bytes, count, counted } from "../runtime/readable.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import type { Removed, Selection } from "../store/store.ts";
import { type CommandParts, FAILED, withCache } from "./command.ts";
import { duringWork } from "./work_progress.ts";
import { storedRequests, type Walking } from "./stored.ts";
import { oneLine } from "./text_width.ts";

/** What to remove, and how sure to be. */
export interface PruneFlags extends PruneOptions {
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  /** Everything, where nothing else is said. */
  readonly all?: boolean;
}

/** Runs the command. */
export async function prune(parts: CommandParts, flags: PruneFlags): Promise<number | void> {
  const { console, runtime: { clock, terminal }, signal } = parts;
  const { yes = false, dryRun = false, all = false, ...which } = flags;
  const isNarrowed = Object.keys(which).length > 0;
  if (!isNarrowed && !all) throw new TypeError("Cannot prune without saying what; for everything there is, say --all");
  if (isNarrowed && all) throw new TypeError("Cannot prune everything and only some: leave out --all");
  if (dryRun && which.tag !== undefined) {
    throw new TypeError(`Cannot tell without removing it what has a tag: leave out --dry-run or --tag: ${which.tag}`);
  }
  // Checked before anybody is asked.
  const selection = pruned(which, clock.now());
  return await withCache(parts, async ({ cache, store }) => {
    if (dryRun) {
      const would = await duringWork(parts, (onProgress) => measured({ store, clock, signal }, selection, onProgress));
      if (console.isJson) await console.printJson({ dryRun: true, ...would });
      else await console.print(`would remove ${amount(would)}`);
      return;
    }
    if (!yes) {
      if (!terminal.readsFromTerminal()) {
        throw new TypeError("Cannot ask whether to prune, since nobody types: say --yes if it is meant");
      }
      await terminal.errors.write(`Remove ${inWords(which)} from ${oneLine(store.location)}? [y/N] `);
      const answer = await terminal.readLine(signal);
      signal.throwIfAborted();
      if (!/^y(es)?$/i.test(answer?.trim() ?? "")) {
        await console.say("Nothing was removed.");
        return FAILED;
      }
    }
    const removed = await cache.prune(which);
    if (console.isJson) await console.printJson(removed);
    else await console.print(`removed ${amount(removed)}`);
  });
}

function amount({ entries, storedBytes }: Removed): string {
  return oneLine(`${entries === 1 ? "1 entry" : `${count(entries)} entries`}, ${bytes(storedBytes)}`);
}

/** The selection as a question has it. */
function inWords({ olderThan, model, namespace, outcome, tag }: PruneOptions): string {
  const conditions = [
    ...model === undefined ? [] : [`of ${model}`],
    ...namespace === undefined ? [] : [namespace === "" ? "in no namespace" : `in the namespace ${namespace}`],
    ...outcome === undefined ? [] : [`that ended in ${outcome}`],
    ...tag === undefined ? [] : [`tagged ${tag}`],
    ...olderThan === undefined ? [] : [`stored more than ${inDays(olderThan)} ago`],
  ];
  return oneLine(conditions.length === 0 ? "ALL entries" : `all entries ${conditions.join(" ")}`);
}

function inDays(time: Milliseconds): string {
  const hours = time / 3_600_000;
  return hours < 48 ? counted(Math.round(hours * 10) / 10, "hour") : counted(Math.round(hours / 2.4) / 10, "day");
}

/** How much a selection comes to. What has expired but was not swept out yet is not seen. */
async function measured(
  walking: Walking,
  { model, namespace, outcome, createdBefore = Infinity }: Selection,
  onProgress: (progress: { readonly done: number; readonly unit: string }) => void,
): Promise<Removed> {
  const place = { ...model !== undefined && { model }, ...namespace !== undefined && { namespace } };
  let [entries, storedBytes, done] = [0, 0, 0];
  for await (const { found } of storedRequests(walking, place)) {
    onProgress({ done: ++done, unit: "requests" });
    for (const entry of found.entries) {
      if (outcome !== undefined && entry.outcome !== outcome) continue;
      if (entry.created >= createdBefore) continue;
      entries++;
      storedBytes += entry.storedBytes;
    }
  }
  return { entries, storedBytes };
}
