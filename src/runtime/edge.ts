/**
 * {@link Runtime} at the edge: workerd, and what is like it. There are no files, no Workers, and no WebAssembly but what
 * was uploaded with the program; what a program keeps in memory goes when its isolate does.
 *
 * @module
 */

import { memoryFiles } from "./memory_files.ts";
import type { Files, Runtime } from "./runtime.ts";
import { FileError } from "./runtime.ts";
import { webRuntime } from "./web_common.ts";

/** The machine, seen from the edge. */
export function edgeRuntime(files: Files = memoryFiles()): Runtime {
  return {
    ...webRuntime("at the edge", files, (run) => void setTimeout(run, 0)),
    name: "edge",
    version: navigator.userAgent,
    // An isolate sees nobody but itself, and may not ask for a random number while it starts.
    processId: 0,
    readModule: (url) =>
      Promise.reject(new TypeError(`Cannot compile ${url} at the edge: import it, and pass it to provideWasm`)),
    spawnWorker: (_url, name) => {
      throw new FileError(`Cannot start Worker ${name} at the edge: there are none`, "ENOENT");
    },
  };
}
