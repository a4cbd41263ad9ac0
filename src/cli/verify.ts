/**
 * `verify`: looks at all that is stored, and says what is wrong. What it finds is a status of its own, so that a job can
 * tell a cache that is broken from one that could not be looked at.
 *
 * @module
 */

import type { PackVerification } from "../compose/packs.ts";
import type { ModelCheck, Problem, VerifyReport } from "../store/verify.ts";
import { NOTES } from "../store/verify.ts";
import { count, counted } from "../runtime/readable.ts";
import { type CommandParts, FOUND_PROBLEMS, withCache } from "./command.ts";
import type { Console } from "./console.ts";
import { type Column, type Row, table } from "./table.ts";
import { oneLine, wrapTo } from "./text_width.ts";
import { duringWork } from "./work_progress.ts";

/** What to look at. */
export interface VerifyFlags {
  readonly model?: string;
  readonly deep?: boolean;
  /** Of a pack: whether keys may be of another kind. */
  readonly foreignKeys?: boolean | undefined;
}

const COLUMNS: readonly Column[] = [
  { title: "MODEL", least: 14 },
  { title: "ENTRIES", side: "right" },
  { title: "REQUESTS", side: "right", leaves: 2 },
  { title: "DICTIONARIES", side: "right", leaves: 1 },
  { title: "FOUND", least: 20 },
];

/** Runs the command, on a pack where one is named. */
export async function verify(
  parts: CommandParts,
  pack: string | undefined,
  { foreignKeys, ...flags }: VerifyFlags,
): Promise<number | void> {
  if (pack !== undefined) return await ofPack(parts, pack, { ...flags, foreignKeys });
  if (foreignKeys) throw new TypeError("Cannot verify a cache so: --foreign-keys goes with a pack");
  return await ofCache(parts, flags);
}

async function ofPack(
  parts: CommandParts,
  pack: string,
  { model, deep, foreignKeys = false }: VerifyFlags,
): Promise<number | void> {
  const { console, signal } = parts;
  if (model !== undefined || deep) throw new TypeError("Cannot verify a pack in part: leave out --model and --deep");
  const { verifyPack } = await import("../compose/packs.ts");
  const report = await duringWork(parts, (onProgress) => verifyPack(pack, { foreignKeys, onProgress, signal }));
  if (console.isJson) await console.printJson(report);
  else await console.print(...packLines(pack, report, console));
  return report.isSound ? undefined : FOUND_PROBLEMS;
}

async function ofCache(parts: CommandParts, flags: Pick<VerifyFlags, "model" | "deep">): Promise<number | void> {
  const { console, signal } = parts;
  return await withCache(parts, async ({ cache }) => {
    const report = await duringWork(parts, (onProgress) => cache.verify({ ...flags, onProgress, signal }));
    if (console.isJson) await console.printJson(report);
    else await console.print(...verifyLines(report, console));
    return report.ok ? undefined : FOUND_PROBLEMS;
  });
}

/** What people read. */
export function verifyLines(report: VerifyReport, { width, paint }: Pick<Console, "width" | "paint">): string[] {
  const { ok, location, models, problems, moreProblems } = report;
  const verdict = ok ? paint("sound", "green") : paint("broken", "red");
  return [
    `${paint(oneLine(location), "dim")} ${verdict}`,
    ...models.length === 0 ? [] : ["", ...table(COLUMNS, models.map(rowOf), width, paint)],
    ...problems.length === 0 ? [] : ["", ...problems.map((problem) => problemLine(problem, { width, paint }))],
    ...moreProblems > 0 ? [paint(oneLine(`and ${counted(moreProblems, "more")}`), "dim")] : [],
    ...ok
      ? []
      : ["", wrapTo("What is broken is no answer, and is bought anew when it is asked for; docs/repair.md", width)],
  ];
}

function packLines(
  pack: string,
  { isSound, shards, requests, samples, problems }: PackVerification,
  { width, paint }: Pick<Console, "width" | "paint">,
): string[] {
  const held = `${counted(shards, "shard")}, ${counted(requests, "request")}, ${counted(samples, "sample")}`;
  return [
    `${paint(oneLine(pack), "dim")} ${isSound ? paint("sound", "green") : paint("broken", "red")}`,
    oneLine(`of it sound: ${held}`),
    ...problems.map(({ shard, message }) =>
      `${paint(oneLine(shard ?? "the manifest"), "red")}\n${wrapTo(oneLine(message), width, "  ")}`
    ),
  ];
}

function rowOf({ model, entries, requests, dictionaries, problems }: ModelCheck): Row {
  const found = Object.entries(problems).map(([kind, times]) => `${count(times)} ${kind}`);
  const isBroken = Object.keys(problems).some((kind) => !NOTES.has(kind as Problem["kind"]));
  return {
    cells: [model, count(entries), count(requests), count(dictionaries), found.join(", ") || "-"],
    styles: [, , , , isBroken ? "red" : found.length > 0 ? "yellow" : "green"],
  };
}

function problemLine(
  { kind, model, key, sample, what }: Problem,
  { width, paint }: Pick<Console, "width" | "paint">,
): string {
  const place = [model, key?.slice(0, 12), sample === null ? undefined : `sample ${sample}`].filter((each) => each);
  const text = wrapTo(oneLine(`${place.join(" ")}: ${what}`), width, "  ");
  return `${paint(kind, NOTES.has(kind) ? "yellow" : "red")}\n${text}`;
}
