/**
 * The models of a page as a folder of files, some of which are not here yet: one that is read is fetched first, and one
 * whose content its place has promised is known without. So a catalogue that finds models on a disk finds them here, and
 * an answer that is in the cache is found before any of a model's weights have come.
 *
 * @module
 */

import { readOnlyFiles, statOfFile, statOfFolder } from "../../runtime/lent_files.ts";
import { messageOf } from "../../runtime/message.ts";
import type { FileDigest, Files, FileStat, Runtime } from "../../runtime/runtime.ts";
import { FileError } from "../../runtime/runtime.ts";
import type { ContentFile } from "../../model/backend.ts";
import { ModelError } from "../../model/error.ts";
import { abortable } from "../abortable.ts";
import { PullError, type PullErrorCode } from "../hub/pull_error.ts";
import { isPassing, PassingError, Retries } from "../hub/retries.ts";
import type { Keeper, KeptModel } from "./keeper.ts";
import type { Fetcher } from "./page_end.ts";
import type { KnownPlace, PlacedFile } from "./place.ts";
import type { Fetched } from "./protocol.ts";

/** How far the files of a model are that are being fetched, or were since the page was opened. */
export interface DownloadProgress {
  /** What the model is called. */
  readonly model: string;
  /** Those of them. */
  readonly files: readonly FileProgress[];
}

/** How far a file is. */
export interface FileProgress {
  /** Below the model's folder. */
  readonly path: string;
  /** Bytes that are there. */
  readonly received: number;
  /** Bytes that it has; `null` where nobody has said so far. */
  readonly size: number | null;
}

/** What a shelf is made of. */
export interface ShelfOptions {
  readonly runtime: Pick<Runtime, "clock">;
  /** Where models come from, by what they are called. */
  readonly places: ReadonlyMap<string, KnownPlace>;
  readonly keeper: Keeper;
  readonly fetcher: Fetcher;
  /** Hears how far downloads are. */
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Hears what has not come yet and is tried again, and what could not be remembered. */
  readonly warn?: ((message: string) => void) | undefined;
}

/** What a site answers that no longer has what its list had. */
const UNLIKE_PROMISED: ReadonlySet<PullErrorCode> = new Set(["corrupt", "not_found"]);

/** The folder that all models seem to lie in. */
export const SHELF = "models";

interface Shelved extends Omit<KeptModel, "files"> {
  readonly files: Map<string, PlacedFile>;
}

/** A file of a model. */
interface Found {
  readonly name: string;
  readonly model: Shelved;
  readonly file: PlacedFile;
}

/** A file on its way, and how many wait for it. */
interface Download {
  readonly blob: Promise<Blob>;
  readonly stop: AbortController;
  waiting: number;
  /** Which one, once that is known. */
  file: PlacedFile | undefined;
}

/** The models of a page. */
export class ModelShelf {
  /** The models as files, to look at and to read. */
  readonly files: Files;
  readonly #options: ShelfOptions;
  readonly #models = new Map<string, Promise<Shelved>>();
  readonly #downloads = new Map<string, Download>();
  readonly #progress = new Map<string, Map<string, FileProgress>>();
  /** What somebody found other bytes in than it had when it came, by what these were. */
  readonly #doubted = new Set<string>();
  /** Paths whose content somebody has asked for. */
  readonly #wanted = new Set<string>();

  constructor(options: ShelfOptions) {
    this.#options = options;
    this.files = readOnlyFiles({
      exists: () => false,
      stat: (path) => this.#stat(path),
      list: (path) => this.#list(path),
      realPath: async (path) => await this.#stat(path) && path,
      read: async (path) => new Uint8Array(await (await this.blob(path)).arrayBuffer()),
      open(path) {
        throw new FileError(`Cannot open ${path}: a page reads its models in Workers`, "ENOTSUP");
      },
    });
  }

