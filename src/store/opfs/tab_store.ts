/**
 * The store on disk as a page has it, shared with all tabs of its site: one of them keeps the files, in a Worker, and the
 * others reach it as they would a server. When that tab is closed another one takes over; calls wait for it, and answers
 * that may have been lost on the way are sent again.
 *
 * @module
 */

import type { Clock, Milliseconds, Runtime, WorkerHandle } from "../../runtime/runtime.ts";
import { siblingModule } from "../../runtime/sibling.ts";
import { CALLS_PATH, LIST_PATH } from "../remote/calls.ts";
import { openStoreOver } from "../remote/remote_store.ts";
import type { Store, StoreSize } from "../store.ts";
import { Findings, type Progress, type VerifyOptions, type VerifyReport } from "../verify.ts";
import { directoryName } from "./directory.ts";
import { Line } from "./line.ts";
import type { StorePlace } from "./messages.ts";
import { locationOf } from "./names.ts";
import { OwnWorker } from "./own_worker.ts";
import { notHere, refuseUnsupported } from "./support.ts";

const PATIENCE: Milliseconds = 5000;
const FLUSHING: Milliseconds = 5000;
const QUEUE_BYTES = 64 * 1024 * 1024;
/** How long opening waits for somebody to lead. */
const OPENING: Milliseconds = 15_000;

/** Where and how to store. */
export interface TabStoreOptions extends StorePlace {
  readonly runtime: Pick<Runtime, "clock" | "spawnWorker">;
  /** Starts the Worker, whose module is `worker.ts`; that module beside this one by default. */
  readonly spawn?: () => WorkerHandle;
  /**
   * How long the leader may be silent while he owes an answer, and how long calls then wait for another one. Default: 5
   * seconds each; a second more for each 100 KB that are sent.
   */
  readonly patience?: Milliseconds;
}

/** A store that files can be taken out of and put into. */
export interface TabStore extends Store {
  /**
   * The database of a model, as a file that opens anywhere.
   *
   * @throws CacheError `unavailable` when there is none.
   */
  exportDatabase(model: string): Promise<Blob>;
  /**
   * Takes in a database; the model's that it is of.
   *
   * @throws CacheError `foreign_file`, `newer_schema`, `corrupt`; `unavailable` when there is one already and it is not to
   * be replaced, or no room.
   */
  importDatabase(file: Blob, replace: boolean): Promise<string>;
}

/**
 * Opens the store in a directory of the site's private file system, together with the tabs that have it open.
 *
 * @throws TypeError for a directory that cannot be one.
 * @throws CacheError `unavailable` where this page cannot have such a store; the message says why.
 */
export async function openTabStore(
  { runtime, spawn, patience = PATIENCE, ...given }: TabStoreOptions,
): Promise<TabStore> {
  const directory = directoryName(given.directory);
  const place = { ...given, directory };
  refuseUnsupported(directory);
  const { clock } = runtime;
  const line = await Line.open(directory, clock);
  const start = spawn ?? (() => runtime.spawnWorker(siblingModule("worker", import.meta.url), "warmcache store"));
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const worker = new OwnWorker(start, place, clock, {
    onStart: (handle) => line.attach(handle),
    onMessage: (message) => {
      if (message.type === "unsupported" || message.type === "failed") failed.reject(notHere(directory, message.why));
      line.onWorker(message);
    },
    onLost: (why) => {
      line.onWorkerLost();
      failed.reject(notHere(directory, `its Worker cannot be started: ${why}`));
    },
  });
  try {
    await Promise.race([whenLed(line, clock), failed.promise]);
    const store = await openStoreOver({
      name: "sqlite",
      location: locationOf(directory),
      callsUrl: CALLS_PATH,
      listUrl: LIST_PATH,
      headers: {},
      withoutKey: (text) => text,
      timeout: patience,
      queueBytes: QUEUE_BYTES,
      flushTimeout: FLUSHING,
      patience,
      fetch: (url, init) => line.fetch(url, init),
    }, clock);
    return tabStore(store, line, async () => {
      await worker.close();
      line.close();
    });
  } catch (error) {
    await worker.close();
    line.close();
    throw error;
  }
}

/** Waits for a leader, but not for ever: the store may be opened before there is one. */
async function whenLed(line: Line, clock: Clock): Promise<void> {
  const late = new AbortController();
  const done = new AbortController();
  clock.sleep(OPENING, { signal: done.signal }).then(() => late.abort(), () => {});
  await line.whenLed(late.signal).catch(() => {});
  done.abort();
}

/** What clients of a server do not have, and tabs do. */
function tabStore(store: Store, line: Line, letGo: () => Promise<void>): TabStore {
  let closing: Promise<void> | undefined;
  return {
    name: store.name,
    location: store.location,
    lookup: (model, wants) => store.lookup(model, wants),
    put: (...put) => store.put(...put),
    remove: (selection) => store.remove(selection),
    nearest: (sketch, limit, model) => store.nearest(sketch, limit, model),
    list: (selection) => store.list(selection),
    size: () => store.size(),
    onFault: (listener) => store.onFault!(listener),
    claims: store.claims!,
    failures: store.failures!,
    ledger: store.ledger!,
    async modelSizes() {
      return await line.run("measure the store", { name: "modelSizes" }) as ReadonlyMap<string, StoreSize>;
    },
    verify: (options) => verify(store, line, options),
    async exportDatabase(model) {
      return await line.run("export a database", { name: "export", model }) as Blob;
    },
    async importDatabase(file, replace) {
      return await line.run("import a database", { name: "import", file, replace }, { once: true }) as string;
    },
    close: () =>
      closing ??= (async () => {
        await store.close();
        await letGo();
      })(),
  };
}

/** The leader looks at all there is; keys are checked here, where it is known how they are made. */
async function verify(
  store: Store,
  line: Line,
  { checkKey, onProgress, signal, ...options }: VerifyOptions,
): Promise<VerifyReport> {
  const report = await line.run("verify the store", { name: "verify", options }, {
    signal,
    onProgress: onProgress && ((progress) => onProgress(progress as Progress)),
  }) as VerifyReport;
  const findings = new Findings(store, options);
  findings.join(report);
  if (checkKey !== undefined) {
    const { model } = options;
    for await (const { model: name, request } of store.list({ ...model !== undefined && { model } })) {
      signal?.throwIfAborted();
      const wrong = checkKey(request);
      if (wrong !== undefined) findings.of(name).add("key", wrong, request.key);
    }
  }
  return findings.report;
}
