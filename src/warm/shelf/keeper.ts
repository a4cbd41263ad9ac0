/**
 * Where a page keeps its models: in its own file system (OPFS) where it has one, else in memory for as long as it is
 * open. Files lie there by their content, so that what two models share is there once.
 *
 * @module
 */

import type { Milliseconds, Runtime } from "../../runtime/runtime.ts";
import { FileError } from "../../runtime/runtime.ts";
import { webFile, type WebFolder, webFolder } from "../../runtime/web_folder.ts";
import type { PlacedFile } from "./place.ts";
import { type Fetched, FOLDERS, noteOf, partialName } from "./protocol.ts";

/** What a model consists of, as it was told when somebody asked. */
export interface KeptModel {
  /** The place that told. */
  readonly place: string;
  /** When, in milliseconds since 1970. */
  readonly listed: number;
  readonly files: readonly PlacedFile[];
}

/** Keeps files and what models consist of. */
export interface Keeper {
  /** For people: `opfs:…` or `memory`. */
  readonly location: string;
  /** The folder in OPFS; absent in memory. */
  readonly folder?: string;
  /** A file by its content; `undefined` when it is not here. */
  file(sha256: string): Promise<Blob | undefined>;
  /** Takes in what was fetched. */
  took(file: Fetched): void;
  /** What a model consists of; `undefined` when nobody has asked yet. */
  model(name: string): Promise<KeptModel | undefined>;
  /** Remembers what a model consists of. */
  remember(name: string, model: KeptModel): Promise<void>;
  /** Forgets a model, and the files that no other one has. */
  forget(name: string): Promise<void>;
}

/** The slice of the runtime that keeps. */
export type KeepingRuntime = Pick<Runtime, "clock" | "sha256">;

/** Opens what is kept in OPFS; `undefined` where there is none, as in an insecure context or a private window. */
export async function openFolder(runtime: KeepingRuntime, path: string): Promise<Keeper | undefined> {
  try {
    return new FolderKeeper(runtime, path, await webFolder(path));
  } catch (error) {
    if (error instanceof FileError) return undefined;
    throw error;
  }
}

const MOST_TRIES = 20;
const BETWEEN_TRIES: Milliseconds = 50;
/** Increased when what is written changes; another version is not read. */
const VERSION = 1;

class FolderKeeper implements Keeper {
  readonly location: string;
  readonly folder: string;
  readonly #runtime: KeepingRuntime;
  readonly #root: WebFolder;

  constructor(runtime: KeepingRuntime, folder: string, root: WebFolder) {
    this.#runtime = runtime;
    this.location = `opfs:${folder}`;
    this.folder = folder;
    this.#root = root;
  }

  async file(sha256: string): Promise<Blob | undefined> {
    return await (await webFile(this.#root, FOLDERS.whole, sha256))?.getFile();
  }

  /** The Worker that fetched it has put it where it belongs. */
  took(): void {}

  async model(name: string): Promise<KeptModel | undefined> {
    return await this.#read(fileName(name));
  }

  async remember(name: string, model: KeptModel): Promise<void> {
    const folder = await this.#root.getDirectoryHandle(FOLDERS.models, { create: true });
    const file = await folder.getFileHandle(fileName(name), { create: true }) as unknown as WritableFile;
    const writable = await file.createWritable();
    await writable.write(JSON.stringify({ version: VERSION, ...model }));
    await writable.close();
  }

  async forget(name: string): Promise<void> {
    const forgotten = (await this.#read(fileName(name)))?.files ?? [];
    const models = await this.#root.getDirectoryHandle(FOLDERS.models, { create: true });
    if (await webFile(models, fileName(name))) await models.removeEntry(fileName(name));
    const wanted = new Set<string | undefined>();
    for await (const each of models.keys()) {
      for (const file of (await this.#read(each))?.files ?? []) wanted.add(file.sha256).add(this.#partialName(file));
    }
    for (const partial of forgotten.map((file) => this.#partialName(file))) {
      if (!wanted.has(partial)) await this.#removePartial(partial);
    }
    const whole = await this.#root.getDirectoryHandle(FOLDERS.whole, { create: true });
    const names: string[] = [];
    for await (const each of whole.keys()) names.push(each);
    for (const each of names) if (!wanted.has(each)) await whole.removeEntry(each);
  }

  #partialName(file: PlacedFile): string {
    return partialName(file, this.#runtime.sha256);
  }

  /** Removes what came of a file, unless somebody is fetching it. A Worker that was ended lets go of it a moment later. */
  async #removePartial(name: string): Promise<void> {
    const folder = await this.#root.getDirectoryHandle(FOLDERS.partial, { create: true });
    for (const each of [name, noteOf(name)]) {
      for (let tries = 1; await webFile(folder, each); tries++) {
        try {
          await folder.removeEntry(each);
        } catch (error) {
          if ((error as Error).name !== "NoModificationAllowedError") throw error;
          if (tries === MOST_TRIES) return;
          await this.#runtime.clock.sleep(BETWEEN_TRIES);
        }
      }
    }
  }

  /** What is no list of ours is as if it were not there: it is asked for anew. */
  async #read(file: string): Promise<KeptModel | undefined> {
    const text = await (await (await webFile(this.#root, FOLDERS.models, file))?.getFile())?.text();
    try {
      const { version, ...model } = JSON.parse(text ?? "{}");
      return version === VERSION ? model : undefined;
    } catch {
      return undefined;
    }
  }
}

/** One name for one model: an organisation is no folder here. */
function fileName(model: string): string {
  return `${encodeURIComponent(model)}.json`;
}

/** What pages write files with. */
interface WritableFile {
  createWritable(): Promise<{ write(text: string): Promise<void>; close(): Promise<void> }>;
}

/** Keeps models in memory. */
export function keepInMemory(): Keeper {
  const files = new Map<string, Blob>();
  const models = new Map<string, KeptModel>();
  return {
    location: "memory",
    file: (sha256) => Promise.resolve(files.get(sha256)),
    took({ sha256, blob }) {
      if (blob !== undefined) files.set(sha256, blob);
    },
    model: (name) => Promise.resolve(models.get(name)),
    remember(name, model) {
      models.set(name, model);
      return Promise.resolve();
    },
    forget(name) {
      models.delete(name);
      const wanted = new Set([...models.values()].flatMap((model) => model.files.map(({ sha256 }) => sha256)));
      for (const sha256 of files.keys()) if (!wanted.has(sha256)) files.delete(sha256);
      return Promise.resolve();
    },
  };
}
