/**
 * The line to a model's Worker: calls go out, values come back at the reader's pace, and when the Worker is gone every
 * call knows it.
 *
 * @module
 */

import type { Clock, Milliseconds, WorkerHandle } from "../../runtime/runtime.ts";
import { Call } from "./call.ts";
import { ModelError, type ModelErrorCode } from "../error.ts";
import { errorFromData, type FromWorker, type Holding, type Task, type ToWorker, type ValueOf } from "./protocol.ts";

const NOTHING: Holding = { memory: { wasm: 0, gpu: 0 }, adapters: [] };

/** Failures of one call after which nothing else can be asked of the Worker. */
const ENDING: ReadonlySet<ModelErrorCode> = new Set(["worker_failed", "out_of_memory", "device_lost", "run_timeout"]);

/** How a Worker is watched. */
export interface Patience {
  readonly clock: Clock;
  /** How long it may say nothing, while somebody waits for it, before it is ended. */
  readonly silence: Milliseconds;
}

/** A Worker and the calls it is busy with. */
export class WorkerLine {
  readonly #worker: WorkerHandle;
  readonly #patience: Patience;
  readonly #calls = new Map<number, Call<unknown>>();
  readonly #gone = Promise.withResolvers<Error | undefined>();
  readonly #watching = new AbortController();
  #isWatched = false;
  /** Signs of life that came. */
  #heard = 0;
  /** What it was running at the last of them. */
  #lastRun: number | undefined;
  #lastCall = 0;
  #ended: ModelError | undefined;
  #holding: Holding = NOTHING;

  constructor(worker: WorkerHandle, patience: Patience) {
    this.#worker = worker;
    this.#patience = patience;
    worker.onMessage((message) => this.#receive(message as FromWorker));
    worker.onFailure((reason) => this.end(reason));
  }

  /** What the Worker said it holds; nothing when it is gone. */
  get holding(): Holding {
    return this.#holding;
  }

  /** Resolves when the Worker is gone, with the reason when it died by itself. */
  get closed(): Promise<Error | undefined> {
    return this.#gone.promise;
  }

  /** Starts a call. Aborting it rejects with the signal's reason. */
  open<T extends Task>(task: T, signal?: AbortSignal): Call<ValueOf<T>> {
    const id = ++this.#lastCall;
    const call = new Call<ValueOf<T>>({
      credit: (count) => this.#post({ type: "credit", call: id, count }),
      cancel: () => {
        this.#calls.delete(id);
        this.#post({ type: "cancel", call: id });
      },
    }, signal);
    if (this.#ended !== undefined) call.fail(this.#ended);
    else if (!call.settled) {
      this.#calls.set(id, call as Call<unknown>);
      this.#post({ type: "start", call: id, task });
      this.#watch();
    }
    return call;
  }

  /** A call of one value. */
  async ask<T extends Task>(task: T, signal?: AbortSignal): Promise<ValueOf<T>> {
    const call = this.open(task, signal);
    const { value } = await call.next();
    await call.next();
    return value!;
  }

  /**
   * Ends the Worker; calls that are not done fail with `worker_failed`, or with the code of a reason that says more.
   * Ending twice is no error.
   */
  end(reason?: Error): void {
    if (this.#ended !== undefined) return;
    const message = reason === undefined ? "it was unloaded" : reason.message;
    const code = reason instanceof ModelError ? reason.code : "worker_failed";
    this.#ended = new ModelError(code, `The model's Worker is gone: ${message}`, { cause: reason });
    this.#watching.abort();
    this.#worker.terminate();
    this.#holding = NOTHING;
    for (const call of this.#calls.values()) call.fail(this.#ended);
    this.#calls.clear();
    this.#gone.resolve(reason);
  }

  /**
   * Asks the Worker for a sign of life, and ends it if it gives none: in a run on the CPU it hears nothing until that
   * has ended; in one on a GPU it hears us, so a run that it was in before is no sign of life.
   */
  #watch(): void {
    if (this.#isWatched || this.#ended !== undefined) return;
    this.#isWatched = true;
    const heard = this.#heard;
    this.#post({ type: "ping" });
    const { clock, silence } = this.#patience;
    clock.sleep(silence, { signal: this.#watching.signal, background: true }).then(() => {
      this.#isWatched = false;
      if (this.#calls.size === 0) return;
      if (this.#heard !== heard) return this.#watch();
      const message = `it has got no further for ${silence / 1000} s`;
      this.end(new ModelError("run_timeout", message));
    }, () => {});
  }

  #post(message: ToWorker): void {
    if (this.#ended === undefined) this.#worker.post(message);
  }

  #receive(message: FromWorker): void {
    if (this.#ended !== undefined) return;
    const { memory, adapters } = message;
    this.#holding = { memory, adapters };
    const call = this.#calls.get(message.call);
    switch (message.type) {
      case "value":
        return call?.deliver(message.value);
      case "end":
        this.#calls.delete(message.call);
        return call?.finish();
      case "pong":
        if (message.run === undefined || message.run !== this.#lastRun) this.#heard++;
        this.#lastRun = message.run;
        return;
      case "error": {
        this.#calls.delete(message.call);
        const error = errorFromData(message.error);
        call?.fail(error);
        if (ENDING.has(error.code)) this.end(error);
      }
    }
  }
}
