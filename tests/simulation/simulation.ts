/**
 * Runs seeds: starts a thread for each instance, gives them one disk and one turn to pass round, and collects what went
 * wrong.
 */

import { loadRuntime } from "../../src/runtime/load.ts";
import type { WorkerHandle } from "../../src/runtime/runtime.ts";
import type { DiskMemory } from "./disk.ts";
import { newDiskMemory } from "./disk.ts";
import type { Fault } from "./faults.ts";
import { newTruthMemory } from "./ledger.ts";
import type { Action, Layer, Plan } from "./plan.ts";
import type { Event, TurnMemory } from "./turns.ts";
import { INSTANCES, newTurnMemory } from "./turns.ts";

/** What an instance is given once. */
export interface Setup {
  readonly instance: number;
  readonly disk: DiskMemory;
  readonly turns: TurnMemory;
  readonly truth: SharedArrayBuffer;
  readonly layer: Layer;
  readonly fault: Fault | undefined;
  readonly consequences: boolean;
  readonly trace: boolean;
}

/** What is simulated, and how. */
export interface SimulationOptions {
  /** `engine` unless told otherwise. */
  readonly layer?: Layer;
  readonly fault?: Fault | undefined;
  /** Asks what comes of a fault: of long programs, which do not end where a log cannot be read or is not the wal-index's. */
  readonly consequences?: boolean;
  /** Tells every operation. */
  readonly trace?: boolean;
}

/** What is done and what happens to it, in place of what a seed draws. */
export interface Schedule {
  readonly programs: readonly (readonly Action[])[];
  readonly events: readonly Event[];
}

/** Seeds to run. */
export interface Batch {
  readonly from: number;
  /** Not included. */
  readonly to: number;
  readonly schedule?: Schedule;
  /** Goes on after a failure. */
  readonly keepGoing?: boolean;
}

/** What became of a seed. */
export interface Result {
  readonly seed: number;
  readonly steps: number;
  readonly switches: number;
  readonly commits: number;
}

export interface Failure extends Result {
  readonly failure: string;
  readonly plan: Plan;
  readonly events: readonly Event[];
}

export type Reply = { readonly ready: true } | { readonly ended: true } | { readonly result: Result | Failure };

/** A disk and its instances. */
export class Simulation {
  readonly #workers: readonly WorkerHandle[];
  #onReply: (reply: Reply) => void = () => {};
  #onError: (reason: Error) => void = () => {};

  static async start(
    { layer = "engine", fault, consequences = false, trace = false }: SimulationOptions = {},
  ): Promise<Simulation> {
    const runtime = await loadRuntime();
    const memory = { disk: newDiskMemory(), turns: newTurnMemory(), truth: newTruthMemory() };
    const workers: WorkerHandle[] = [];
    const simulation = new Simulation(workers);
    // One after the other: the first one makes images on the disk.
    for (let instance = 0; instance < INSTANCES; instance++) {
      const worker = runtime.spawnWorker(new URL("./instance.ts", import.meta.url), `instance ${instance}`);
      workers.push(worker);
      worker.onMessage((reply) => simulation.#onReply(reply as Reply));
      worker.onFailure((reason) => simulation.#onError(reason));
      const setup: Setup = { instance, ...memory, layer, fault, consequences, trace };
      await simulation.#converse(() => worker.post(setup), (reply) => "ready" in reply);
    }
    return simulation;
  }

  constructor(workers: readonly WorkerHandle[]) {
    this.#workers = workers;
  }

  /** Runs seeds, until one fails unless told otherwise; resolves with those that failed. Tells of one now and then. */
  async run(batch: Batch, progress: (result: Result) => void = () => {}): Promise<Failure[]> {
    const failures: Failure[] = [];
    let left = INSTANCES;
    await this.#converse(() => this.#workers.forEach((worker) => worker.post(batch)), (reply) => {
      if ("result" in reply) {
        if ("failure" in reply.result) failures.push(reply.result);
        else progress(reply.result);
      }
      if ("ended" in reply) left--;
      return left === 0;
    });
    return failures;
  }

  close(): void {
    for (const worker of this.#workers) worker.terminate();
  }

  #converse(say: () => void, isOver: (reply: Reply) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#onReply = (reply) => isOver(reply) && resolve();
      this.#onError = reject;
      say();
    });
  }
}
