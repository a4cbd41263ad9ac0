/// <reference lib="dom" />
/** A page with models of its own, and a cache in front of them. */

import { CacheBackend, type CacheStatus, openCache, type ResponseCache } from "../../../src/compose/browser.ts";
import {
  type DownloadProgress,
  type LocalAnswer,
  type LocalBody,
  type LocalClient,
  ModelError,
  type ModelReference,
  openBackends,
  type OpenBackendsOptions,
  openClient,
  type PageBackends,
  type View,
} from "../../../src/compose/browser_warm.ts";

/** What a question was answered with, and by whom. */
export interface Answered {
  readonly answer: LocalAnswer;
  readonly outcome: CacheStatus["outcome"];
  readonly milliseconds: number;
}

/** A prompt, and how it might go on. */
export interface Question {
  readonly prompt: string;
  readonly completion: string;
}

/** What a view of the model says, in the form of `reference.json`. */
export interface Said {
  readonly greedy_ids: number[];
  readonly greedy_text: string;
  readonly finish_reason: string;
  readonly token_logprobs: number[];
  readonly completion_logprob: number;
  readonly next_top10_ids: number[];
  readonly next_top10_logprobs: number[];
}

/** How many Workers of models run: those that were started, less those that were ended. */
let running = 0;
const NativeWorker = Worker;
globalThis.Worker = class extends NativeWorker {
  readonly #counts: boolean;
  #isRunning = true;
  constructor(url: string | URL, options?: WorkerOptions) {
    super(url, options);
    this.#counts = options?.name?.startsWith("model ") ?? false;
    if (this.#counts) running++;
  }
  override terminate(): void {
    if (this.#counts && this.#isRunning) running--;
    this.#isRunning = false;
    super.terminate();
  }
};

let backends: PageBackends | undefined;
let cache: ResponseCache | undefined;
let client: LocalClient | undefined;
let progress: DownloadProgress[] = [];
let events: string[] = [];
let heard: (value?: unknown) => void = () => {};

/** Opens models, and a cache in front of them. */
export async function open(
  models: OpenBackendsOptions["models"],
  more: Omit<OpenBackendsOptions, "models" | "worker" | "kinds"> & {
    readonly answers?: "sqlite" | "memory" | { readonly remote: string };
    /** Whether models run in a Worker whose module is the page's own. */
    readonly ownWorker?: boolean;
  } = {},
): Promise<string> {
  const { answers = "memory", ownWorker = false, ...options } = more;
  const worker = () => new Worker(new URL("./own_model_worker.js", import.meta.url), { type: "module" });
  progress = [];
  events = [];
  backends = await openBackends({
    models,
    ...options,
    ...ownWorker && { worker },
    onProgress: (each) => void progress.push(each),
    onEvent: (event) => {
      events.push(event.type);
      heard();
    },
  });
  cache = await openCache(
    typeof answers === "object"
      ? { backend: CacheBackend.REMOTE, remote: { url: answers.remote } }
      : { backend: CacheBackend[answers === "memory" ? "MEMORY" : "SQLITE"] },
  );
  client = openClient(backends, cache);
  return backends.location;
}

/** Closes them. */
export async function close(): Promise<void> {
  await backends?.close();
  await cache?.close();
}

/** Asks for a text. */
export async function complete(body: LocalBody): Promise<Answered> {
  const status: CacheStatus = {};
  const start = performance.now();
  const answer = await client!.createCompletion(body, { status });
  return { answer, outcome: status.outcome, milliseconds: performance.now() - start };
}

/** Holds a conversation, in chunks: the text, how many chunks there were, when the first came and when the last. */
export async function stream(body: LocalBody): Promise<{ text: string; chunks: number; first: number; all: number }> {
  const start = performance.now();
  let first = NaN;
  let chunks = 0;
  let text = "";
  for await (const chunk of client!.streamCompletion(body)) {
    if (chunks++ === 0) first = performance.now() - start;
    text += chunk.choices[0]?.text ?? "";
  }
  return { text, chunks, first, all: performance.now() - start };
}

/** What a view says to a prompt and how likely it finds a completion. */
export async function say(model: ModelReference, scale: number, questions: readonly Question[]): Promise<Said[]> {
  const lease = await backends!.lease(model);
  try {
    const { adapter } = await backends!.identify(model);
    const view = adapter === undefined ? lease.view : lease.backend.adapterView(adapter, { scale });
    const said: Said[] = [];
    for (const question of questions) said.push(await sayOne(view, question));
    return said;
  } finally {
    await lease[Symbol.asyncDispose]();
  }
}

async function sayOne(view: View, { prompt, completion }: Question): Promise<Said> {
  const ids: number[] = [];
  let text = "";
  let finish = "";
  const greedy = { temperature: 0, maxTokens: 24, seed: 0, stop: [], topLogprobs: 0, echo: false };
  for await (const event of view.generate({ prompt: { text: prompt }, ...greedy })) {
    text += event.text;
    if (event.type === "token") ids.push(event.token.id);
    if (event.type === "end") finish = event.finishReason;
  }
  const rolling = await view.rollingLogprobs(prompt + completion);
  const { total } = await view.logprobs({ text: prompt }, completion);
  const next = await view.nextToken({ text: prompt }, { topK: 10 });
  return {
    greedy_ids: ids,
    greedy_text: text,
    finish_reason: finish,
    token_logprobs: [...rolling.logprobs],
    completion_logprob: total,
    next_top10_ids: [...next.ids],
    next_top10_logprobs: [...next.logprobs],
  };
}

/** Which model a name means, without loading it. */
export async function identify(model: ModelReference): Promise<{ identity: string; base: string; device: string }> {
  const { identity, base } = await backends!.identify(model);
  return { identity, base: base.identity, device: base.device };
}

/** Runs a suite on a base and an adapter of it. */
export async function suite(spec: unknown): Promise<unknown> {
  return await backends!.runSuite({ base: "kjv-tiny", ft: "kjv-tiny+fortunes", spec });
}

/** The models there are. */
export async function list(): Promise<{ id: string; problem?: string }[]> {
  return (await backends!.list()).map(({ id, problem }) => ({ id, ...problem !== undefined && { problem } }));
}

/** Has a model here, and gives up after so many bytes if told to. */
export async function pull(model: string, { breakAfter = Infinity }: { breakAfter?: number } = {}): Promise<string> {
  const stop = new AbortController();
  const watch = setInterval(() => {
    const received = progress.at(-1)?.files.reduce((sum, file) => sum + file.received, 0) ?? 0;
    if (received > breakAfter) stop.abort(new DOMException("enough", "AbortError"));
  }, 1);
  try {
    return (await backends!.pull(model, { signal: stop.signal })).identity;
  } finally {
    clearInterval(watch);
  }
}

/** Removes a model from this browser. */
export async function remove(model: string): Promise<void> {
  await backends!.remove(model);
}

/** Takes a lease for a moment, and fails if the model is not warm and may not be loaded. */
export async function touch(model: string, onlyIfWarm: boolean): Promise<string> {
  try {
    await (await backends!.lease(model, { onlyIfWarm }))[Symbol.asyncDispose]();
    return "warm";
  } catch (error) {
    if (error instanceof ModelError) return error.code;
    throw error;
  }
}

/** The last word of each file's progress, the events so far, and what is loaded. */
export function seen(): { progress: DownloadProgress[]; events: string[]; loaded: string[] } {
  return { progress, events, loaded: backends!.loaded().map(({ base, state }) => `${base} ${state}`) };
}

/** How many models' Workers run. */
export function workers(): number {
  return running;
}

/** Waits until something has happened to a model. */
export async function untilEvent(type: string): Promise<void> {
  while (!events.includes(type)) await new Promise((resolve) => heard = resolve);
}

/** Takes so much of the site's room. */
export async function fill(bytes: number): Promise<void> {
  const root = await navigator.storage.getDirectory();
  const writable = await (await root.getFileHandle("filler", { create: true })).createWritable();
  await writable.write(new Uint8Array(bytes));
  await writable.close();
}

/** Changes a byte of a file in the private file system, as a disk may. */
export async function damage(folder: string, path: string): Promise<void> {
  let directory = await navigator.storage.getDirectory();
  const [name, ...parents] = `${folder}/${path}`.split("/").reverse();
  for (const parent of parents.reverse()) directory = await directory.getDirectoryHandle(parent);
  const file = await directory.getFileHandle(name!);
  const writable = await file.createWritable({ keepExistingData: true });
  const at = (await file.getFile()).size - 1;
  await writable.write({ type: "write", position: at, data: new Uint8Array([0xff]) });
  await writable.close();
}

/** What lies in a folder of the private file system: files with their sizes. */
export async function kept(folder: string): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  const walk = async (directory: FileSystemDirectoryHandle, path: string): Promise<void> => {
    for await (
      const [name, handle] of (directory as unknown as { entries(): AsyncIterable<[string, unknown]> }).entries()
    ) {
      if (handle instanceof FileSystemFileHandle) {
        // A Worker that is ending may take one away meanwhile.
        const file = await handle.getFile().catch(() => undefined);
        if (file !== undefined) found[`${path}${name}`] = file.size;
      } else await walk(handle as FileSystemDirectoryHandle, `${path}${name}/`);
    }
  };
  const root = await navigator.storage.getDirectory();
  await walk(await root.getDirectoryHandle(folder, { create: true }), "");
  return found;
}

/** What WebGPU offers here when a GPU is wanted that the CPU plays. */
export async function gpu(): Promise<"software" | "another" | "none"> {
  if (!("gpu" in navigator)) return "none";
  const adapter = await navigator.gpu.requestAdapter({ forceFallbackAdapter: true });
  return adapter?.info.isFallbackAdapter ? "software" : adapter === null ? "none" : "another";
}
