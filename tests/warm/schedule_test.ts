/** Random schedules over BackendCache. A failure names its seed; the same seed gives the same schedule. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ModelError } from "../../src/model/error.ts";
import type { BackendCache, KeepAlive, Lease, WarmEvent } from "../../src/warm/backend_cache.ts";
import { parseModelName } from "../../src/warm/spec.ts";
import { type GatedBackend, GatedModels, settle, watch } from "./gated_models.ts";
import { randomBelow } from "../support/random.ts";

const SCHEDULES = 600;
const STEPS = 80;
const NAMES = ["a", "b", "c", "d", "a+x", "b+y"];
const KEEP_ALIVES: readonly (KeepAlive | undefined)[] = [undefined, undefined, undefined, 0, "3s", "1m", -1];
/** What whoever is refused may hear; anything else is a fault of ours. */
const REFUSALS = new Set(["model_load_failed", "identity_changed", "not_warm", "no_room", "closed"]);

interface Asked {
  readonly client: AbortController;
  readonly watched: ReturnType<typeof watch<Lease>>;
  disposed: boolean;
}

/** One schedule: a world, a cache over it, and everybody who asked. */
class Schedule {
  readonly models: GatedModels = new GatedModels();
  readonly maxLoaded: number;
  readonly maxRamBytes: number;
  readonly #cache: BackendCache;
  readonly #below: (below: number) => number;
  readonly #requests: Asked[] = [];
  /** Loads and unloads by hand, and pins. */
  readonly #orders: ReturnType<typeof watch<unknown>>[] = [];
  readonly #pinned = new Set<string>();
  /** What bases that are loading are thought to take. */
  readonly #expected = new Map<string, number>();
  /** A base was unloaded or ended by force: its leases may be on what is closed. */
  #forced = false;

  constructor(seed: number) {
    this.#below = randomBelow(seed);
    this.maxLoaded = 1 + this.#below(3);
    // In half of the schedules memory is short; then the largest base does not fit beside another.
    this.maxRamBytes = this.#below(2) === 0 ? Infinity : 6000 + this.#below(9000);
    this.models.holdLoads = true;
    this.models.holdCloses = true;
    for (const name of ["a", "b", "c", "d"]) {
      const size = 500 + this.#below(2500);
      this.models.fileSizes.set(name, size);
      // Most take about what their files have, some twice as much.
      this.models.sizes.set(name, 3 * size * (1 + (this.#below(4) === 0 ? 1 : 0)));
    }
    this.#cache = this.models.cache({ maxLoaded: this.maxLoaded, maxRamBytes: this.maxRamBytes });
    this.#cache.on((event) => this.#watch(event));
  }

  async step(): Promise<void> {
    const { models } = this;
    const waiting = this.#requests.filter(({ watched }) => watched.state === "waiting");
    const closing = models.closing.filter(({ ended }) => !ended);
    const seldom = this.#below(10) === 0;
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
      [seldom && models.backends.size > 0, () => this.#pick([...models.backends]).die()],
      [seldom, () => this.#pin()],
      [seldom, () => this.#unpin()],
      [seldom, () => this.#unload()],
      [seldom, () => this.#order(this.#cache.preload(parseModelName(this.#pick(NAMES))))],
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
    // A second at a time: whoever waits for time to pass waits for some.
    this.models.clock.advance(1000);
    await settle();
    this.#check();
  }

  #ask(): void {
    const client = new AbortController();
    const onlyIfWarm = this.#below(8) === 0;
    const keepAlive = this.#pick(KEEP_ALIVES);
    const lease = this.#cache.lease(parseModelName(this.#pick(NAMES)), {
      signal: client.signal,
      onlyIfWarm,
      ...(keepAlive !== undefined && { keepAlive }),
    });
    this.#requests.push({ client, watched: watch(lease), disposed: false });
  }

  #pin(): void {
    this.#order(this.#cache.pin(parseModelName(this.#pick(["a", "b", "c"]))));
  }

  #unpin(): void {
    this.#cache.unpin(parseModelName(this.#pick(["a", "b", "c"])));
  }

  #unload(): void {
    const name = this.#pick(["a", "b", "c"]);
    const force = this.#below(3) === 0;
    this.#forced ||= force;
    this.#order(this.#cache.unload(parseModelName(name), { force }));
  }

  #order(order: Promise<unknown>): void {
    this.#orders.push(watch(order));
  }

  #dispose(request: Asked): void {
    request.disposed = true;
    void request.watched.value![Symbol.asyncDispose]();
  }

