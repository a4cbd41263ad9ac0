/**
 * The line to a model's Worker: calls go out, values come back at the reader's pace, and when the Worker is gone every
 * call knows it.
 *
 * @module
 */

import type { WorkerHandle } from "../runtime/runtime.ts";
import { Call } from "./call.ts";
import { ModelError } from "./error.ts";
import { errorFromData, type FromWorker, type Holding, type Task, type ToWorker, type ValueOf } from "./protocol.ts";

const NOTHING: Holding = { memory: { wasm: 0, gpu: 0 }, adapters: [] };

/** A Worker and the calls it is busy with. */
export class WorkerLine {
  readonly #worker: WorkerHandle;
  readonly #calls = new Map<number, Call<unknown>>();
  readonly #gone = Promise.withResolvers<Error | undefined>();
  #lastCall = 0;
  #ended: ModelError | undefined;
  #holding: Holding = NOTHING;

  constructor(worker: WorkerHandle) {
    this.#worker = worker;
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

  /** Ends the Worker; calls that are not done fail with `worker_failed`. Ending twice is no error. */
  end(reason?: Error): void {
    if (this.#ended !== undefined) return;
    const message = reason === undefined ? "it was unloaded" : reason.message;
    this.#ended = new ModelError("worker_failed", `The model's Worker is gone: ${message}`, { cause: reason });
    this.#worker.terminate();
    this.#holding = NOTHING;
    for (const call of this.#calls.values()) call.fail(this.#ended);
    this.#calls.clear();
    this.#gone.resolve(reason);
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
      case "error": {
        this.#calls.delete(message.call);
        const error = errorFromData(message.error);
        call?.fail(error);
        if (error.code === "worker_failed") this.end(error);
      }
    }
  }
}
