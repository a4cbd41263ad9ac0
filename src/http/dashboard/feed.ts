/**
 * What happened to bases of late, numbered, so that a page that was rendered a moment ago can be told what came since.
 * Everybody who follows reads from one bounded ring: whoever reads slowly misses some, and costs nothing.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import type { WarmEvent } from "../../warm/backend_cache.ts";

/** How many events are kept. */
export const KEPT_EVENTS = 200;

/** Requests are told of together, this often at most. */
const PULSE: Milliseconds = 1000;

/** Something that happened to a base. */
export interface Happening {
  /** Counted from 1. */
  readonly number: number;
  /** In milliseconds since 1970. */
  readonly time: Milliseconds;
  readonly event: WarmEvent;
}

/** The ring, and who follows it. */
export class Feed {
  readonly #clock: Clock;
  readonly #ring: Happening[] = [];
  readonly #waiting = new Set<() => void>();
  #last = 0;
  #pulses = 0;
  #isPulseDue = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The number of the last event; 0 before the first. */
  get last(): number {
    return this.#last;
  }

  /** Takes note of what happened to a base. */
  add(event: WarmEvent): void {
    this.#ring.push({ number: ++this.#last, time: this.#clock.now(), event });
    if (this.#ring.length > KEPT_EVENTS) this.#ring.shift();
    this.#wake();
  }

  /** How often it was told that requests were answered. */
  get pulses(): number {
    return this.#pulses;
  }

  /** Takes note that a request was answered. */
  pulse(): void {
    if (this.#isPulseDue) return;
    this.#isPulseDue = true;
    this.#clock.sleep(PULSE, { background: true }).then(() => {
      this.#isPulseDue = false;
      this.#pulses++;
      this.#wake();
    }, () => {});
  }

  /** What happened after the event with a number, the newest last. */
  after(number: number): readonly Happening[] {
    return this.#ring.filter((each) => each.number > number);
  }

  /** Calls `listener` when there is something new, once, unless the function that is returned is called before. */
  onceNew(listener: () => void): () => void {
    this.#waiting.add(listener);
    return () => void this.#waiting.delete(listener);
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const listener of waiting) listener();
  }
}
