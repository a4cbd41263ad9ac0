/** Disks that a run begins with: made once, copied on every run. */

import type { Runtime } from "../../src/runtime/runtime.ts";
import { WasmDatabase } from "../../src/sqlite/database.ts";
import type { Engine } from "../../src/sqlite/engine.ts";
import { SharedFiles } from "../../src/sqlite/shared_files.ts";
import type { SimulatedDisk } from "./disk.ts";
import { createLedger } from "./ledger.ts";
import { DATABASE } from "./ledger_work.ts";
import type { Image } from "./plan.ts";

/** Just below the end of the first region of a wal-index, 4,062 frames. */
const LONG_LOG = 4050;

/** Small pages, so that a transaction has many. */
const PAGE_BYTES = 512;

export type Images = Readonly<Record<Image, ReadonlyMap<string, Uint8Array>>>;

/** Makes all of them on a disk where nothing else happens. */
export function makeImages(engine: Engine, disk: SimulatedDisk, { files, rangeLocks }: Runtime): Images {
  const make = (frames: number): Map<string, Uint8Array> => {
    disk.reset();
    disk.create(DATABASE);
    const memory = {
      get heap() {
        return engine.heap;
      },
      allocate: (size: number) => engine.allocate(size),
      free: (pointer: number) => engine.raw.sqlite3_free(pointer),
    };
    const database = new WasmDatabase(engine, DATABASE, new SharedFiles(files, rangeLocks!, DATABASE, memory));
    database.exec(`PRAGMA page_size = ${PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL`);
    createLedger(database);
    database.exec("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0");
    const fill = database.prepare("UPDATE filler SET n = n + 1");
    for (let frame = 0; frame < frames; frame++) fill.run();
    // What lies there while it is open, as if everybody had been killed.
    const contents = frames === 0 ? undefined : disk.contents();
    database.close();
    const found = contents ?? disk.contents();
    found.delete(`${DATABASE}-shm`);
    return found;
  };
  return { nothing: new Map(), ledger: make(0), "long log": make(LONG_LOG) };
}