  /**
   * What is in a file: as its place has promised, or as it was when it came.
   *
   * @throws ModelError `model_load_failed`
   */
  async digestFile(path: string): Promise<FileDigest> {
    this.#wanted.add(path);
    for (;;) {
      const { model, file } = await this.#findFile(path);
      if (file.sha256 !== undefined) return { sha256: file.sha256, stat: statOf(model, file) };
      await this.blob(path);
    }
  }

  /**
   * Has files here. When one cannot be had, the others are not fetched any more.
   *
   * @throws as {@link blob} does.
   */
  async fetch(paths: readonly string[], signal?: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
    try {
      await Promise.all(paths.map((path) => this.blob(path, either)));
    } finally {
      stop.abort();
    }
  }

  /**
   * The bytes of a file, which is fetched unless it is here. When all who wait for it have gone, fetching ends; what came
   * stays.
   *
   * @throws ModelError `model_load_failed`; `identity_changed` when its place has another model by now, which is the one
   * that is on the shelf then; the signal's reason.
   */
  async blob(path: string, signal?: AbortSignal): Promise<Blob> {
    signal?.throwIfAborted();
    let download = this.#downloads.get(path);
    if (download === undefined) {
      download = this.#begin(path);
      this.#downloads.set(path, download);
    }
    const { blob, stop } = download;
    download.waiting++;
    try {
      return await abortable(() => blob, signal);
    } finally {
      if (--download.waiting === 0) {
        if (this.#downloads.get(path) === download) this.#downloads.delete(path);
        stop.abort(signal?.reason);
      }
    }
  }

  /** Of these, what somebody has asked for, or is here anyway. */
  async wanted(paths: readonly string[]): Promise<string[]> {
    const isHere = await Promise.all(paths.map(async (path) => {
      const { file: { sha256 } } = await this.#findFile(path);
      return this.#wanted.has(path) || (sha256 !== undefined && await this.#options.keeper.file(sha256) !== undefined);
    }));
    return paths.filter((_, at) => isHere[at]);
  }

  /**
   * Asks a model's place what there is now.
   *
   * @throws ModelError `model_load_failed`
   */
  async renew(name: string, signal?: AbortSignal): Promise<void> {
    const place = this.#options.places.get(name);
    if (place === undefined) return;
    const listed = await this.#listPlace(name, place, signal);
    this.#models.set(name, Promise.resolve(listed));
    // Whoever waits for what was there before gets it, and nobody else does.
    const start = `${SHELF}/${name}/`;
    for (const [path, { file }] of this.#downloads) {
      const isHere = path.startsWith(start);
      if (isHere && !isSame(file, listed.files.get(path.slice(start.length)))) this.#downloads.delete(path);
    }
  }

  /** Somebody found other bytes in these than they had: they are looked at, and fetched anew, when they are asked for. */
  doubt(files: readonly ContentFile[]): void {
    for (const { sha256 } of files) this.#doubted.add(sha256);
  }

  /** Forgets a model and its files. */
  async forget(name: string): Promise<void> {
    this.#models.delete(name);
    this.#progress.delete(name);
    await this.#options.keeper.forget(name);
  }

  #begin(path: string): Download {
    const stop = new AbortController();
    const found = this.#findFile(path);
    const blob = found.then((found) => this.#obtain(found, stop.signal));
    const download: Download = { blob, stop, waiting: 0, file: undefined };
    found.then(({ file }) => download.file = file, () => {});
    const done = (): void => void (this.#downloads.get(path) === download && this.#downloads.delete(path));
    blob.then(done, done);
    return download;
  }

  async #obtain({ name, model, file }: Found, signal: AbortSignal): Promise<Blob> {
    const { keeper } = this.#options;
    const here = file.sha256 === undefined ? undefined : await keeper.file(file.sha256);
    if (here !== undefined && here.size !== (file.size ?? here.size)) this.#doubted.add(file.sha256!);
    if (here !== undefined && !this.#doubted.has(file.sha256!)) return here;
    const fetched = await this.#fetch(name, file, signal);
    this.#doubted.delete(fetched.sha256);
    keeper.took(fetched);
    await this.#note({ name, model, file }, fetched);
    const blob = fetched.blob ?? await keeper.file(fetched.sha256);
    if (blob !== undefined) return blob;
    throw new ModelError("model_load_failed", `Cannot read ${file.path} of ${name}: somebody has removed it`);
  }

  async #fetch(name: string, file: PlacedFile, signal: AbortSignal): Promise<Fetched> {
    const { places, keeper, fetcher, warn } = this.#options;
    const { path, url, size, sha256, gitSha1 } = file;
    const { headers } = places.get(name)!;
    const isDoubted = sha256 !== undefined && this.#doubted.has(sha256);
    const job = { url, headers, size, sha256, gitSha1, isDoubted, folder: keeper.folder };
    const onBytes = (received: number, size: number | undefined): void => this.#tell(name, path, received, size);
    try {
      const fetched = await fetcher.fetch(job, signal, { onBytes, onFailure: (message) => warn?.(message) });
      onBytes(fetched.size, fetched.size);
      return fetched;
    } catch (error) {
      if (!(error instanceof PullError)) throw error;
      if (!UNLIKE_PROMISED.has(error.code) || !await this.#isOtherNow(name, file, signal)) throw failure(error);
      const message = `${error.message}; what its place has by now is another model`;
      throw new ModelError("identity_changed", message, { cause: error });
    }
  }

  /** Whether a file's place says something else of it when it is asked again. */
  async #isOtherNow(name: string, file: PlacedFile, signal: AbortSignal): Promise<boolean> {
    try {
      await this.renew(name, signal);
      return !isSame(file, (await this.#model(name)).files.get(file.path));
    } catch {
      signal.throwIfAborted();
      return false;
    }
  }

  #tell(name: string, path: string, received: number, size: number | undefined): void {
    const files = this.#progress.get(name) ?? new Map<string, FileProgress>();
    this.#progress.set(name, files.set(path, { path, received, size: size ?? null }));
    this.#options.onProgress?.({ model: name, files: [...files.values()] });
  }

  /** Remembers what a file turned out to be. */
  async #note({ name, model, file }: Found, { sha256, size }: Fetched): Promise<void> {
    // Another one by now.
    if (file.sha256 === sha256 || await this.#model(name) !== model) return;
    model.files.set(file.path, { ...file, sha256, size });
    await this.#remember(name, model);
  }

  async #remember(name: string, model: Shelved): Promise<void> {
    const { keeper, warn } = this.#options;
    try {
      // Another tab may have learnt of other files meanwhile.
      const kept = await keeper.model(name);
      for (const file of kept?.place === model.place && kept.listed === model.listed ? kept.files : []) {
        if (model.files.get(file.path)?.sha256 === undefined) model.files.set(file.path, file);
      }
      await keeper.remember(name, { ...model, files: [...model.files.values()] });
    } catch (error) {
      warn?.(`Cannot remember what is in ${name}, its place is asked again another time: ${messageOf(error)}`);
    }
  }

  async #model(name: string): Promise<Shelved> {
    const known = this.#models.get(name);
    if (known !== undefined) return await known;
    const model = this.#look(name, this.#options.places.get(name)!);
    this.#models.set(name, model);
    // What failed may work the next time.
    model.catch(() => this.#models.get(name) === model && this.#models.delete(name));
    return await model;
  }

  async #look(name: string, place: KnownPlace): Promise<Shelved> {
    const kept = await this.#options.keeper.model(name);
    if (kept?.place === place.id) return { ...kept, files: byPath(kept.files) };
    return await this.#listPlace(name, place);
  }

