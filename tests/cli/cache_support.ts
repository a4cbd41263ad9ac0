/** Runs commands of the command line in this process, on a terminal that is made up: as wide as a test wants it. */

import { main } from "../../src/cli/main.ts";
import { CACHE_PROGRAM } from "../../src/cli/settings.ts";
import type { Runtime, TerminalStream } from "../../src/runtime/runtime.ts";
import { machineAt, NOW } from "./busy_cache.ts";

/** What a command meets. */
export interface Around {
  /** Of the terminal; without it the output is a pipe. */
  readonly columns?: number;
  /** The environment; where nothing is said, one without colours, which reads better. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Standard input. */
  readonly input?: string;
  /** What somebody types at a terminal. */
  readonly typed?: string;
  /** How many writes are read before the reader goes. */
  readonly reads?: number;
  /** Sends a signal as soon as something was printed. */
  readonly signal?: string;
}

/** What became of a command. */
export interface Ran {
  readonly status: number;
  readonly output: string;
  readonly errors: string;
}

/** The end of a process that goes on. */
class Exit extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`exit with ${status}`);
    this.status = status;
  }
}

/** Runs a command line to its end. */
export async function run(args: readonly string[], around: Around = {}): Promise<Ran> {
  const { columns, variables = { NO_COLOR: "1" }, input = "", typed, reads = Infinity, signal } = around;
  let [output, errors, left] = ["", "", reads];
  let interrupt: ((signal: string) => void) | undefined;
  const stream = (take: (text: string) => boolean): TerminalStream => ({
    isTerminal: () => columns !== undefined,
    columns: () => columns,
    write: (text) => Promise.resolve(take(text)),
  });
  const machine = await machineAt(() => NOW);
  const runtime: Runtime = {
    ...machine,
    args,
    environment: (name) => variables[name],
    onTerminationSignal(handler) {
      interrupt = handler;
      return () => {};
    },
    exit: (status) => {
      throw new Exit(status);
    },
    terminal: {
      output: stream((text) => {
        if (left-- <= 0) return false;
        output += text;
        if (signal !== undefined) interrupt!(signal);
        return true;
      }),
      errors: stream((text) => {
        errors += text;
        return true;
      }),
      readsFromTerminal: () => typed !== undefined,
      readInput: () => Promise.resolve(new TextEncoder().encode(input)),
      readLine: () => Promise.resolve(typed),
    },
  };
  try {
    await main(CACHE_PROGRAM, runtime);
    return { status: 0, output, errors };
  } catch (error) {
    if (!(error instanceof Exit)) throw error;
    return { status: error.status, output, errors };
  }
}
