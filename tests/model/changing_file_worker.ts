/** A model's Worker under which a file changes a bit as soon as it has been read to its end. */

import "../../src/model/worker/worker.ts";
import { nodeFiles } from "../../src/runtime/node_files.ts";
import type { OpenFile, OpenMode } from "../../src/runtime/runtime.ts";

const { open } = nodeFiles;
Object.assign(nodeFiles, {
  open(path: string, mode: OpenMode): OpenFile {
    const file = open(path, mode);
    let isChanged = false;
    const read = (target: Uint8Array, position: number): number => {
      const count = file.read(target, position);
      const at = file.size() - 100_000 - position;
      if (isChanged && at >= 0 && at < count) target[at]! ^= 1;
      isChanged ||= count === 0;
      return count;
    };
    return { ...file, descriptor: file.descriptor, read, close: () => file.close() };
  },
});