  async #listPlace(name: string, place: KnownPlace, signal?: AbortSignal): Promise<Shelved> {
    const { runtime: { clock }, warn } = this.#options;
    const retries = new Retries(clock, { onFailure: (message) => warn?.(message) }, signal);
    try {
      const files = await place.list((url, headers) => readJson(retries, url, headers, signal));
      const model = { place: place.id, listed: clock.now(), files: byPath(files) };
      await this.#remember(name, model);
      return model;
    } catch (error) {
      throw error instanceof PullError || error instanceof TypeError ? failure(error) : error;
    }
  }

  async #findFile(path: string): Promise<Found> {
    const found = await this.#find(path);
    const file = found?.model.files.get(found.inside);
    if (found !== undefined && file !== undefined) return { ...found, file };
    throw new FileError(`Cannot find ${path}: its model has no such file`, "ENOENT");
  }

  /** The model that a path leads into. */
  async #find(path: string): Promise<{ name: string; model: Shelved; inside: string } | undefined> {
    const names = [...this.#options.places.keys()].filter((name) => `${path}/`.startsWith(`${SHELF}/${name}/`));
    const name = names.sort((one, other) => other.length - one.length)[0];
    if (name === undefined) return undefined;
    return { name, model: await this.#model(name), inside: path.slice(SHELF.length + name.length + 2) };
  }

  async #stat(path: string): Promise<FileStat | undefined> {
    const names = [...this.#options.places.keys()].map((name) => `${SHELF}/${name}`);
    if (path === SHELF || names.some((name) => name.startsWith(`${path}/`))) return statOfFolder(0);
    const found = await this.#find(path);
    if (found === undefined) return undefined;
    const { model, inside } = found;
    const file = model.files.get(inside);
    if (file !== undefined) return statOf(model, file);
    const isFolder = inside === "" || [...model.files.keys()].some((each) => each.startsWith(`${inside}/`));
    return isFolder ? statOfFolder(model.listed) : undefined;
  }

  async #list(path: string): ReturnType<Files["list"]> {
    const found = await this.#find(path);
    const paths = found === undefined ? [...this.#options.places.keys()] : [...found.model.files.keys()];
    const start = found === undefined ? path.slice(SHELF.length + 1) : found.inside;
    const below = paths.filter((each) => start === "" || each.startsWith(`${start}/`))
      .map((each) => each.slice(start === "" ? 0 : start.length + 1).split("/"));
    const isFile = new Map(below.map((parts) => [parts[0]!, found !== undefined && parts.length === 1]));
    return [...isFile].sort(([one], [other]) => one < other ? -1 : 1)
      .map(([name, isFile]) => ({ name, isFile, isDirectory: !isFile }));
  }
}

