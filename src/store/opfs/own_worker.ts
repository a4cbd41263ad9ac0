/**
 * A page's own Worker, which leads when it is its turn. One that dies is started anew: without it nobody might be left to
 * take over.
 *
 * @module
 */

import { messageOf } from "../../runtime/message.ts";
import type { Clock, Milliseconds, WorkerHandle } from "../../runtime/runtime.ts";
import type { FromWorker, StorePlace, ToWorker } from "./messages.ts";

/** After how long: doubled each time, up to the second. */
const SHORTEST_PAUSE: Milliseconds = 100;
const LONGEST_PAUSE: Milliseconds = 10_000;
/** How long closing waits for it to let go of its files. */
const CLOSING: Milliseconds = 5000;

/** Who hears of it. */
export interface Owner {
  /** A Worker was started. */
  onStart(worker: WorkerHandle): void;
  onMessage(message: FromWorker): void;
  /** It has died, or never lived. */
  onLost(why: string): void;
}

/** A Worker for as long as the page wants one. */
export class OwnWorker {
  readonly #spawn: () => WorkerHandle;
  readonly #place: StorePlace;
  readonly #clock: Clock;
  readonly #owner: Owner;
  readonly #end = new AbortController();
  readonly #closed: Promise<void>;
  #onClosed!: () => void;
  #worker: WorkerHandle | undefined;
  #pause: Milliseconds = SHORTEST_PAUSE;

  constructor(spawn: () => WorkerHandle, place: StorePlace, clock: Clock, owner: Owner) {
    this.#spawn = spawn;
    this.#place = place;
    this.#clock = clock;
    this.#owner = owner;
    this.#closed = new Promise((resolve) => this.#onClosed = resolve);
    this.#start();
  }

  /** Ends it, once it has closed what it has open. */
  async close(): Promise<void> {
    this.#end.abort();
    const worker = this.#worker;
    if (worker === undefined) return;
    worker.post({ type: "close" } satisfies ToWorker);
    const waited = new AbortController();
    await Promise.race([this.#closed, this.#clock.sleep(CLOSING, waited).catch(() => {})]);
    waited.abort();
    worker.terminate();
  }

  #start(): void {
    try {
      const worker = this.#worker = this.#spawn();
      worker.onMessage((message) => this.#hear(message as FromWorker));
      worker.onFailure((reason) => this.#lose(worker, reason.message));
      this.#owner.onStart(worker);
      worker.post({ type: "open", place: this.#place } satisfies ToWorker);
    } catch (error) {
      this.#lose(undefined, messageOf(error));
    }
  }

  #hear(message: FromWorker): void {
    if (message.type === "closed") return this.#onClosed();
    if (message.type === "leading") this.#pause = SHORTEST_PAUSE;
    this.#owner.onMessage(message);
  }

  #lose(worker: WorkerHandle | undefined, why: string): void {
    if (worker !== this.#worker || this.#end.signal.aborted) return;
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#owner.onLost(why);
    const pause = this.#pause;
    this.#pause = Math.min(2 * pause, LONGEST_PAUSE);
    this.#clock.sleep(pause, { signal: this.#end.signal, background: true }).then(() => this.#start(), () => {});
  }
}
