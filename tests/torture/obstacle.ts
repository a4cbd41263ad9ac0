/** What gets in the way of the database's directory now and then: a full disk, a directory that may not be written. */

import fs from "node:fs";
import { join } from "node:path";
import process from "node:process";

/** Something that can be put in the way and cleared away. */
export interface Obstacle {
  /** Where the database lies. */
  readonly directory: string;
  /** What processes are started with, so that it is in their way at all. */
  readonly prefix: readonly string[];
  /** Codes of the errors that are its clean signs. */
  readonly tolerates: readonly string[];
  /** The same in the shell's words. */
  readonly shellTolerates: RegExp;
  put(): void;
  clear(): void;
}

/** Fills the small file system that `directory` lies on to its last byte. */
export function fullDisk(directory: string): Obstacle {
  const filler = join(directory, "filler");
  return {
    directory,
    prefix: [],
    tolerates: ["SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "ENOSPC"],
    shellTolerates: /database or disk is full|disk I\/O error|unable to open/,
    put() {
      const file = fs.openSync(filler, "w");
      const block = new Uint8Array(64 * 1024);
      try {
        for (let size = block.length; size >= 1;) {
          try {
            fs.writeSync(file, block, 0, size);
          } catch {
            size >>= 4;
          }
        }
      } finally {
        fs.closeSync(file);
      }
    },
    clear: () => fs.rmSync(filler, { force: true }),
  };
}

/** Takes the permission to write from `directory`. Root is started without the capability that ignores it. */
export function readOnlyDirectory(directory: string): Obstacle {
  const isRoot = process.getuid?.() === 0;
  return {
    directory,
    prefix: isRoot ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"] : [],
    tolerates: ["SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_IOERR", "EACCES"],
    shellTolerates: /readonly database|disk I\/O error|unable to open/,
    put: () => fs.chmodSync(directory, 0o500),
    clear: () => fs.chmodSync(directory, 0o700),
  };
}
