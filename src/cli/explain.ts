/**
 * `explain`: why a request is a hit, or none: what differs between it and the stored requests that come nearest.
 *
 * @module
 */

import type { Difference } from "../cache/explain/differences.ts";
import type { NearRequest } from "../cache/explain/explain.ts";
import type { Explanation } from "../cache/explain/explanation.ts";
import { counted, percent } from "../runtime/readable.ts";
import { shortAge } from "./ages.ts";
import { type CommandParts, withCache } from "./command.ts";
import type { Console } from "./console.ts";
import { readRequest, type ScopeFlags, scopeOf } from "./request_input.ts";
import { cutTo, oneLine, wrapTo } from "./text_width.ts";

/** Who was asked, and how much to tell. */
export interface ExplainFlags extends ScopeFlags {
  /** How many stored requests to compare with. */
  readonly nearest: number;
  readonly pack?: string;
}

const SHOWN_KEY = 12;
const INDENT = "    ";

/** Runs the command. */
export async function explain(parts: CommandParts, path: string, flags: ExplainFlags): Promise<void> {
  const { console, runtime } = parts;
  const body = await readRequest(runtime, path);
  await withCache(parts, async ({ cache }) => {
    const explanation = await cache.explain(body, scopeOf(flags));
    if (console.isJson) await console.printJson(explanation);
    else await console.print(...explainLines(explanation, console, { ...flags, now: runtime.clock.now() }));
  }, { pack: flags.pack });
}

/** What people read. */
export function explainLines(
  explanation: Explanation,
  { width, paint }: Pick<Console, "width" | "paint">,
  { nearest: most, now }: { readonly nearest: number; readonly now: number },
): string[] {
  const { key, input, bypass, samples, unusable, failures, nearest } = explanation;
  if (bypass !== undefined) return [paint("bypass", "yellow"), wrapTo(oneLine(bypass), width, INDENT)];
  const standing = samples > 0
    ? paint(oneLine(`hit: ${counted(samples, "sample")}`), "green")
    : paint(`miss${whyUnusable(unusable)}`, "red");
  const ofInput = input === undefined ? "" : ` · input ${input}`;
  const lines = [standing + ofInput + paint(`  key ${key!.slice(0, SHOWN_KEY)}`, "dim")];
  if (failures !== null) {
    const { count, last, message } = failures;
    const text = `${counted(count, "call")} for it failed, the last ${shortAge(now - last)} ago: ${message}`;
    lines.push(paint(wrapTo(oneLine(text), width, INDENT), "yellow"));
  }
  const shown = nearest.slice(0, most);
  if (shown.length === 0 && samples === 0) lines.push("", "No stored request resembles it.");
  for (const near of shown) lines.push("", ...nearLines(near, { width, paint }));
  return lines;
}

function whyUnusable(unusable: Explanation["unusable"]): string {
  const { expired = false, stale = false, corrupt = false } = unusable ?? {};
  const reasons = Object.entries({
    "it has expired": expired,
    "it is broken": corrupt,
    "it is of an older version": stale,
  });
  const told = reasons.filter(([, is]) => is).map(([reason]) => reason);
  return told.length === 0 ? "" : `: ${told.join(", ")}`;
}

function nearLines(near: NearRequest, { width, paint }: Pick<Console, "width" | "paint">): string[] {
  const { key, similarity, differences, differenceCount, provider, endpoint } = near;
  const head = `${paint(`${key.slice(0, SHOWN_KEY)}`, "cyan")} is ${oneLine(percent(similarity))} the same`;
  const more = differenceCount - differences.length;
  return [
    `${head}${paint(`  ${cutTo(oneLine(`${provider} ${endpoint}`), width - 40)}`, "dim")}`,
    ...differences.flatMap((each) => differenceLines(each, { width, paint })),
    ...more > 0 ? [paint(oneLine(` and ${counted(more, "more difference")}`), "dim")] : [],
  ];
}

function differenceLines(difference: Difference, { width, paint }: Pick<Console, "width" | "paint">): string[] {
  const { path, stored, asked, offset } = difference;
  const side = (sign: string, text: string): string => `${INDENT}${sign} ${cutTo(oneLine(text), width - 6)}`;
  return [
    `  ${paint(cutTo(oneLine(path), width - 16), "bold")}${offset === undefined ? "" : paint(` at ${offset}`, "dim")}`,
    ...stored === undefined ? [] : [paint(side("-", stored), "red")],
    ...asked === undefined ? [] : [paint(side("+", asked), "green")],
  ];
}
