/**
 * `repair`: makes files that are broken anew, of all that can still be read. What was there is kept beside them.
 *
 * @module
 */

import { repairCacheOn } from "../compose/repair.ts";
import { count, counted } from "../runtime/readable.ts";
import type { FileRepair, RepairReport, SalvageCounts } from "../store/repair.ts";
import { type CommandParts, FAILED } from "./command.ts";
import type { Console } from "./console.ts";
import type { Style } from "./paint.ts";
import { oneLine, wrapTo } from "./text_width.ts";
import { duringWork } from "./work_progress.ts";

/** What to repair. */
export interface RepairFlags {
  readonly model?: string;
  /** Also what nothing is wrong with. */
  readonly rebuild?: boolean;
}

const OUTCOME_STYLES: Readonly<Record<FileRepair["outcome"], Style>> = {
  sound: "green",
  repaired: "yellow",
  refused: "dim",
  failed: "red",
};

const SALVAGED: readonly (readonly [name: keyof SalvageCounts, words: string])[] = [
  ["lost", "could not be read"],
  ["doubtful", "may have been removed before, and were left out"],
  ["withoutDictionary", "lack their dictionary, and were left out"],
  ["withoutRequest", "lack their request: they are found, but not listed"],
];

/** Runs the command. */
export async function repair(parts: CommandParts, { model, rebuild = false }: RepairFlags): Promise<number | void> {
  const { console, runtime, settings, signal } = parts;
  const report = await duringWork(parts, (onProgress) =>
    repairCacheOn(runtime, {
      directory: settings.cache,
      rebuild,
      ...model !== undefined && { models: [model] },
      onProgress,
      signal,
    }));
  if (console.isJson) await console.printJson(report);
  else await console.print(...repairLines(report, console));
  return report.ok ? undefined : FAILED;
}

/** What people read. */
export function repairLines(report: RepairReport, { width, paint }: Pick<Console, "width" | "paint">): string[] {
  const { directory, files } = report;
  if (files.length === 0) return [oneLine(`Nothing to repair: no database in ${directory}`)];
  return files.flatMap(({ file, model, outcome, reason, kept, problems, salvaged, notes }) => {
    const found = Object.entries(problems).map(([kind, times]) => `${count(times)} ${kind}`);
    const told = [
      ...reason === null ? [] : [reason],
      ...found.length === 0 ? [] : [`found: ${found.join(", ")}`],
      ...salvaged === null ? [] : inWords(salvaged),
      ...kept === null ? [] : [`what was there is kept as ${kept}`],
      ...notes,
    ];
    return [
      `${paint(outcome, OUTCOME_STYLES[outcome])} ${oneLine(model ?? file)}`,
      ...told.map((text) => wrapTo(oneLine(text), width, "  ")),
    ];
  });
}

function inWords(salvaged: SalvageCounts): string[] {
  const { entries, requests } = salvaged;
  return [
    `taken over: ${entries === 1 ? "1 entry" : `${count(entries)} entries`} of ${counted(requests, "request")}`,
    ...SALVAGED.filter(([name]) => salvaged[name] > 0).map(([name, words]) => `${count(salvaged[name])} ${words}`),
  ];
}
