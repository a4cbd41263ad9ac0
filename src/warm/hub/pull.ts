/**
 * Fetches a model, or an adapter, from Hugging Face or a mirror of it into the hub's cache on this machine: the files
 * that one dtype needs, and no others.
 *
 * Not `@huggingface/hub` (2.17): its `downloadFileToCacheDir` begins anew after a broken connection, compares no
 * checksum, tries nothing twice, lets two downloads write to one file, and puts each file of a repository into the
 * snapshot of the commit that changed it last, where nobody finds them together.
 *
 * @module
 */

import type { DeviceFacts } from "../../model/backend.ts";
import { refuseUnknownOptions } from "../../runtime/options.ts";
import type { FileError } from "../../runtime/runtime.ts";
import { automaticDtype, type Dtype, DTYPES } from "../dtype.ts";
import { ADAPTER, exportsAmong, GENAI_CONFIG, OPTIONAL, poolingFolder, REQUIRED } from "../layout.ts";
import { isName } from "../spec.ts";
import { download, type PullingRuntime } from "./download.ts";
import { DEFAULT_REVISION, isCommit, repositoryFolder } from "./hub_cache.ts";
import { type FileInfo, HubClient, type HubClientOptions, type RepositoryInfo } from "./hub_client.ts";
import { PullError } from "./pull_error.ts";

/** What to fetch, from where, to where. */
export interface PullOptions extends Omit<HubClientOptions, "clock"> {
  readonly runtime: PullingRuntime;
  /** The hub's cache; created if missing. */
  readonly hub: string;
  /** `organisation/name`, or a name alone. */
  readonly id: string;
  /** A branch, tag or commit. Default: `main`. */
  readonly revision?: string | undefined;
  /** Which export. Default: `auto`, what serves `facts` best among those that the repository has. */
  readonly dtype?: "auto" | Dtype | undefined;
  /** The device that the model is for. */
  readonly facts: DeviceFacts;
  /** Hears of the files, whenever something came. */
  readonly onProgress?: ((files: readonly PullProgress[]) => void) | undefined;
}

/** How far a file is. */
export interface PullProgress {
  readonly path: string;
  /** Bytes that are there. */
  readonly received: number;
  /** Bytes it has. */
  readonly size: number;
}

/** What was fetched. */
export interface Pulled {
  /** The folder it lies in. */
  readonly folder: string;
  /** The commit that the revision pointed to. */
  readonly commit: string;
  /** The dtype of the graph; absent for an adapter. */
  readonly dtype?: Dtype;
  /** Paths in the repository. */
  readonly files: readonly string[];
}

const OPTIONS: Record<keyof PullOptions, true> = {
  runtime: true,
  hub: true,
  id: true,
  revision: true,
  dtype: true,
  facts: true,
  onProgress: true,
  endpoint: true,
  token: true,
  retries: true,
  silence: true,
  signal: true,
};

/** How many files are fetched at once. */
const AT_ONCE = 4;

