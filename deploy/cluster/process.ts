/**
 * Programs that run beside one another: started, waited for, and ended in order. Each is in a process group of its own,
 * so that Ctrl-C in a terminal reaches whoever started them, and not the store before the servers that write to it.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";

/** For how long a program may take to be there. */
const PATIENCE = 60_000;

/** A program that was started. */
export interface Program {
  readonly name: string;
  readonly pid: number;
  /** Resolves to its exit status, `null` if a signal ended it. */
  readonly ended: Promise<number | null>;
  /** What it has printed so far. */
  output(): string;
  /** Sends a signal, if it still runs, and waits until it is gone. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** How to start a program. */
export interface ProgramOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** Hears each line that it prints. */
  readonly hear?: (line: string) => void;
}

/** Starts a program. */
export function startProgram(
  name: string,
  [executable, ...args]: readonly string[],
  { environment = {}, hear = () => {} }: ProgramOptions = {},
): Program {
  const child = spawn(executable!, args, {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...environment },
  });
  let [output, rest, isOver] = ["", "", false];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) hear(line);
    });
  }
  const ended = endOf(child).finally(() => isOver = true);
  // Whoever waits for it to be there hears of it.
  ended.catch(() => {});
  return {
    name,
    pid: child.pid ?? 0,
    ended,
    output: () => output,
    stop: async (signal = "SIGTERM") => {
      // By its id: on Deno a child that `ChildProcess.kill` signalled has no exit status.
      if (!isOver && child.pid !== undefined) process.kill(child.pid, signal);
      return await ended;
    },
  };
}

/**
 * Waits until a program is there, as `holds` can tell.
 *
 * @throws Error with what it printed when it ends first, or is not there in time; it does not run any more then.
 */
export async function untilThere(program: Program, holds: () => boolean | Promise<boolean>): Promise<Program> {
  try {
    await waitFor(program, holds);
    return program;
  } catch (error) {
    await program.stop("SIGKILL").catch(() => {});
    throw error;
  }
}

async function waitFor(program: Program, holds: () => boolean | Promise<boolean>): Promise<void> {
  let isOver = false;
  const over = (): void => void (isOver = true);
  program.ended.then(over, over);
  for (const end = Date.now() + PATIENCE; !await holds();) {
    if (isOver) throw new Error(`${program.name} ended: ${program.output().slice(-2000)}`);
    if (Date.now() > end) throw new Error(`${program.name} does not answer: ${program.output().slice(-2000)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Whether a URL answers with 200. */
export async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5000) });
    await response.body?.cancel();
    return response.status === 200;
  } catch {
    return false;
  }
}

function endOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once("exit", (status) => resolve(status));
    child.once("error", reject);
  });
}
