/**
 * What browsers and the edge do alike, by way of what the web's standards give to both.
 *
 * @module
 */

import { sha256 } from "@noble/hashes/sha2.js";
import { hexOf } from "./hex.ts";
import type { Clock, FileDigest, Files, Runtime, Terminal, TerminalStream, WholeFileLock } from "./runtime.ts";

/** The parts of a {@link Runtime} that do not differ. */
export type WebRuntime = Omit<Runtime, "name" | "version" | "processId" | "readModule" | "spawnWorker">;

/** How much of a file is hashed before others have their turn: some 5 ms. */
const HASHED_AT_ONCE = 1024 * 1024;

/**
 * The parts of a {@link Runtime} that do not differ. `place` is for messages: `in a browser`. `afterTurn` is the clock's.
 */
export function webRuntime(place: string, files: Files, afterTurn: Clock["afterTurn"]): WebRuntime {
  const clock: Clock = { now: () => Date.now(), monotonic: () => performance.now(), sleep, afterTurn };
  const cannot = (what: string): TypeError => new TypeError(`Cannot ${what} ${place}: it takes Deno, Node or Bun`);
  return {
    files,
    // Nobody else uses these files: whoever has them keeps others out by the locks that the web has, or has memory.
    rangeLocks: undefined,
    clock,
    lockWholeFile: locksIn(files),
    sha256,
    sha256InParts: () => {
      const hash = sha256.create();
      return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest() };
    },
    digestFile: (path) => digestFile(files, clock, path),
    onTerminationSignal: () => () => {},
    serveHttp: () => Promise.reject(cannot("listen for HTTP requests")),
    environment: () => undefined,
    args: [],
    printsToTerminal: () => false,
    terminal,
    usage: () => {
      throw cannot("tell what this process takes of the machine");
    },
    exit: () => {
      throw cannot("end the process");
    },
  };
}

const silent: TerminalStream = {
  isTerminal: () => false,
  columns: () => undefined,
  write: () => Promise.resolve(false),
};

/** Nobody types here, and nobody reads. */
const terminal: Terminal = {
  output: silent,
  errors: silent,
  readsFromTerminal: () => false,
  readInput: () => Promise.resolve(new Uint8Array()),
  readLine: () => Promise.resolve(undefined),
};

function sleep(...[duration, { signal } = {}]: Parameters<Clock["sleep"]>): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, duration);
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** All who may want one are here. */
function locksIn(files: Files): Runtime["lockWholeFile"] {
  const held = new Set<string>();
  return (path): WholeFileLock | undefined => {
    if (held.has(path)) return undefined;
    if (!files.exists(path)) files.open(path, "create").close();
    held.add(path);
    let isHeld = true;
    return {
      release() {
        // Once: by then somebody else may hold it.
        if (isHeld) held.delete(path);
        isHeld = false;
      },
    };
  };
}

async function digestFile(files: Files, clock: Clock, path: string): Promise<FileDigest> {
  const stat = await files.stat(path);
  await files.prepare?.([path]);
  const file = files.open(path, "read");
  try {
    const hash = sha256.create();
    const part = new Uint8Array(HASHED_AT_ONCE);
    let position = 0;
    for (let count: number; (count = file.read(part, position)) > 0; position += count) {
      hash.update(part.subarray(0, count));
      await new Promise<void>((resolve) => clock.afterTurn(resolve));
    }
    const after = await files.stat(path);
    if (!stat || !after || !file.isInPlace() || stat.mtimeNs !== after.mtimeNs || position !== after.size) {
      throw new Error(`Cannot hash ${path}: it changed meanwhile`);
    }
    return { sha256: hexOf(hash.digest()), stat: after };
  } finally {
    file.close();
  }
}
