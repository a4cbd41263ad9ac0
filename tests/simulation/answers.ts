/**
 * What the instances put into a cache and what must hold of what they find there. What became of each put is kept in
 * shared memory, beside the simulated machine: the simulation's truth.
 */

import { INSTANCES } from "./turns.ts";
import { Violation } from "./violation.ts";

const RUNNING = 0;
const ACKNOWLEDGED = 1;
/** The store said that it cannot be known, or nobody is left to be told. */
const UNCERTAIN = 2;
const REFUSED = 3;

const PUTS = 0;
const TIME = 1;
const FIRST = 16;
const MOST = 1050;
/**
 * Of each put: its key, its instance, its state, when it began, ended and was first known to be there, whether it may have
 * been removed, and when it was known to be.
 */
const [KEY, INSTANCE, STATE, BEGAN, ENDED, KNOWN, DOOMED, REMOVED] = [0, 1, 2, 3, 4, 5, 6, 7];
const FIELDS = 8;

/** After these, by key and instance: how many removals are under way. Before {@link ./held_claims.ts}' words. */
const REMOVING = FIRST + 1050 * FIELDS;

/** Keys that answers are appended to; those above are replaced. */
export const APPENDED_KEYS = 6;
export const KEYS = 12;

/** What really happened. */
export class Answers {
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  /** A put begins; returns its number. What it puts may have to go for others, where room is short. */
  begin(key: number, instance: number, isShort = false): number {
    const put = ++this.#words[PUTS]!;
    if (put >= MOST) throw new Error("Too many puts in one simulation");
    const values = [key, instance, RUNNING, this.now(), 0, 0, isShort || this.#isRemoving(key) ? 1 : 0, 0];
    for (const [field, value] of values.entries()) this.#set(put, field, value);
    return put;
  }

  acknowledge(put: number): void {
    this.#end(put, ACKNOWLEDGED);
    this.#know(put);
  }

  /** It is not stored, and never will be. */
  refuse(put: number): void {
    this.#end(put, REFUSED);
  }

  doubt(put: number): void {
    this.#end(put, UNCERTAIN);
  }

  /** The answers to a request are about to be removed; returns those that have to be gone afterwards. */
  beginRemoval(key: number, instance: number): number[] {
    this.#words[REMOVING + key * INSTANCES + instance]!++;
    const acknowledged: number[] = [];
    for (let put = 1; put <= this.#words[PUTS]!; put++) {
      if (this.#get(put, KEY) !== key) continue;
      this.#set(put, DOOMED, 1);
      if (this.#get(put, STATE) === ACKNOWLEDGED) acknowledged.push(put);
    }
    return acknowledged;
  }

  /** They were, or the attempt has failed. */
  endRemoval(key: number, instance: number, removed: readonly number[]): void {
    this.#words[REMOVING + key * INSTANCES + instance]!--;
    for (const put of removed) this.#set(put, REMOVED, this.now());
  }

  /** An instance's process is dead. */
  abandon(instance: number): void {
    for (let key = 0; key < KEYS; key++) this.#words[REMOVING + key * INSTANCES + instance] = 0;
    for (let put = 1; put <= this.#words[PUTS]!; put++) {
      if (this.#get(put, INSTANCE) === instance && this.#get(put, STATE) === RUNNING) this.doubt(put);
    }
  }

  /** The power failed. Unless commits wait for the disk all may be lost; if they do, what was not acknowledged. */
  losePower(synchronous: "normal" | "full"): void {
    for (let put = 1; put <= this.#words[PUTS]!; put++) {
      if (synchronous === "normal" || this.#get(put, STATE) !== ACKNOWLEDGED) this.#set(put, KNOWN, 0);
      if (synchronous === "normal") this.#set(put, REMOVED, 0);
    }
  }

  /** A moment. */
  now(): number {
    return ++this.#words[TIME]!;
  }

  /**
   * Checks what a lookup that began at `moment` found under a key, as numbers of puts in the order of samples.
   *
   * @throws Violation
   */
  check(key: number, found: readonly number[], moment: number): void {
    for (const put of found) {
      if (put < 1 || put > this.#words[PUTS]! || this.#get(put, KEY) !== key) {
        throw new Violation(`wrong: under key ${key} lies put ${put}`);
      }
      const removed = this.#get(put, REMOVED);
      if (removed !== 0 && removed < moment) throw new Violation(`removed: put ${put} under key ${key} is there again`);
      if (this.#get(put, STATE) === REFUSED) throw new Violation(`undone: put ${put} was refused, but is there`);
    }
    if (new Set(found).size !== found.length) throw new Violation(`doubled: puts ${found.join(", ")} under key ${key}`);
    for (let put = 1; put <= this.#words[PUTS]!; put++) {
      const known = this.#get(put, KNOWN);
      if (this.#get(put, KEY) !== key || known === 0 || known >= moment || found.includes(put)) continue;
      if (this.#get(put, DOOMED) !== 0) continue;
      const [newest] = found;
      if (key < APPENDED_KEYS || newest === undefined) {
        throw new Violation(`lost: put ${put} under key ${key}, where puts ${found.join(", ") || "none"} lie`);
      }
      const ended = this.#get(newest, ENDED);
      if (ended !== 0 && ended < this.#get(put, BEGAN)) {
        throw new Violation(`went back: put ${newest} under key ${key} was replaced by ${put}`);
      }
    }
    for (const put of found) if (this.#get(put, KNOWN) === 0) this.#know(put);
  }

  #isRemoving(key: number): boolean {
    const first = REMOVING + key * INSTANCES;
    return this.#words.subarray(first, first + INSTANCES).some((removals) => removals > 0);
  }

  #know(put: number): void {
    this.#set(put, KNOWN, this.now());
  }

  #end(put: number, state: number): void {
    this.#set(put, STATE, state);
    this.#set(put, ENDED, this.now());
  }

  #get(put: number, field: number): number {
    return this.#words[FIRST + put * FIELDS + field]!;
  }

  #set(put: number, field: number, value: number): void {
    this.#words[FIRST + put * FIELDS + field] = value;
  }
}
