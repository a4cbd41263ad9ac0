/**
 * The page's end of what {@link ./protocol.ts} says: one Worker that fetches, for as long as something is to be fetched,
 * and Workers of models that borrow files.
 *
 * @module
 */

import { messageOf } from "../../runtime/message.ts";
import type { WorkerHandle } from "../../runtime/runtime.ts";
import { PullError } from "../hub/pull_error.ts";
import type { Fetched, FetchJob, FromWorker, ToWorker } from "./protocol.ts";

/** How many files are fetched at once. */
const AT_ONCE = 4;
const CLOSED = "Cannot fetch models: their backends were closed";

/** Who waits for a file. */
export interface Listener {
  /** Hears how many bytes are there, and how many there will be where that is known. */
  readonly onBytes: (received: number, size: number | undefined) => void;
  /** Hears why an attempt came to nothing, where there is another one. */
  readonly onFailure: (message: string) => void;
}

interface Waiting extends PromiseWithResolvers<Fetched> {
  readonly listener: Listener;
}

/** Has files fetched by a Worker, since hashing takes a thread, and files are written at positions there alone. */
export class Fetcher {
  readonly #spawn: () => WorkerHandle;
  readonly #waiting = new Map<number, Waiting>();
  readonly #queue: (() => void)[] = [];
  #worker: WorkerHandle | undefined;
  #running = 0;
  #last = 0;
  #isClosed = false;

  /** @param spawn Starts a Worker that {@link ./worker_end.ts serves}. */
  constructor(spawn: () => WorkerHandle) {
    this.#spawn = spawn;
  }

  /**
   * Fetches a file when it is its turn.
   *
   * @throws PullError; the signal's reason.
   */
  async fetch(job: FetchJob, signal: AbortSignal, listener: Listener): Promise<Fetched> {
    if (this.#running >= AT_ONCE) await new Promise<void>((resolve) => this.#queue.push(resolve));
    this.#running++;
    try {
      signal.throwIfAborted();
      if (this.#isClosed) throw new PullError("unreachable", CLOSED);
      return await this.#fetchNow(job, signal, listener);
    } finally {
      this.#running--;
      this.#queue.shift()?.();
      if (this.#running === 0 && this.#queue.length === 0) this.#end("nothing is left to fetch");
    }
  }

  /** Ends the Worker, for good; what is under way or waits for its turn fails. */
  close(): void {
    this.#isClosed = true;
    this.#end(CLOSED);
  }

  #end(message: string, cause?: Error): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    for (const { reject } of this.#waiting.values()) reject(new PullError("unreachable", message, { cause }));
    this.#waiting.clear();
  }

  async #fetchNow(job: FetchJob, signal: AbortSignal, listener: Listener): Promise<Fetched> {
    const worker = this.#worker ??= this.#start();
    const id = ++this.#last;
    const waiting = { ...Promise.withResolvers<Fetched>(), listener };
    this.#waiting.set(id, waiting);
    const stop = (): void => {
      worker.post({ type: "stop", id } satisfies ToWorker);
      waiting.reject(signal.reason);
    };
    signal.addEventListener("abort", stop, { once: true });
    try {
      worker.post({ type: "fetch", id, job } satisfies ToWorker);
      return await waiting.promise;
    } finally {
      signal.removeEventListener("abort", stop);
      this.#waiting.delete(id);
    }
  }

  #start(): WorkerHandle {
    const worker = this.#spawn();
    worker.onMessage((message) => this.#receive(message as FromWorker));
    worker.onFailure((reason) => {
      this.#end(`Cannot fetch models: the Worker that does is gone: ${reason.message}`, reason);
    });
    return worker;
  }

  #receive(message: FromWorker): void {
    const waiting = this.#waiting.get(message.id);
    if (message.type === "came") waiting?.listener.onBytes(message.received, message.size);
    else if (message.type === "not yet") waiting?.listener.onFailure(message.message);
    else if (message.type === "fetched") waiting?.resolve(message.file);
    else if (message.type === "failed") waiting?.reject(new PullError(message.code, message.message));
  }
}

/**
 * A Worker to which files are lent when it asks for them, for as long as it runs; what else it says is for whoever
 * spawned it.
 */
export function lendingTo(
  worker: WorkerHandle,
  lend: (path: string, signal: AbortSignal) => Promise<Blob>,
): WorkerHandle {
  const ended = new AbortController();
  const answer = async ({ id, paths }: Extract<FromWorker, { type: "borrow" }>): Promise<void> => {
    const answered = await Promise.all(paths.map((path) => lend(path, ended.signal))).then(
      (blobs): ToWorker => ({ type: "lent", id, blobs }),
      (error: unknown): ToWorker => ({ type: "not lent", id, message: messageOf(error) }),
    );
    worker.post(answered);
  };
  return {
    ...worker,
    onMessage: (handler) =>
      worker.onMessage((message) => {
        if ((message as FromWorker).type === "borrow") void answer(message as never);
        else handler(message);
      }),
    terminate() {
      ended.abort();
      worker.terminate();
    },
  };
}
