/**
 * How far long work has come: a line that is written over where people look, and a line now and then elsewhere. It goes
 * to the errors, so that what a command prints stays what it was asked for.
 *
 * @module
 */

import { count } from "../runtime/readable.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import type { CommandParts } from "./command.ts";
import { bar } from "./progress.ts";
import { size } from "./size.ts";
import { cutTo, oneLine } from "./text_width.ts";

/** How far some work has come. */
export interface WorkProgress {
  readonly done: number;
  /** How much there is in all, where that is known. */
  readonly total?: number;
  /** What is counted: `entries`, `bytes`. */
  readonly unit: string;
}

/** Nobody reads faster. */
const INTERVAL: Milliseconds = 100;
/** Where nobody looks, a line so often is a sign of life and no more. */
const CALM_INTERVAL: Milliseconds = 10_000;
/** Work that is done sooner needs no line. */
const PATIENCE: Milliseconds = 300;

/** To the beginning of the line, and nothing left in it. ECMA-48, section 8.3.41. */
const ERASE = "\r\x1b[2K";

/** Does long work and shows how far it has come. */
export async function duringWork<T>(
  { console, runtime: { clock, terminal } }: CommandParts,
  work: (onProgress: (progress: WorkProgress) => void) => Promise<T>,
): Promise<T> {
  const isSeen = terminal.errors.isTerminal() && !console.isJson;
  const interval = isSeen ? INTERVAL : CALM_INTERVAL;
  const began = clock.monotonic();
  let next = began + (isSeen ? PATIENCE : CALM_INTERVAL);
  let isShown = false;
  const onProgress = (progress: WorkProgress): void => {
    const now = clock.monotonic();
    if (console.isJson || now < next) return;
    next = now + interval;
    isShown = isSeen;
    const text = progressText(progress, now - began);
    // Not waited for: the work comes first, and a line that is lost is no loss.
    if (isSeen) void terminal.errors.write(ERASE + cutTo(text, (terminal.errors.columns() ?? 80) - 1));
    else void terminal.errors.write(`${text}\n`);
  };
  try {
    return await work(onProgress);
  } finally {
    if (isShown) await terminal.errors.write(ERASE);
  }
}

/** Progress in words. */
export function progressText({ done, total, unit }: WorkProgress, elapsed: Milliseconds): string {
  const amount = (value: number): string => oneLine(unit === "bytes" ? size(value) : `${count(value)} ${unit}`);
  const speed = `${amount(Math.round(done / Math.max(elapsed / 1000, 0.001)))}/s`;
  if (total === undefined) return `${amount(done)}  ${speed}`;
  return `${bar(total === 0 ? 1 : done / total)}  ${unit === "bytes" ? size(done) : oneLine(count(done))} of ${
    amount(total)
  }  ${speed}`;
}
