/**
 * {@link Terminal} by way of `node:process`, which Deno, Node and Bun all have.
 *
 * @module
 */

import process from "node:process";
import { createInterface } from "node:readline";
import type { Terminal, TerminalStream } from "./runtime.ts";

/** What this process reads from, and prints to. */
export const nodeTerminal: Terminal = {
  output: streamOn(() => process.stdout),
  errors: streamOn(() => process.stderr),
  readsFromTerminal: () => process.stdin.isTTY === true,
  async readInput() {
    const parts: Uint8Array[] = [];
    for await (const part of process.stdin) parts.push(part as Uint8Array);
    return new Uint8Array(await new Blob(parts as Uint8Array<ArrayBuffer>[]).arrayBuffer());
  },
  readLine(signal) {
    return new Promise((resolve) => {
      const lines = createInterface({ input: process.stdin });
      const settle = (line: string | undefined): void => {
        signal.removeEventListener("abort", abort);
        resolve(line);
        lines.close();
      };
      const abort = (): void => settle(undefined);
      signal.addEventListener("abort", abort);
      lines.once("line", settle);
      lines.once("close", abort);
      if (signal.aborted) abort();
    });
  },
};

/** As much of a stream of `node:process` as printing needs. */
interface Printing {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string, done: (error?: Error | null) => void): boolean;
  on(event: "error", listener: () => void): unknown;
}

function streamOn(stream: () => Printing): TerminalStream {
  let isWatched = false;
  return {
    isTerminal: () => stream().isTTY === true,
    columns: () => stream().columns || undefined,
    write(text) {
      // Told to whoever writes; without a listener it would end the process besides.
      if (!isWatched) stream().on("error", () => {});
      isWatched = true;
      return new Promise((resolve) => {
        try {
          stream().write(text, (error) => resolve(!error));
        } catch {
          // Bun and Deno may say at once that the reader has gone.
          resolve(false);
        }
      });
    },
  };
}
