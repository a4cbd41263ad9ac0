/**
 * `migrate`: carries answers into the cache, from another backend of ours or from what another program has cached.
 *
 * @module
 */

import { decodeText } from "../cache/json.ts";
import type { CacheBackend } from "../compose/backend.ts";
import { readEnvironment } from "../compose/environment.ts";
import {
  type ForeignFormat,
  type KnownRequest,
  migrateCacheOn,
  type MigrateOptions,
  type MigrationReport,
} from "../compose/migrate.ts";
import { count } from "../runtime/readable.ts";
import { messageOf } from "../runtime/message.ts";
import { type CommandParts, withCache } from "./command.ts";
import type { Console } from "./console.ts";
import { type Column, table } from "./table.ts";
import { oneLine, wrapTo } from "./text_width.ts";
import { duringWork } from "./work_progress.ts";

/** Where from, where to, and what of it. */
export interface MigrateFlags {
  /** What is there; looked for when left out. */
  readonly from?: ForeignFormat | "sqlite" | "file" | "redis" | "remote" | "pack";
  /** Into which backend, if not that of the settings. */
  readonly to?: Exclude<CacheBackend, "memory">;
  readonly dryRun?: boolean;
  readonly expired?: boolean;
  readonly namespace?: string;
  readonly provider?: string;
  /** A file with requests, one a line. */
  readonly requests?: string;
}

const COLUMNS: readonly Column[] = [
  { title: "MODEL", least: 14 },
  { title: "READ", side: "right" },
  { title: "CARRIED", side: "right" },
  { title: "PRESENT", side: "right", leaves: 1 },
  { title: "LEFT", side: "right" },
];

/** Runs the command. */
export async function migrate(parts: CommandParts, path: string, flags: MigrateFlags): Promise<void> {
  const { console, runtime, signal } = parts;
  const { to: backend, dryRun = false, expired = false } = flags;
  // The cache that it goes to would keep its own requests there.
  const { namespace = readEnvironment(runtime).namespace } = flags;
  const from = await sourceOf(parts, path, flags);
  await withCache(parts, async ({ store: to }) => {
    const options: MigrateOptions = {
      from,
      to,
      dryRun,
      expired: expired ? "carry" : "leave",
      ...namespace !== undefined && { namespace },
      signal,
    };
    const report = await duringWork(parts, (onProgress) => migrateCacheOn(runtime, { ...options, onProgress }));
    if (console.isJson) await console.printJson(report);
    else await console.print(...migrationLines(report, console));
  }, { create: true, backend });
}

async function sourceOf(
  { runtime, settings }: CommandParts,
  path: string,
  { from, provider, requests }: MigrateFlags,
): Promise<MigrateOptions["from"]> {
  switch (from) {
    case "sqlite":
    case "file":
      if (!runtime.files.exists(path)) throw new Error(`Cannot migrate from ${path}: no such folder`);
      return { store: { backend: from, directory: path } };
    case "redis":
      return { store: { backend: from, redis: { url: path } } };
    case "remote":
      return { store: { backend: from, remote: { url: path } } };
    case "pack":
      return { store: await (await import("../compose/packs.ts")).openPack(path) };
  }
  const named = Object.entries({ ...settings.upstreams, ...settings.upstream });
  return {
    path,
    ...from !== undefined && { format: from },
    ...provider !== undefined && { provider },
    upstreams: Object.fromEntries(named.map(([name, { url }]) => [new URL(url).origin, name])),
    ...requests !== undefined && { requests: await readRequests(runtime, requests) },
  };
}

/** Requests of JSON Lines (https://jsonlines.org), empty lines left out. */
async function readRequests({ files }: CommandParts["runtime"], path: string): Promise<KnownRequest[]> {
  const lines = decodeText(await files.read(path)).split("\n");
  return lines.flatMap((line, index) => {
    if (line.trim() === "") return [];
    try {
      return [{ body: JSON.parse(line) }];
    } catch (error) {
      throw new TypeError(`Cannot use the requests in ${path}: line ${index + 1}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  });
}

/** What people read. */
export function migrationLines(report: MigrationReport, { width, paint }: Pick<Console, "width" | "paint">): string[] {
  const { format, from, to, dryRun, read, carried, present, left, models, notes } = report;
  const rows = models.map((each) => ({
    cells: [each.model, count(each.read), count(each.carried), count(each.present), count(each.left)],
    styles: [, , "green" as const, , each.left > 0 ? "yellow" as const : undefined],
  }));
  const all = { cells: ["all", count(read), count(carried), count(present), count(left)] };
  const reasons = models.flatMap(({ model, reasons }) =>
    reasons.map(({ reason, detail, answers, examples }) =>
      `${count(answers)} of ${model} left behind, ${reason.replaceAll("_", " ")}: ${detail} (${examples.join(", ")}${
        answers > examples.length ? ", …" : ""
      })`
    )
  );
  return [
    paint(
      wrapTo(oneLine(`${format}: ${from} → ${to}${dryRun ? " · dry run: nothing was written" : ""}`), width),
      "dim",
    ),
    "",
    ...table(COLUMNS, rows.length > 1 ? [...rows, all] : rows, width, paint),
    ...reasons.length === 0 ? [] : ["", ...reasons.map((text) => paint(wrapTo(oneLine(text), width), "yellow"))],
    ...notes.length === 0 ? [] : ["", ...notes.map((text) => wrapTo(oneLine(text), width))],
  ];
}
