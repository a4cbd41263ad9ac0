/**
 * The last events, for whoever follows them. All followers read one ring, each at a place of its own: however many there
 * are and however slowly they read, nothing is kept for them, and who falls behind by more than the ring is told so.
 *
 * @module
 */

import type { Clock } from "../../runtime/runtime.ts";
import type { BackendCache } from "../../warm/backend_cache.ts";
import { type AdminEvent, type AdminEventBody, adminEventBody, type GapBody } from "./admin_event.ts";

/** How many events are kept, of some hundred bytes each. */
export const RING_SIZE = 1024;

const ID = /^([0-9a-z]{1,16})-([0-9]{1,15})$/;

/** Where a follower is: the number of the event that it is told next, or that nobody knows what it has missed. */
export type Place = number | "lost";

/** Keeps the last events of a backend cache. */
export class EventRing {
  readonly #clock: Clock;
  readonly #size: number;
  readonly #events: AdminEvent[] = [];
  readonly #waiting = new Set<() => void>();
  /** Ids of a server that ran before are no places of this one's. */
  readonly #epoch: string;
  /** The number of the event that comes next. */
  #next = 1;

  /** Keeps them from now on. */
  constructor(backends: Pick<BackendCache, "on">, clock: Clock, size: number = RING_SIZE) {
    this.#clock = clock;
    this.#size = size;
    this.#epoch = Math.trunc(clock.now()).toString(36);
    backends.on((event) => this.#add(adminEventBody(event)));
  }

  /**
   * Where to go on.
   *
   * @param lastEventId the event that was told last; without one, from now on.
   */
  placeAfter(lastEventId: string | undefined): Place {
    if (lastEventId === undefined) return this.#next;
    const [, epoch, number] = ID.exec(lastEventId) ?? [];
    const last = Number(number);
    return epoch === this.#epoch && last < this.#next ? last + 1 : "lost";
  }

  /** What a follower is told first. Whoever is cut off right after it resumes where he began. */
  connected(place: Place): AdminEvent {
    const id = place === "lost" ? `${this.#epoch}-lost` : this.#id(place - 1);
    return { id, time: this.#now(), type: "connected" };
  }

  /** What is to be told at a place, and the place after it; `undefined` while there is nothing. */
  read(place: Place): { readonly event: AdminEvent; readonly next: Place } | undefined {
    const oldest = this.#oldest();
    if (place === "lost") return { event: this.#gap(null), next: oldest };
    if (place < oldest) return { event: this.#gap(oldest - place), next: oldest };
    const event = this.#events[place % this.#size];
    return place < this.#next ? { event: event!, next: place + 1 } : undefined;
  }

  /** Calls `listener` when the next event is there, once, unless the function that is returned is called before. */
  onceAdded(listener: () => void): () => void {
    this.#waiting.add(listener);
    return () => void this.#waiting.delete(listener);
  }

  #add(body: AdminEventBody): void {
    this.#events[this.#next % this.#size] = { id: this.#id(this.#next), time: this.#now(), ...body };
    this.#next++;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const listener of waiting) listener();
  }

  /** Its id is that of the last event that is missed: whoever resumes after it goes on with what is there. */
  #gap(missed: number | null): AdminEvent {
    const body: GapBody = { type: "gap", missed };
    return { id: this.#id(this.#oldest() - 1), time: this.#now(), ...body };
  }

  #oldest(): number {
    return Math.max(1, this.#next - this.#size);
  }

  #id(number: number): string {
    return `${this.#epoch}-${number}`;
  }

  #now(): string {
    return new Date(this.#clock.now()).toISOString();
  }
}
