/** Descriptors that another process has, too: as every process has, from when it is made until its program runs. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import type { OpenFile, Runtime } from "../../src/runtime/runtime.ts";

/** The machine, and a way to have a process that keeps every file open that is open now. */
export function inheriting(machine: Runtime): { runtime: Runtime; inherit(): Promise<() => Promise<void>> } {
  const opened = new Set<OpenFile>();
  const { files } = machine;
  const open: typeof files.open = (path, mode) => {
    const file = files.open(path, mode);
    const close = file.close.bind(file);
    file.close = () => {
      opened.delete(file);
      close();
    };
    opened.add(file);
    return file;
  };
  return {
    runtime: { ...machine, files: { ...files, open } },
    async inherit() {
      const descriptors = [...opened].map(({ descriptor }) => descriptor);
      const child = spawn("sleep", ["600"], { stdio: ["ignore", "ignore", "ignore", ...descriptors] });
      await once(child, "spawn");
      return async () => {
        child.kill("SIGKILL");
        await once(child, "exit");
      };
    },
  };
}
