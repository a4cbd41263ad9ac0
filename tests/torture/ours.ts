/** A process of the torture on our engine. */

import { loadRuntime } from "../../src/runtime/load.ts";
import type { Files, Runtime } from "../../src/runtime/runtime.ts";
import { Checkpointer } from "../../src/sqlite/checkpointer.ts";
import { type OpenDatabase, openDatabase } from "../../src/sqlite/open.ts";
import { createLedgerOnce } from "./ledger.ts";
import { type Fault, work } from "./worker.ts";

const machine = await loadRuntime();
const checkpointer = new Checkpointer(machine);

await work(async ({ database: path, fault, deadline }, random) => {
  const open = (): Promise<OpenDatabase> =>
    openDatabase({
      runtime: withFault(machine, fault),
      path,
      create: true,
      locking: "shared",
      synchronous: "normal",
      lockTimeout: deadline,
      schema: createLedgerOnce,
    });
  const first = await open();
  try {
    const second = random.once(4) ? await open() : undefined;
    first.driver.exec(`PRAGMA cache_size = ${random.pick([10, 2000])}`);
    return {
      driver: first.driver,
      second: second?.driver,
      async shorten() {
        try {
          await checkpointer.checkpoint(path);
        } catch (error) {
          // Somebody in the way, or an obstacle: another time.
          if (/malformed|not a database/.test((error as Error).message)) throw error;
        }
      },
      close() {
        second?.close();
        first.close();
      },
    };
  } catch (error) {
    first.close();
    throw error;
  }
});

function withFault(runtime: Runtime, fault: Fault | undefined): Runtime {
  switch (fault) {
    case "no-locks":
      return { ...runtime, rangeLocks: { tryLock: () => true, unlock: () => {}, isLocked: () => false } };
    case "lost-index":
      return { ...runtime, files: losingIndexWrites(runtime.files) };
    default:
      return runtime;
  }
}

/** Files of which every hundredth write to a wal-index's tables goes missing. */
function losingIndexWrites(files: Files): Files {
  const tables = 136;
  let writes = 0;
  return {
    ...files,
    open(path, mode) {
      const file = files.open(path, mode);
      if (!path.endsWith("-shm")) return file;
      const write = file.write.bind(file);
      file.write = (source, position) => {
        if (position < tables || ++writes % 100 !== 0) write(source, position);
      };
      return file;
    },
  };
}
