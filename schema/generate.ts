/**
 * Writes what is made from the table of settings: `schema/warmcache.schema.json`, and the tables in `docs/settings.md`.
 * `deno task schema` runs it; a test finds out when it was forgotten.
 *
 * @module
 */

import { readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import { settingsSchema } from "../src/cli/settings_schema.ts";
import { GROUPS, type Setting, SETTINGS } from "../src/cli/settings_table.ts";

const SCHEMA = new URL("warmcache.schema.json", import.meta.url);
const MANUAL = new URL("../docs/settings.md", import.meta.url);

/** What stands around the tables in the manual. */
const [BEGIN, END] = ["<!-- made by deno task schema -->", "<!-- end of what is made -->"];

/** What the files should be, by where they are. */
export async function generatedFiles(): Promise<ReadonlyMap<URL, string>> {
  const manual = await readFile(MANUAL, "utf8");
  const [before, rest] = manual.split(BEGIN) as [string, string];
  const after = rest.split(END)[1]!;
  return new Map([
    [SCHEMA, `${JSON.stringify(settingsSchema(), null, 2)}\n`],
    [MANUAL, `${before}${BEGIN}\n\n${GROUPS.map(section).join("\n\n")}\n\n${END}${after}`],
  ]);
}

function section(group: typeof GROUPS[number]): string {
  const rows = SETTINGS.filter((setting) => setting.group === group).map(rowOf);
  return `### ${group}\n\n${table([["in the file", "flag", "variable", "is", "default"], ...rows])}`;
}

function rowOf({ name, inFile, flag, variable, help, otherwise, fallback }: Setting): string[] {
  const code = (text: string | undefined): string => text === undefined ? "" : `\`${text}\``;
  const preset = otherwise ?? code(String(fallback));
  return [inFile ? code(name) : "", code(flag), code(variable), help, preset].map((cell) =>
    cell.replaceAll("|", "\\|")
  );
}

/** As `deno fmt` sets it. */
function table(rows: readonly string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column]!)).join(" | ")} |`);
  return lines.toSpliced(1, 0, `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`).join("\n");
}

if (import.meta.main) {
  for (const [file, text] of await generatedFiles()) await writeFile(file, text);
  process.exit(0);
}
