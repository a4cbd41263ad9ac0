/**
 * What lies in a folder of models, looked at anew for every request and yet cheaply: names change only when their
 * folder does, so a folder that is as it was is not listed again, and small files are not read again.
 *
 * @module
 */

import type { Clock, Files, FileStat, Milliseconds, Runtime } from "../runtime/runtime.ts";
import { type LocatedFile, SETTLED_AFTER, stateOf } from "./file_digests.ts";

/** What a {@link WatchedFolder} works with. */
export type WatchingRuntime = Pick<Runtime, "files" | "clock">;

/** The names in a folder. */
export interface Names {
  readonly files: ReadonlySet<string>;
  readonly folders: ReadonlySet<string>;
  /** Whether the folder lies inside the watched one, even when symbolic links are followed. */
  readonly isInside: boolean;
}

interface Remembered<T> {
  readonly state: string;
  readonly value: T;
}

const NOTHING: Names = { files: new Set(), folders: new Set(), isInside: false };

/** A folder of models, and everything below it. */
export class WatchedFolder {
  /** The folder; a missing one is empty. */
  readonly path: string;
  /** What messages call it. */
  readonly called: string;
  readonly #files: Files;
  readonly #clock: Clock;
  readonly #names = new Map<string, Remembered<Names>>();
  readonly #texts = new Map<string, Remembered<string>>();
  /** Files that were found inside the folder: following links anew would show nothing else in this state. */
  readonly #inside = new Map<string, string>();

  constructor({ files, clock }: WatchingRuntime, path: string, called: string) {
    this.#files = files;
    this.#clock = clock;
    this.path = path;
    this.called = called;
  }

  /**
   * The names in a folder, those that begin with a dot left out; none where there is no folder.
   *
   * @throws FileError when it cannot be read.
   */
  async names(folder: string): Promise<Names> {
    const stat = await this.#files.stat(folder);
    if (stat?.isDirectory !== true) {
      this.#names.delete(folder);
      return NOTHING;
    }
    return await this.#unlessKnown(this.#names, folder, stat, async () => {
      const [entries, isInside] = await Promise.all([this.#files.list(folder), this.#isInside(folder)]);
      const seen = entries.filter(({ name }) => !name.startsWith("."));
      const named = (kind: "isFile" | "isDirectory") => new Set(seen.filter((e) => e[kind]).map(({ name }) => name));
      return { files: named("isFile"), folders: named("isDirectory"), isInside };
    });
  }

  /**
   * A file with the state it is in; `missing` where there is none, `outside` where a symbolic link leads out of the
   * watched folder.
   *
   * @throws FileError when it cannot be looked at.
   */
  async file(path: string): Promise<LocatedFile | "missing" | "outside"> {
    const stat = await this.#files.stat(path);
    if (stat?.isFile !== true) return "missing";
    const state = stateOf(stat);
    if (this.#inside.get(path) !== state) {
      if (!await this.#isInside(path)) return "outside";
      this.#inside.set(path, state);
    }
    return { path, stat };
  }

  /**
   * The text of a small file; `undefined` where there is none, or it lies outside.
   *
   * @throws FileError when it cannot be read.
   */
  async text(path: string): Promise<string | undefined> {
    const file = await this.file(path);
    if (typeof file === "string") return undefined;
    return await this.#unlessKnown(
      this.#texts,
      path,
      file.stat,
      async () => new TextDecoder().decode(await this.#files.read(path)),
    );
  }

  /** A small file as JSON; `undefined` where there is none, or it holds something else. */
  async json(path: string): Promise<unknown> {
    try {
      return JSON.parse(await this.text(path) ?? "null") ?? undefined;
    } catch {
      return undefined;
    }
  }

  /** What was found out about something in this state, or is found out now. */
  async #unlessKnown<T>(
    known: Map<string, Remembered<T>>,
    path: string,
    stat: FileStat,
    find: () => Promise<T>,
  ): Promise<T> {
    const state = stateOf(stat);
    const before = known.get(path);
    if (before?.state === state) return before.value;
    // What has changed a moment ago may change again without looking different: not remembered.
    const isSettled = this.#clock.now() - changedAt(stat) >= SETTLED_AFTER;
    const value = await find();
    if (isSettled) known.set(path, { state, value });
    else known.delete(path);
    return value;
  }

  async #isInside(path: string): Promise<boolean> {
    const [root, real] = await Promise.all([this.#files.realPath(this.path), this.#files.realPath(path)]);
    return root !== undefined && real !== undefined && (real === root || real.startsWith(`${root}/`));
  }
}

const NANOSECONDS_PER_MILLISECOND = 1_000_000n;

function changedAt({ mtimeNs, ctimeNs }: FileStat): Milliseconds {
  return Number((mtimeNs > ctimeNs ? mtimeNs : ctimeNs) / NANOSECONDS_PER_MILLISECOND);
}
