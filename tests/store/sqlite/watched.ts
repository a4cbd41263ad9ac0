/** The machine with somebody who watches what is done to its files, to copy or to stop it at any moment. */

import type { OpenFile, Runtime } from "../../../src/runtime/runtime.ts";
import { machine } from "./fixture.ts";

/** The machine, calling `hear` before each operation that changes files, and half-way through each write. */
export function watched(hear: () => void): Runtime {
  const { files } = machine;
  const heard = <T extends unknown[], R>(operation: (...parameters: T) => R) => (...parameters: T): R => {
    hear();
    return operation(...parameters);
  };
  const watchedFile = (file: OpenFile): OpenFile =>
    Object.assign(file, {
      write: heard((source: Uint8Array, position: number): void => {
        const half = source.byteLength >> 1;
        Object.getPrototypeOf(file).write.call(file, source.subarray(0, half), position);
        hear();
        Object.getPrototypeOf(file).write.call(file, source.subarray(half), position + half);
      }),
      truncate: heard(file.truncate.bind(file)),
      sync: heard(file.sync.bind(file)),
    });
  return {
    ...machine,
    files: {
      ...files,
      open: heard((path, mode) => watchedFile(files.open(path, mode))),
      remove: heard(files.remove),
      makeDirectory: heard(files.makeDirectory),
      removeEmptyDirectory: heard(files.removeEmptyDirectory),
      replace: async (path, bytes, options) => await heard(files.replace)(path, bytes, options),
      sync: async (path) => await heard(files.sync)(path),
    },
  };
}
