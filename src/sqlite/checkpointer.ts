/**
 * Shortens the logs of databases that processes share, in a Worker: moving some megabytes and waiting for the disk takes
 * longer than an event loop has. The Worker is started when there is a log to be shortened and ended when there is none
 * left, so that it keeps neither memory nor the process.
 *
 * @module
 */

import { siblingModule } from "../runtime/sibling.ts";
import type { Runtime, WorkerHandle } from "../runtime/runtime.ts";

/** Why a log could not be shortened; `undefined` when it could. */
export type CheckpointReply = { readonly error: string | undefined };

interface Task {
  readonly path: string;
  readonly done: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (reason: Error) => void;
}

/** Asks for checkpoints, one after the other. */
export class Checkpointer {
  readonly #runtime: Runtime;
  readonly #tasks: Task[] = [];
  #worker: WorkerHandle | undefined;
  #works = true;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Whether its Worker can be started and stays alive, as far as is known. */
  get works(): boolean {
    return this.#works;
  }

  /**
   * Moves the log of the shared database at `path` into it, and cuts off a log that has grown long. Resolves when that
   * was tried: others may keep some of it in use.
   *
   * @throws Error when it cannot be done.
   */
  checkpoint(path: string): Promise<void> {
    const asked = this.#tasks.find((task) => task.path === path);
    if (asked) return asked.done;
    const { promise: done, resolve, reject } = Promise.withResolvers<void>();
    try {
      this.#worker ??= this.#start();
      this.#worker.post(path);
      this.#tasks.push({ path, done, resolve, reject });
    } catch (error) {
      this.#works = false;
      reject(error as Error);
    }
    return done;
  }

  /** As {@link checkpoint}, for who does not want to know how it went. */
  shorten(path: string): void {
    this.checkpoint(path).catch(() => {});
  }

  /** Resolves once what was asked for is done: to end a Worker in the middle would leave its locks to the process. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#tasks.map(({ done }) => done));
  }

  #start(): WorkerHandle {
    const worker = this.#runtime.spawnWorker(siblingModule("checkpoint_worker", import.meta.url), "checkpoint");
    worker.onMessage((message) => {
      const { error } = message as CheckpointReply;
      const { path, resolve, reject } = this.#tasks.shift()!;
      if (this.#tasks.length === 0) this.#end();
      if (error === undefined) resolve();
      else reject(new Error(`Cannot shorten the log of ${path}: ${error}`));
    });
    worker.onFailure((reason) => {
      this.#works = false;
      this.#end();
      for (const { path, reject } of this.#tasks.splice(0)) {
        reject(new Error(`Cannot shorten the log of ${path}: ${reason.message}`, { cause: reason }));
      }
    });
    return worker;
  }

  #end(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
  }
}
