/**
 * Concurrent callers who want the same make one call. The flight covers looking up, calling and storing, so that nobody
 * can look before it and call after it. It belongs to all who wait for it: one who gives up leaves the others alone, and
 * when all have given up the flight is aborted.
 *
 * @module
 */

/** What a flight is for and who is on it. */
interface Flight<T, L> {
  readonly size: number;
  readonly result: Promise<T>;
  readonly aborter: AbortController;
  /** What can be had before the result, a stream that has begun; `undefined` when nothing of the kind comes. */
  readonly live: Promise<L | undefined>;
  waiting: number;
}

/** What a flight brought, and whether this caller flew it. */
export interface Landed<T> {
  readonly value: T;
  readonly led: boolean;
}

/** What the work of a flight is given. */
export interface Cockpit<L> {
  /** Aborted when nobody waits for the result any more. */
  readonly signal: AbortSignal;
  /** Tells those on board what they can have before the result. */
  goLive(live: L): void;
}

/** How to fly. */
export interface FlightPlan<T, L> {
  /** How much is wanted, in samples. */
  readonly size: number;
  readonly work: (cockpit: Cockpit<L>) => Promise<T>;
  /** Whether another's result will do; those it does not suit fly again. */
  readonly suits?: (value: T) => boolean;
  /** Hears of what the flight offers before it lands, as soon as it does; `led` when it is this caller's own. */
  readonly onLive?: (live: L, led: boolean) => void;
  /** Ends this caller's waiting. */
  readonly signal?: AbortSignal | undefined;
}

/** Flights under way, by key. `L` is what a flight may offer before it lands. */
export class SingleFlight<T, L = never> {
  readonly #flights = new Map<string | symbol, Flight<T, L>>();
  /** Flights, those that nobody waits for too (what they bring is stored), and those who wait for them. */
  readonly #underWay = new Set<Promise<unknown>>();

  /** Whether a flight for `key` is under way. */
  has(key: string | symbol): boolean {
    return this.#flights.has(key);
  }

  /**
   * Runs `work`, or joins the flight under way for `key` if that brings at least `size`. Who wants more waits for it to
   * land, however it does, and then flies for the rest. Followers get the leader's error, or its value if it `suits`
   * them; whom it does not suit fly again.
   *
   * @throws what `work` throws; the reason of `signal` once that is aborted.
   */
  run(key: string | symbol, plan: FlightPlan<T, L>): Promise<Landed<T>> {
    return this.#track(this.#run(key, plan));
  }

  async #run(key: string | symbol, plan: FlightPlan<T, L>): Promise<Landed<T>> {
    const { size, suits = () => true, signal } = plan;
    signal?.throwIfAborted();
    for (let flight; (flight = this.#flights.get(key)) !== undefined;) {
      if (size > flight.size) {
        await this.landing(key, signal);
      } else {
        const value = await this.#wait(key, flight, plan, false);
        if (suits(value)) return { value, led: false };
      }
    }
    return { value: await this.#wait(key, this.#start(key, plan), plan, true), led: true };
  }

  /** Resolves when the flight under way for `key` has landed, however it does; at once when there is none. */
  async landing(key: string | symbol, signal?: AbortSignal): Promise<void> {
    const flight = this.#flights.get(key);
    if (flight !== undefined) await unlessAborted(Promise.allSettled([flight.result]), signal);
  }

  /** Resolves when nothing flies any more: who waits for a flight to land may fly after it. */
  async landed(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  #start(key: string | symbol, { size, work }: FlightPlan<T, L>): Flight<T, L> {
    const aborter = new AbortController();
    const { promise: live, resolve: goLive } = Promise.withResolvers<L | undefined>();
    const result = this.#track(Promise.resolve().then(() => work({ signal: aborter.signal, goLive })));
    const flight = { size, result, aborter, live, waiting: 0 };
    this.#flights.set(key, flight);
    const land = (): void => {
      goLive(undefined);
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    result.then(land, land);
    return flight;
  }

  #track<P>(promise: Promise<P>): Promise<P> {
    this.#underWay.add(promise);
    const done = (): void => void this.#underWay.delete(promise);
    promise.then(done, done);
    return promise;
  }

  /** Waits for a flight as one of those on board. */
  async #wait(
    key: string | symbol,
    flight: Flight<T, L>,
    { signal, onLive = () => {} }: FlightPlan<T, L>,
    led: boolean,
  ): Promise<T> {
    flight.waiting++;
    flight.live.then((live) => live !== undefined && !signal?.aborted && onLive(live, led));
    try {
      return await unlessAborted(flight.result, signal);
    } finally {
      // Whoever comes now must not join what is given up.
      if (--flight.waiting === 0 && signal?.aborted) {
        if (this.#flights.get(key) === flight) this.#flights.delete(key);
        flight.aborter.abort(signal.reason);
      }
    }
  }
}

/**
 * What a promise brings, unless the signal is aborted before.
 *
 * @throws the signal's reason.
 */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise;
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
