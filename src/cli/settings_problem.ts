/**
 * What is wrong with the settings, as it is told: where, what was expected, what was there instead. All of it at once,
 * since who mends one line of a file at a time starts the server five times.
 *
 * @module
 */

import type * as z from "zod";

/** Something wrong with the settings. */
export interface Problem {
  /** An error keeps the server from starting; a warning does not. */
  readonly level: "error" | "warning";
  /** `--port`, `WARMCACHE_PORT`, `warmcache.json:3:11`; absent where it is about several. */
  readonly where?: string;
  /** What is wrong. */
  readonly message: string;
  /** The line of the file, and below it what of it is meant. Nothing secret is in it. */
  readonly excerpt?: string;
}

/** A problem on lines of its own. */
export function problemText({ level, where, message, excerpt }: Problem): string {
  const first = `${level}: ${where === undefined ? "" : `${where}: `}${message}`;
  return excerpt === undefined ? first : `${first}\n${excerpt}`;
}

/** Something that a kind does not take: where in the value, and what it takes. */
export interface Refusal {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  /** Whether the name is meant, not the value that it has. */
  readonly isName: boolean;
}

/** What a kind does not take, each place once. Unknown names are not among it: they are found by the schema. */
export function refusalsOf(issues: readonly z.core.$ZodIssue[]): Refusal[] {
  const told = new Map<string, Refusal>();
  for (const refusal of issues.flatMap((issue) => refusalsIn(issue, []))) {
    const place = JSON.stringify(refusal.path.map(String));
    if (!told.has(place)) told.set(place, refusal);
  }
  return [...told.values()];
}

function refusalsIn(issue: z.core.$ZodIssue, above: readonly PropertyKey[]): Refusal[] {
  const path = [...above, ...issue.path];
  switch (issue.code) {
    case "unrecognized_keys":
      return [];
    case "invalid_key":
      return [{ path, message: issue.issues[0]!.message, isName: true }];
    case "invalid_union": {
      // Of an object among other forms more can be said than that it is none of them.
      const near = issue.errors.find((errors) => !errors.some(isAboutWhole));
      if (near !== undefined) return near.flatMap((inner) => refusalsIn(inner, path));
      return [{ path, message: issue.message, isName: false }];
    }
    default:
      return [{ path, message: issue.message, isName: false }];
  }
}

function isAboutWhole({ code, path }: z.core.$ZodIssue): boolean {
  return path.length === 0 && code !== "unrecognized_keys" && code !== "custom";
}

/** A value in a message. */
export function received(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
