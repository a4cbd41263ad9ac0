/**
 * `export`, `import` and `merge`: a cache, or a part of one, in files that can be sent, kept, merged and reviewed.
 *
 * @module
 */

import {
  exportPack,
  type ExportReport,
  importPack,
  type ImportReport,
  mergePacks,
  type PackReport,
} from "../compose/packs.ts";
import { bytes, count, counted } from "../runtime/readable.ts";
import { type CommandParts, withCache } from "./command.ts";
import { oneLine } from "./text_width.ts";
import { duringWork } from "./work_progress.ts";

/** How a pack is written. */
export interface WriteFlags {
  /** As text that `git` compares line by line, not compressed. */
  readonly plain?: boolean;
}

/** What to export, and how. */
export interface ExportFlags extends WriteFlags {
  readonly model?: string;
  readonly namespace?: string;
}

/** How a pack is read. */
export interface ReadFlags {
  readonly foreignKeys?: boolean;
}

/** Runs `export`. */
export async function exportCommand(parts: CommandParts, directory: string, flags: ExportFlags): Promise<void> {
  const { console, signal } = parts;
  const { plain, ...which } = flags;
  await withCache(parts, async ({ store }) => {
    const report = await duringWork(
      parts,
      (onProgress) => exportPack(store, directory, { ...which, ...compression(plain), onProgress, signal }),
    );
    if (console.isJson) await console.printJson(report);
    else await console.print(...exportLines(report));
  });
}

/** Runs `import`, a pack after the other. */
export async function importCommand(
  parts: CommandParts,
  directories: readonly string[],
  { foreignKeys = false }: ReadFlags,
): Promise<void> {
  const { console, signal } = parts;
  const reports: (ImportReport & { readonly directory: string })[] = [];
  await withCache(parts, async ({ store }) => {
    for (const directory of directories) {
      const report = await duringWork(
        parts,
        (onProgress) => importPack(directory, store, { foreignKeys, onProgress, signal }),
      );
      reports.push({ directory, ...report });
      if (!console.isJson) await console.print(importLine(directory, report));
    }
  }, { create: true });
  if (console.isJson) await console.printJson(reports);
}

/** Runs `merge`. */
export async function mergeCommand(
  parts: CommandParts,
  target: string,
  directories: readonly string[],
  { plain, foreignKeys = false }: WriteFlags & ReadFlags,
): Promise<void> {
  const { console, signal } = parts;
  const report = await duringWork(
    parts,
    (onProgress) => mergePacks(directories, target, { ...compression(plain), foreignKeys, onProgress, signal }),
  );
  if (console.isJson) await console.printJson(report);
  else await console.print(...packLines("merged", report));
}

function compression(plain: boolean | undefined): { readonly compression?: "none" } {
  return plain ? { compression: "none" } : {};
}

function exportLines(report: ExportReport): string[] {
  const { left, foreignKeys } = report;
  const reasons = Object.entries(left).filter(([, times]) => times > 0);
  return [
    ...packLines("exported", report),
    ...reasons.map(([reason, times]) => oneLine(`left behind: ${counted(times, "request")} (${reason})`)),
    ...foreignKeys > 0
      ? [oneLine(`${counted(foreignKeys, "request")} with a key of another kind: import with --foreign-keys`)]
      : [],
  ];
}

function packLines(done: string, report: PackReport): string[] {
  const { directory, sha256, requests, samples, shards, shardsKept, bytes: size } = report;
  const kept = shardsKept === 0 ? "" : `, ${count(shardsKept)} of them as they were`;
  return [
    oneLine(`${done} ${entries(samples)} of ${counted(requests, "request")} to ${directory}`),
    oneLine(`${bytes(size)} in ${counted(shards, "shard")}${kept}`),
    `sha256 ${sha256}`,
  ];
}

function importLine(directory: string, { samples, added, present, expired }: ImportReport): string {
  const rest = [
    ...present > 0 ? [`${count(present)} were there`] : [],
    ...expired > 0 ? [`${count(expired)} had expired`] : [],
  ];
  const others = rest.length === 0 ? "" : ` (${rest.join(", ")})`;
  return oneLine(`imported ${count(added)} of ${entries(samples)} from ${directory}${others}`);
}

function entries(times: number): string {
  return times === 1 ? "1 entry" : `${count(times)} entries`;
}
