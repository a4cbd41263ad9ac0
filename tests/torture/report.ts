/** The torture's figures, for people. */

import { execFileSync } from "node:child_process";
import os from "node:os";
import { fileURLToPath } from "node:url";
import { commandOf, RUNTIMES } from "../support/runtimes.ts";
import type { Report } from "./conductor.ts";
import type { Field } from "./scoreboard.ts";
import { FIELDS } from "./scoreboard.ts";
import { shellVersion } from "./shell.ts";

const COLUMNS: readonly (Field | "processes")[] = [
  "processes",
  ...FIELDS.filter((field) => field !== "state" && field !== "high"),
];

/** The machine, the runtimes and the SQLites in them. */
export function versions(): string {
  const lines = [`${os.type()} ${os.release()} ${os.arch()}, ${os.availableParallelism()} cores`];
  for (const runtime of RUNTIMES) {
    const command = commandOf(runtime);
    if (command === undefined) continue;
    const path = fileURLToPath(new URL("./versions.ts", import.meta.url));
    lines.push(execFileSync(command[0], [...command.slice(1), path], { encoding: "utf8" }).trim());
  }
  lines.push(`sqlite3 shell ${shellVersion()}`);
  return lines.join("\n");
}

/** A report as lines of text. */
export function describe(report: Report): string {
  const rows = [["", ...COLUMNS.map((name) => name === "longestWait" ? "longest wait (ms)" : name)]];
  const sums = new Map<string, number>();
  for (const [kind, scores] of [...report.byKind].sort()) {
    rows.push([kind, ...COLUMNS.map((name) => Math.round(scores[name]).toString())]);
    for (const name of COLUMNS) {
      const sum = sums.get(name) ?? 0;
      sums.set(name, name === "longestWait" ? Math.max(sum, scores[name]) : sum + scores[name]);
    }
  }
  rows.push(["all", ...COLUMNS.map((name) => Math.round(sums.get(name) ?? 0).toString())]);
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)));
  const table = rows.map((row) => row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)));
  const count = (kind: string) => report.violations.filter((violation) => violation.includes(kind)).length;
  return [
    ...table.map((cells) => cells.join("  ")),
    `${report.transactions} transactions in ${
      Math.round(report.duration / 1000)
    } s; ${report.kills} kills, of all at once ` +
    `${report.massacres} times; ${report.pauses} processes stopped and continued; ${report.retreats} times all closed and ` +
    `opened again, ${report.cleanRetreats} with no log left; ${report.obstructions} obstructions; ` +
    `${report.settlements} settlements; ${report.inFlight} commits in flight at a kill`,
    `lost ${count("lost")}, torn ${count("torn")}, violations ${report.violations.length}`,
    ...report.violations,
  ].join("\n");
}
