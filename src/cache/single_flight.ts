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
  readonly #flights = new Map<string | symbol, Flight<T>>();

  /**
   * Runs `work`, or joins the flight under way for `key` if that brings at least `size`. Who wants more waits for it to
   * land, however it does, and then flies for the rest. Followers get the leader's error, or its value if it `suits`
   * them; whom it does not suit fly again.
   */
  async run(
    key: string | symbol,
    size: number,
    work: () => Promise<T>,
    suits: (value: T) => boolean = () => true,
  ): Promise<Landed<T>> {
    for (let flight; (flight = this.#flights.get(key)) !== undefined;) {
      if (size > flight.size) {
        await Promise.allSettled([flight.result]);
      } else {
        const value = await flight.result;
        if (suits(value)) return { value, led: false };
      }
    }
    const flight = { size, result: Promise.resolve().then(work) };
    this.#flights.set(key, flight);
    try {
      return { value: await flight.result, led: true };
    } finally {
      this.#flights.delete(key);
    }
  }

  /** Resolves when nothing flies any more: who waits for a flight to land may fly after it. */
  async landed(): Promise<void> {
    while (this.#flights.size > 0) {
      await Promise.allSettled([...this.#flights.values()].map((flight) => flight.result));
    }
  }
}
