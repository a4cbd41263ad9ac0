/**
 * What the databases of a directory take on the disk, logs included, as it was when last measured. A database whose log
 * has not been moved into it yet counts as large as it will be then: until the log is cut off it takes both.
 *
 * @module
 */

import type { Databases } from "./databases.ts";
import type { Place } from "./model_list.ts";
import { listDatabases } from "./model_list.ts";
import { sum } from "./sum.ts";

/** What a database takes on the disk. */
export interface Measured {
  /** Bytes of all its files. */
  readonly total: number;
  /** Bytes of these that are neither pages nor log, and stay. */
  readonly besides: number;
}

/** The disk use of a directory. */
export class DiskUse {
  /** By path. */
  databases: ReadonlyMap<string, Measured> = new Map();
  readonly #databases: Databases;
  readonly #place: Place;

  constructor(databases: Databases, place: Place) {
    this.#databases = databases;
    this.#place = place;
  }

  /** Bytes that all of them take. */
  get taken(): number {
    return sum([...this.databases.values()].map(({ total }) => total));
  }

  /**
   * Measures anew.
   *
   * @throws FileError when the directory cannot be read.
   */
  async measure(): Promise<void> {
    const { runtime: { files }, directory } = this.#place;
    const open = this.#databases.openByPath;
    const measured = new Map<string, Measured>();
    for (const path of await listDatabases(files, directory)) {
      const stats = await Promise.all(["", "-wal", "-shm"].map((part) => files.stat(path + part)));
      const [file, log, index] = stats.map((stat) => stat?.size ?? 0) as [number, number, number];
      const moved = open.get(path)?.vacuum.tryTotal() ?? 0;
      measured.set(path, { total: Math.max(file, moved) + log + index, besides: index });
    }
    this.databases = measured;
  }
}