  #held(): Asked[] {
    return this.#requests.filter(({ watched, disposed }) => watched.state === "served" && !disposed);
  }

  #allSettled(): boolean {
    return [...this.#requests.map(({ watched }) => watched), ...this.#orders].every(({ state }) => state !== "waiting");
  }

  #failure(): Error {
    return this.#pick([
      new Error("broken"),
      new ModelError("identity_changed", "other bytes"),
      new ModelError("model_load_failed", "no graph", { permanent: true }),
    ]);
  }

  #pick<T>(choices: readonly T[]): T {
    return choices[this.#below(choices.length)]!;
  }

  /** Watches every transition: what is in memory has to fit whenever a load begins, and no pinned base is a victim. */
  #watch(event: WarmEvent): void {
    if (event.type === "pinned") this.#pinned.add(event.base);
    if (event.type === "unpinned") this.#pinned.delete(event.base);
    if (event.type === "loading") {
      this.#expected.set(event.identity, event.bytes);
      const loading = [...this.#expected.values()].reduce((sum, bytes) => sum + bytes, 0);
      // One that is done, but has not been heard of, still counts as loading.
      const backends = [...this.models.backends].filter(({ base }) => !this.#expected.has(base.identity));
      const held = backends.flatMap(({ memory, adapters }) => [memory.wasm, ...adapters.map(({ bytes }) => bytes)]);
      const loaded = held.reduce((sum, bytes) => sum + bytes, 0);
      this.#ensure(loading + loaded <= this.maxRamBytes, `${loading} + ${loaded} bytes, ${this.maxRamBytes} allowed`);
    }
    if (event.type === "loaded" || event.type === "load_failed" || event.type === "load_aborted") {
      this.#expected.delete(event.identity);
    }
    if (event.type === "draining" && (event.reason === "room" || event.reason === "idle")) {
      this.#ensure(event.leases === 0, `${event.base} is to go for ${event.reason} and has ${event.leases} leases`);
      // The files of c change, and its pin with them once it is asked for.
      const isPinned = event.base !== "c" && this.#pinned.has(event.base);
      this.#ensure(!isPinned, `${event.base} is to go for ${event.reason} and is pinned`);
    }
  }

  readonly #broken: string[] = [];

  /** What a listener throws is ignored, so that it is said later. */
  #ensure(holds: boolean, message: string): void {
    if (!holds) this.#broken.push(message);
  }

  #check(): void {
    const { models, maxLoaded } = this;
    assert.deepEqual(this.#broken, []);
    assert.ok(models.mostInMemory <= maxLoaded, `${models.mostInMemory} bases in memory, ${maxLoaded} allowed`);
    for (const { watched } of this.#held()) {
      const backend = watched.value!.backend as GatedBackend;
      assert.ok(this.#forced || !backend.closeCalled, `${backend.base.name} was closed under a lease`);
    }
    const wanted = models.loading.filter(({ signal }) => !signal.aborted).map(({ base }) => base.identity);
    assert.equal(new Set(wanted).size, wanted.length, `loaded twice at once: ${wanted}`);
    // An idle base that was loaded a moment ago will go with time.
    const idle = this.#cache.loaded().filter(({ state, leases }) => state === "warm" && leases === 0).length;
    const progress = models.loading.length + models.closing.filter(({ ended }) => !ended).length +
      this.#held().length + idle;
    if (!this.#allSettled()) assert.ok(progress > 0, "somebody waits, but for nothing");
    for (const { error } of [...this.#requests.map(({ watched }) => watched), ...this.#orders]) {
      const isExpected = error === undefined || (error as Error).message === "gone" ||
        (error instanceof ModelError && REFUSALS.has(error.code));
      assert.ok(isExpected, `refused for an unknown reason: ${error}`);
    }
    const counted = this.#cache.loaded().reduce((sum, { leases }) => sum + leases, 0);
    assert.ok(counted >= this.#held().filter(({ watched }) => alive(watched.value!)).length, "leases are all counted");
  }
}

function alive(lease: Lease): boolean {
  const backend = lease.backend as GatedBackend;
  return !backend.ended && !backend.closeCalled;
}

describe("BackendCache under random schedules", () => {
  it("keeps its limits and its promises, and serves or refuses everybody in time", async () => {
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