/** Whether two places, or one at two times, speak of one file. */
function isSame(one: PlacedFile | undefined, other: PlacedFile | undefined): boolean {
  if (one === undefined || other === undefined) return false;
  return one.url === other.url && one.size === other.size && one.sha256 === other.sha256 &&
    one.gitSha1 === other.gitSha1;
}

function byPath(files: readonly PlacedFile[]): Map<string, PlacedFile> {
  return new Map(files.map((file) => [file.path, file]));
}

/** Other content is another state, whenever it came. */
function statOf({ listed }: Shelved, { size = 0, sha256 }: PlacedFile): FileStat {
  const state = sha256 === undefined ? 0n : BigInt(`0x${sha256.slice(0, 16)}`);
  return statOfFile(size, { state, time: listed });
}

function failure(cause: Error): ModelError {
  return new ModelError("model_load_failed", cause.message, { cause });
}

async function readJson(
  retries: Retries,
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  return await retries.run(`ask what is at ${url}`, async () => {
    let response: Response;
    try {
      // What it says may have changed since somebody asked.
      response = await fetch(url, { headers, cache: "no-cache", ...(signal !== undefined && { signal }) });
    } catch (error) {
      throw new PassingError(messageOf(error));
    }
    if (isPassing(response.status)) {
      throw new PassingError(`the site answers ${response.status}`, response.headers.get("Retry-After") ?? undefined);
    }
    if (!response.ok) {
      const code = response.status === 404 ? "not_found" : "refused";
      throw new PullError(code, `Cannot tell what is at ${url}: the site answers ${response.status}`);
    }
    try {
      return await response.json();
    } catch (error) {
      throw new PullError("corrupt", `Cannot tell what is at ${url}: the answer is no JSON: ${messageOf(error)}`);
    }
  });
}
