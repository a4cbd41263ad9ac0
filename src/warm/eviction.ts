/**
 * Who has to go: the one decision that, taken wrongly, answers a request from a model that is being closed. Pure, so
 * that it can be read and tested without anything loaded.
 *
 * @module
 */

import type { Milliseconds } from "../runtime/runtime.ts";

/** Places and bytes: what there is, what is free, or what one base takes. */
export interface Room {
  /** Bases in memory. */
  readonly places: number;
  /** Bytes of this machine's memory. */
  readonly ram: number;
  /** Bytes on the GPU. */
  readonly gpu: number;
}

/** A base in memory, or on its way there, as far as the decision looks at it. */
export interface Resident {
  /** What goes free when it goes. */
  readonly takes: Room;
  /** Requests that use it or wait for its load. */
  readonly leases: number;
  readonly isLoading: boolean;
  readonly isPinned: boolean;
  /** It was loaded so short a time ago that it stays in any case. */
  readonly isYoung: boolean;
  /** How long nobody has used it. */
  readonly idle: Milliseconds;
  /** How long its load took, and so may take again. */
  readonly loadTime: Milliseconds;
  /** Grows with every use of any base; the smallest is the least recently used. */
  readonly lastUse: number;
}

/** Nothing at all. */
export const NO_ROOM: Room = { places: 0, ram: 0, gpu: 0 };

/** Two rooms together. */
export function plus(one: Room, other: Room): Room {
  return { places: one.places + other.places, ram: one.ram + other.ram, gpu: one.gpu + other.gpu };
}

/** What is left of one room when another is taken out of it; less than nothing where it was too small. */
export function minus(one: Room, other: Room): Room {
  return { places: one.places - other.places, ram: one.ram - other.ram, gpu: one.gpu - other.gpu };
}

/** Whether something fits into a room. */
export function fits(need: Room, room: Room): boolean {
  return need.places <= room.places && need.ram <= room.ram && need.gpu <= room.gpu;
}

/**
 * The bases to evict so that those that are needed find room: the first of them, then the next, as many as can. Nobody
 * goes for a need that would not find room even then. Never chosen is what is leased, loading, pinned or young.
 *
 * First goes what has been idle for the longest in relation to the time its load takes, that rounded to a power of two,
 * so that of bases alike the least recently used goes. No chosen one could stay: without any of them there would be too
 * little room.
 *
 * @param free What is left beside all `residents`, less than nothing where they take more than there is.
 * @param needs In the order in which they are to be met; {@link NO_ROOM} where the residents only have to fit.
 */
export function chooseVictims<R extends Resident>(residents: Iterable<R>, free: Room, needs: readonly Room[]): R[] {
  const candidates = [...residents].filter(mayGo).sort(byWorth);
  let victims: R[] = [];
  let needed = NO_ROOM;
  for (const need of needs) {
    needed = plus(needed, need);
    const chosen = enoughOf(candidates, free, needed);
    // Who is behind waits until it is his turn.
    if (chosen === undefined) break;
    victims = chosen;
  }
  return victims;
}

/** Whether a base may be evicted at all. */
export function mayGo({ leases, isLoading, isPinned, isYoung }: Resident): boolean {
  return leases === 0 && !isLoading && !isPinned && !isYoung;
}

function enoughOf<R extends Resident>(candidates: readonly R[], free: Room, needed: Room): R[] | undefined {
  const chosen: R[] = [];
  let room = free;
  for (const candidate of candidates) {
    if (fits(needed, room)) break;
    chosen.push(candidate);
    room = plus(room, candidate.takes);
  }
  if (!fits(needed, room)) return undefined;
  // A small one may have been chosen before a large one that would have been enough.
  for (const candidate of chosen.toReversed()) {
    const without = minus(room, candidate.takes);
    if (!fits(needed, without)) continue;
    chosen.splice(chosen.indexOf(candidate), 1);
    room = without;
  }
  return chosen;
}

function byWorth(one: Resident, other: Resident): number {
  return worthlessness(other) - worthlessness(one) || one.lastUse - other.lastUse;
}

/** How long it was idle in relation to how long its load takes. */
export function worthlessness({ idle, loadTime }: Pick<Resident, "idle" | "loadTime">): number {
  return idle / 2 ** Math.round(Math.log2(Math.max(loadTime, 1)));
}
