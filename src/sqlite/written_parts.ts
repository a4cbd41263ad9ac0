/**
 * The files of a database that is written, by name: what does not depend on who else writes them.
 *
 * @module
 */

import type { Files, OpenFile } from "../runtime/runtime.ts";
import type { FilePart } from "./database_files.ts";

/** One of a database's files, open. */
export interface WrittenPart {
  readonly file: OpenFile;
  /** Waits until its bytes are on the disk, and its name. */
  sync(): void;
}

/** A database's files, and whether they still lie where they were opened. */
export class WrittenParts {
  readonly #files: Files;
  readonly #path: string;
  readonly #opened = new Map<FilePart, OpenFile>();

  /** `path` is the database's real path. */
  constructor(files: Files, path: string) {
    this.#files = files;
    this.#path = path;
  }

  /** Opens a file; all but the database itself are made if missing. */
  open(part: FilePart): WrittenPart {
    const file = this.#files.open(this.#path + part, part === "" ? "write" : "create");
    this.#opened.set(part, file);
    let directorySynced = false;
    return {
      file,
      sync: () => {
        file.sync();
        // A new file survives a power failure only once its directory is on the disk as well.
        if (!directorySynced) this.#syncDirectory();
        directorySynced = true;
      },
    };
  }

  /** Whether there is such a file. */
  exists(part: FilePart): boolean {
    return this.#files.exists(this.#path + part);
  }

  /** Removes a file, unless another has taken its place since it was opened. */
  remove(part: FilePart): void {
    // Where the folder was removed and made again, what lies there now belongs to others.
    if (this.isInPlace(part) ?? true) this.#files.remove(this.#path + part);
  }

  /** Whether what was last opened as `part` is still what lies there; `undefined` when it was never opened. */
  isInPlace(part: FilePart): boolean | undefined {
    return this.#opened.get(part)?.isInPlace();
  }

  #syncDirectory(): void {
    const directory = this.#files.open(this.#path.slice(0, this.#path.lastIndexOf("/")) || "/", "read");
    try {
      directory.sync();
    } finally {
      directory.close();
    }
  }
}
