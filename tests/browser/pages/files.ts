/// <reference lib="dom" />
/** A page with a Worker that has files; what it does is in `files_worker.ts`. */

import type { FilesCommands } from "./files_worker.ts";

interface Reply {
  readonly id?: number;
  readonly value?: unknown;
  readonly failure?: { readonly name: string; readonly message: string; readonly code?: string };
  readonly done?: { readonly path: string; readonly version: number };
}

let worker = start();
let last = 0;
const waiting = new Map<number, (reply: Reply) => void>();
/** The last version of each file that the Worker said it had written. */
let done: Record<string, number> = {};
let enough: { readonly count: number; readonly resolve: () => void } | undefined;
let told = 0;

function start(): Worker {
  const started = new Worker(new URL("./files_worker.js", import.meta.url), { type: "module" });
  started.addEventListener("message", ({ data }: MessageEvent<Reply>) => {
    if (data.done) {
      done[data.done.path] = data.done.version;
      if (++told >= (enough?.count ?? Infinity)) enough!.resolve();
    } else {
      waiting.get(data.id!)?.(data);
    }
  });
  return started;
}

/** Has the Worker do something. */
export async function ask<Command extends keyof FilesCommands>(
  command: Command,
  ...args: Parameters<FilesCommands[Command]>
): Promise<Awaited<ReturnType<FilesCommands[Command]>>> {
  const id = ++last;
  const { value, failure } = await new Promise<Reply>((resolve) => {
    waiting.set(id, resolve);
    worker.postMessage({ id, command, args });
  });
  waiting.delete(id);
  if (failure) throw Object.assign(new Error(failure.message), failure);
  return value as never;
}

/** Starts a second Worker in place of the first, which is ended, wherever it is. */
export function restart(): void {
  worker.terminate();
  worker = start();
}

/**
 * Has the Worker do something that never ends until it has told of `count` things done, and goes on; the last of each that
 * it told of.
 */
export async function waitAmong(
  command: "changeForEver" | "commitForEver",
  count: number,
): Promise<Record<string, number>> {
  done = {};
  told = 0;
  const reached = new Promise<void>((resolve) => enough = { count, resolve });
  void ask(command);
  await reached;
  return done;
}

/** As {@link waitAmong}, and kills it then. */
export async function killAmong(
  command: "changeForEver" | "commitForEver",
  count: number,
): Promise<Record<string, number>> {
  await waitAmong(command, count);
  restart();
  return done;
}
