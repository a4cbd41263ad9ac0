/** Random schedules over BackendCache. A failure names its seed; the same seed gives the same schedule. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ModelError } from "../../src/model/error.ts";
import type { BackendCache, Lease } from "../../src/warm/backend_cache.ts";
import { parseModelName } from "../../src/warm/spec.ts";
import { type GatedBackend, GatedModels, settle, watch } from "./gated_models.ts";

const SCHEDULES = 400;
const STEPS = 60;
const NAMES = ["a", "b", "c", "d", "a+x", "b+y"];

/** mulberry32: 32 bits of state, enough for a schedule. */
function random(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

interface Asked {
  readonly client: AbortController;
  readonly watched: ReturnType<typeof watch<Lease>>;
  disposed: boolean;
}

/** One schedule: a world, a cache over it, and everybody who asked. */
class Schedule {
  readonly models: GatedModels = new GatedModels();
  readonly maxLoaded: number;
  readonly #cache: BackendCache;
  readonly #below: (below: number) => number;
  readonly #requests: Asked[] = [];

  constructor(seed: number) {
    this.#below = random(seed);
    this.maxLoaded = 1 + this.#below(3);
    this.models.holdLoads = true;
    this.models.holdCloses = true;
    this.#cache = this.models.cache({ maxLoaded: this.maxLoaded });
  }

  async step(): Promise<void> {
    const { models } = this;
    const waiting = this.#requests.filter(({ watched }) => watched.state === "waiting");
    const closing = models.closing.filter(({ ended }) => !ended);
    const acts: [possible: boolean, act: () => void][] = [
      [true, () => this.#ask()],
      [true, () => this.#ask()],
      [true, () => models.clock.advance(this.#below(6_000))],
      [true, () => models.contents.set("c", `c, version ${this.#below(3)}`)],
      [this.#held().length > 0, () => this.#dispose(this.#pick(this.#held()))],
      [this.#held().length > 0, () => this.#dispose(this.#pick(this.#held()))],
      [waiting.length > 0, () => this.#pick(waiting).client.abort(new Error("gone"))],
      [models.loading.length > 0, () => void this.#pick(models.loading).finish()],
      [models.loading.length > 0, () => void this.#pick(models.loading).finish()],
      [models.loading.length > 0, () => this.#pick(models.loading).fail(this.#failure())],
      [closing.length > 0, () => this.#pick(closing).finishClose()],
      [closing.length > 0, () => this.#pick(closing).finishClose(new Error("stuck"))],
      [this.#below(10) === 0 && models.backends.size > 0, () => this.#pick([...models.backends]).die()],
    ];
    this.#pick(acts.filter(([possible]) => possible))[1]();
    await settle();
    this.#check();
  }

  /** Lets everything come to its end, and makes sure that it does. */
  async end(): Promise<void> {
    for (let round = 0; round < 200 && !this.#allSettled(); round++) await this.#goOn();
    assert.ok(this.#allSettled(), `still waiting: ${GatedModels.states(this.#cache)}`);
    const ended = watch(this.#cache.evictAll());
    for (let round = 0; round < 10 && ended.state === "waiting"; round++) await this.#goOn();
    assert.deepEqual([ended.state, this.models.inMemory], ["served", 0]);
  }

  async #goOn(): Promise<void> {
    for (const load of [...this.models.loading]) load.finish();
    for (const backend of this.models.closing) backend.finishClose();
    for (const request of this.#held()) this.#dispose(request);
    await settle();
    this.#check();
  }

  #ask(): void {
    const client = new AbortController();
    const onlyIfWarm = this.#below(8) === 0;
    const lease = this.#cache.lease(parseModelName(this.#pick(NAMES)), { signal: client.signal, onlyIfWarm });
    this.#requests.push({ client, watched: watch(lease), disposed: false });
  }

  #dispose(request: Asked): void {
    request.disposed = true;
    void request.watched.value![Symbol.asyncDispose]();
  }

  #held(): Asked[] {
    return this.#requests.filter(({ watched, disposed }) => watched.state === "served" && !disposed);
  }

  #allSettled(): boolean {
    return this.#requests.every(({ watched }) => watched.state !== "waiting");
  }

  #failure(): Error {
    return this.#below(2) === 0 ? new Error("broken") : new ModelError("identity_changed", "other bytes");
  }

  #pick<T>(choices: readonly T[]): T {
    return choices[this.#below(choices.length)]!;
  }

  #check(): void {
    const { models, maxLoaded } = this;
    assert.ok(models.mostInMemory <= maxLoaded, `${models.mostInMemory} bases in memory, ${maxLoaded} allowed`);
    for (const { watched } of this.#held()) {
      const backend = watched.value!.backend as GatedBackend;
      assert.equal(backend.closeCalled, false, `${backend.base.name} was closed under a lease`);
    }
    const wanted = models.loading.filter(({ signal }) => !signal.aborted).map(({ base }) => base.identity);
    assert.equal(new Set(wanted).size, wanted.length, `loaded twice at once: ${wanted}`);
    const progress = models.loading.length + models.closing.filter(({ ended }) => !ended).length + this.#held().length;
    if (!this.#allSettled()) assert.ok(progress > 0, "somebody waits, but for nothing");
    for (const { watched: { error } } of this.#requests) {
      const expected = error === undefined || (error as Error).message === "gone" || error instanceof ModelError;
      assert.ok(expected, `refused for an unknown reason: ${error}`);
    }
    const counted = this.#cache.loaded().reduce((sum, { leases }) => sum + leases, 0);
    assert.ok(counted >= this.#held().filter(({ watched }) => alive(watched.value!)).length, "leases are all counted");
  }
}

function alive(lease: Lease): boolean {
  return !(lease.backend as GatedBackend).ended;
}

describe("BackendCache under random schedules", () => {
  it("never exceeds its limit, never closes under a lease, and serves or refuses everybody", async () => {
    for (let seed = 1; seed <= SCHEDULES; seed++) {
      const schedule = new Schedule(seed);
      try {
        for (let step = 0; step < STEPS; step++) await schedule.step();
        await schedule.end();
      } catch (error) {
        throw new Error(`Schedule ${seed} went wrong: ${(error as Error).message}`, { cause: error });
      }
    }
  });
});
