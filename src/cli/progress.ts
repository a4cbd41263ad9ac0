/**
 * What `pull` shows while it fetches: one line that is written over on a terminal, one line for each finished file
 * elsewhere.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../runtime/runtime.ts";
import type { PullProgress } from "../warm/hub/pull.ts";
import { size } from "./size.ts";

/** Where progress is shown. */
export interface ProgressOptions {
  readonly clock: Pick<Clock, "monotonic">;
  readonly isTerminal: boolean;
  /** Prints a line. */
  readonly print: (line: string) => void;
}

/** Nobody reads faster. */
const INTERVAL: Milliseconds = 100;

/** Characters in the bar. */
const WIDTH = 24;

/** One line up, and empty. https://www.ecma-international.org/publications-and-standards/standards/ecma-48/ */
const WRITE_OVER = "\x1b[1A\x1b[2K";

/** Returns what hears of progress. */
export function progressPrinter({ clock, isTerminal, print }: ProgressOptions): (
  files: readonly PullProgress[],
) => void {
  return isTerminal ? live(clock, print) : list(print);
}

/** A bar, and how many percent it stands for. */
export function bar(share: number): string {
  const whole = Math.min(1, Math.max(0, share));
  const filled = Math.floor(whole * WIDTH);
  return `${"█".repeat(filled)}${"░".repeat(WIDTH - filled)} ${Math.floor(whole * 100)} %`;
}

function live(
  clock: ProgressOptions["clock"],
  print: (line: string) => void,
): (files: readonly PullProgress[]) => void {
  const started = clock.monotonic();
  let shown: Milliseconds | undefined;
  let before: number | undefined;
  return (files) => {
    const received = sum(files, (file) => file.received);
    const total = sum(files, (file) => file.size);
    // What was there from earlier pulls has not come over the wire.
    before ??= received;
    const now = clock.monotonic();
    if (shown !== undefined && now - shown < INTERVAL && received < total) return;
    const share = total === 0 ? 1 : received / total;
    const speed = Math.max(0, received - before) / Math.max((now - started) / 1000, 0.001);
    const line = `${bar(share)}  ${size(received)} of ${size(total)}  ${size(speed)}/s`;
    print(shown === undefined ? line : `${WRITE_OVER}${line}`);
    shown = now;
  };
}

function list(print: (line: string) => void): (files: readonly PullProgress[]) => void {
  const told = new Set<string>();
  return (files) => {
    for (const { path, received, size: whole } of files) {
      if (received < whole || told.has(path)) continue;
      told.add(path);
      print(`${path}  ${size(whole)}`);
    }
  };
}

function sum(files: readonly PullProgress[], of: (file: PullProgress) => number): number {
  return files.reduce((total, file) => total + of(file), 0);
}