/** A revision, as Git allows, and no way out of `refs`. */
const REVISION = /^[A-Za-z0-9_][A-Za-z0-9_.-]*(\/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$/;

/**
 * Fetches a model. What is there of it already is not fetched again; a pull that was cut off goes on where it was.
 *
 * @throws PullError; TypeError for an unknown option, an endpoint that is no HTTP URL, or a name that is none; the
 * signal's reason.
 */
export async function pull(options: PullOptions): Promise<Pulled> {
  refuseUnknownOptions("pull a model", options, Object.keys(OPTIONS));
  const { runtime, hub, id, revision = DEFAULT_REVISION, dtype = "auto", facts, onProgress, ...reach } = options;
  if (!isName(id) || id.includes("@")) {
    throw new TypeError(`Cannot pull a model: expected organisation/name: ${JSON.stringify(id)}`);
  }
  if (!REVISION.test(revision)) {
    throw new TypeError(`Cannot pull a model: expected a branch, tag or commit: ${JSON.stringify(revision)}`);
  }
  const client = new HubClient({ ...reach, clock: runtime.clock });
  const repository = await client.repository(id, revision);
  const snapshot = new Snapshot(runtime, client, id, repository, { hub, onProgress, signal: reach.signal });
  const there = new Set(repository.files);
  const describing = [...Object.values(REQUIRED), ...Object.values(OPTIONAL), GENAI_CONFIG, ADAPTER.config];
  await snapshot.fetch(describing.filter((path) => there.has(path)));
  const chosen = there.has(GENAI_CONFIG) || !there.has(ADAPTER.config) || hasGraph(repository)
    ? chooseExport(repository, id, await snapshot.json(GENAI_CONFIG), dtype, facts)
    : { files: adapterFiles(repository, id) };
  const pooling = `${poolingFolder(await snapshot.json(OPTIONAL.modules))}/config.json`;
  await snapshot.fetch([...chosen.files, ...(there.has(pooling) ? [pooling] : [])]);
  if (!isCommit(revision)) await snapshot.point(revision);
  const { folder, files } = snapshot;
  return { folder, commit: repository.commit, files, ...("dtype" in chosen ? { dtype: chosen.dtype } : {}) };
}

function hasGraph({ files }: RepositoryInfo): boolean {
  return exportsAmong(new Set(files), undefined).size > 0;
}

function chooseExport(
  { files }: RepositoryInfo,
  id: string,
  genaiConfig: unknown,
  dtype: "auto" | Dtype,
  facts: DeviceFacts,
): { readonly dtype: Dtype; readonly files: readonly string[] } {
  const there = new Set(files);
  const exports = exportsAmong(there, genaiConfig);
  const dtypes = DTYPES.filter((each) => exports.has(each));
  if (dtypes.length === 0) {
    const name = id.split("/").at(-1);
    throw new PullError(
      "not_found",
      `Cannot pull ${id}: it has no ONNX graph; look for a conversion of it, such as onnx-community/${name}-ONNX`,
    );
  }
  for (const file of Object.values(REQUIRED)) {
    if (!there.has(file)) throw new PullError("not_found", `Cannot pull ${id}: it has no ${file}`);
  }
  const chosen = dtype === "auto" ? automaticDtype(dtypes, facts) ?? dtypes[0]! : dtype;
  const { graph, externalData } = exports.get(chosen) ?? {};
  if (graph === undefined) {
    throw new PullError("not_found", `Cannot pull ${id} as ${chosen} (there are: ${dtypes.join(", ")})`);
  }
  return { dtype: chosen, files: [graph, ...externalData ?? []] };
}

function adapterFiles({ files }: RepositoryInfo, id: string): readonly string[] {
  if (files.includes(ADAPTER.weights)) return [ADAPTER.weights];
  throw new PullError("not_found", `Cannot pull ${id}: an adapter without ${ADAPTER.weights}`);
}

interface SnapshotOptions {
  readonly hub: string;
  readonly onProgress: PullOptions["onProgress"];
  readonly signal: AbortSignal | undefined;
}

/** One commit of a repository in the hub's cache. */
class Snapshot {
  readonly folder: string;
  readonly #runtime: PullingRuntime;
  readonly #client: HubClient;
  readonly #id: string;
  readonly #commit: string;
  readonly #repository: string;
  readonly #locks: string;
  readonly #options: SnapshotOptions;
  readonly #progress = new Map<string, PullProgress>();

  constructor(
    runtime: PullingRuntime,
    client: HubClient,
    id: string,
    { commit }: RepositoryInfo,
    options: SnapshotOptions,
  ) {
    this.#runtime = runtime;
    this.#client = client;
    this.#id = id;
    this.#commit = commit;
    this.#options = options;
    this.#repository = repositoryFolder(options.hub, id);
    this.#locks = repositoryFolder(`${options.hub}/.locks`, id);
    this.folder = `${this.#repository}/snapshots/${commit}`;
  }

  /** Files that are there. */
  get files(): readonly string[] {
    return [...this.#progress.keys()];
  }

  /** Fetches files, several at once. When one fails, the others are stopped. */
  async fetch(paths: readonly string[]): Promise<void> {
    const { signal } = this.#options;
    const failed = new AbortController();
    const both = AbortSignal.any([failed.signal, ...(signal === undefined ? [] : [signal])]);
    const client = this.#client.until(both);
    const waiting = [...paths];
    const work = async (): Promise<void> => {
      for (let path; !failed.signal.aborted && (path = waiting.shift()) !== undefined;) {
        await this.#fetchOne(client, path, both);
      }
    };
    const results = await Promise.allSettled(
      Array.from({ length: AT_ONCE }, () =>
        work().catch((error) => {
          failed.abort(error);
          throw error;
        })),
    );
    signal?.throwIfAborted();
    if (results.some(({ status }) => status === "rejected")) throw failed.signal.reason;
  }

  /** A small file that was fetched, as JSON. */
  async json(path: string): Promise<unknown> {
    if (!this.#progress.has(path)) return undefined;
    try {
      return JSON.parse(new TextDecoder().decode(await this.#runtime.files.read(`${this.folder}/${path}`)));
    } catch {
      // Whoever needs more of it than the names of other files says what is wrong with it.
      return undefined;
    }
  }

  /** Has a branch or tag point to this commit. Last of all, so that what it leads to is whole. */
  async point(revision: string): Promise<void> {
    await this.#writing(async ({ files }) => {
      const path = `${this.#repository}/refs/${revision}`;
      files.makeDirectory(path.slice(0, path.lastIndexOf("/")));
      await files.replace(path, new TextEncoder().encode(this.#commit));
    });
  }

  async #fetchOne(client: HubClient, path: string, signal: AbortSignal): Promise<void> {
    const info = await client.file(this.#id, this.#commit, path);
    const report = (received: number): void => {
      this.#progress.set(path, { path, received, size: info.size });
      this.#options.onProgress?.([...this.#progress.values()]);
    };
    report(0);
    const blob = `${this.#repository}/blobs/${info.etag}`;
    await this.#writing(({ files }) => {
      for (const folder of [`${this.#repository}/blobs`, this.#locks]) files.makeDirectory(folder);
      return Promise.resolve();
    });
    const lock = `${this.#locks}/${info.etag}.warmcache.lock`;
    const source = { id: this.#id, commit: this.#commit, path, info };
    await download(this.#runtime, client, { ...source, blob, lock, onBytes: report, signal });
    await this.#writing(() => this.#link(path, info));
  }

  /** Gives a blob its name in the snapshot, by a link where there may be links. */
  async #link(path: string, { etag, size }: FileInfo): Promise<void> {
    const { files } = this.#runtime;
    const name = `${this.folder}/${path}`;
    if ((await files.stat(name))?.size === size) return;
    files.makeDirectory(name.slice(0, name.lastIndexOf("/")));
    const up = "../".repeat(path.split("/").length + 1);
    try {
      // What is there leads nowhere, or to something else.
      files.remove(name);
      await files.link(`${up}blobs/${etag}`, name);
    } catch (error) {
      const { code } = error as Partial<FileError>;
      // Somebody else was as fast.
      if (code === "EEXIST") return;
      if (code !== "EPERM" && code !== "ENOTSUP" && code !== "EOPNOTSUPP") throw error;
      await files.copy(`${this.#repository}/blobs/${etag}`, name);
    }
  }

  async #writing(work: (runtime: PullingRuntime) => Promise<void>): Promise<void> {
    try {
      await work(this.#runtime);
    } catch (error) {
      const { name, message } = error as Partial<FileError>;
      if (name !== "FileError") throw error;
      throw new PullError("disk", `Cannot write to the hub's cache: ${message}`, { cause: error });
    }
  }
}
