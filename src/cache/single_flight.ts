/**
 * Concurrent callers who want the same make one call. The flight covers looking up, calling and storing, so that nobody
 * can look before it and call after it.
 *
 * @module
 */

interface Flight<T> {
  readonly size: number;
  readonly result: Promise<T>;
}

/** What a flight brought, and whether this caller flew it. */
export interface Landed<T> {
  readonly value: T;
  readonly led: boolean;
}

/** Flights under way, by key. */
export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>();

  /**
   * Runs `work`, or joins the flight under way for `key` if that brings at least `size`. Who wants more waits for it to
   * land, however it does, and then flies for the rest. Followers get the leader's value, or its error.
   */
  async run(key: string, size: number, work: () => Promise<T>): Promise<Landed<T>> {
    for (let flight; (flight = this.#flights.get(key)) !== undefined;) {
      if (size <= flight.size) return { value: await flight.result, led: false };
      await Promise.allSettled([flight.result]);
    }
    const flight = { size, result: Promise.resolve().then(work) };
    this.#flights.set(key, flight);
    try {
      return { value: await flight.result, led: true };
    } finally {
      this.#flights.delete(key);
    }
  }

  /** Resolves when every flight that is under way now has landed, one way or the other. */
  async landed(): Promise<void> {
    await Promise.allSettled([...this.#flights.values()].map((flight) => flight.result));
  }
}
