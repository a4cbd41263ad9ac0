/**
 * How often each key was hit, and when last, until it is written down. Counting is on the path of every hit, so it makes
 * no strings and no objects: an open-addressing table in typed arrays. Keys are SHA-256, hence their own hashes.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import type { Key } from "../store.ts";

/** What is known of one key. */
export interface Access {
  readonly key: Key;
  readonly count: number;
  readonly last: Milliseconds;
}

const KEY_BYTES = 32;
/** A power of two. */
const FIRST_CAPACITY = 256;

/** Gathered accesses. How many is the caller's to bound: 52 bytes each, and twice that while they grow. */
export class AccessCounts {
  #size = 0;
  #keys = new Uint8Array(0);
  #counts = new Float64Array(0);
  #lasts = new Float64Array(0);
  // Where a key is: its index plus one, in the first free place from the one its first bytes say; 0 is free.
  #slots = new Int32Array(0);

  /** How many keys there are. */
  get size(): number {
    return this.#size;
  }

  /** Counts a hit, or `count` of them, the last of which was at `last`. */
  add(key: Key, last: Milliseconds, count = 1): void {
    if (key.byteLength !== KEY_BYTES) return;
    if (this.#size === this.#lasts.length) this.#grow();
    const slot = this.#slotOf(key, 0);
    const index = this.#slots[slot]! - 1;
    if (index >= 0) {
      this.#counts[index]! += count;
      if (last > this.#lasts[index]!) this.#lasts[index] = last;
      return;
    }
    this.#keys.set(key, this.#size * KEY_BYTES);
    this.#counts[this.#size] = count;
    this.#lasts[this.#size] = last;
    this.#slots[slot] = ++this.#size;
  }

  /** Takes out `most` of them at most. */
  take(most: number): Access[] {
    const first = Math.max(0, this.#size - most);
    const taken = Array.from({ length: this.#size - first }, (_, offset): Access => {
      const index = first + offset;
      const key = this.#keys.slice(index * KEY_BYTES, (index + 1) * KEY_BYTES);
      return { key, count: this.#counts[index]!, last: this.#lasts[index]! };
    });
    this.#size = first;
    if (first === 0) this.#resize(0);
    else this.#fillSlots();
    return taken;
  }

  /** The slot that says where the key at `start` of `bytes` is, or that is free for it. */
  #slotOf(bytes: Uint8Array, start: number): number {
    const mask = this.#slots.length - 1;
    let slot = (bytes[start]! | bytes[start + 1]! << 8 | bytes[start + 2]! << 16) & mask;
    for (let index; (index = this.#slots[slot]!) !== 0; slot = (slot + 1) & mask) {
      if (this.#isAt((index - 1) * KEY_BYTES, bytes, start)) break;
    }
    return slot;
  }

  #isAt(at: number, bytes: Uint8Array, start: number): boolean {
    for (let offset = 0; offset < KEY_BYTES; offset++) {
      if (this.#keys[at + offset] !== bytes[start + offset]) return false;
    }
    return true;
  }

  #grow(): void {
    this.#resize(Math.max(FIRST_CAPACITY, this.#lasts.length * 2));
    this.#fillSlots();
  }

  #resize(capacity: number): void {
    const size = this.#size;
    const [keys, counts, lasts] = [this.#keys, this.#counts, this.#lasts];
    this.#keys = new Uint8Array(capacity * KEY_BYTES);
    this.#counts = new Float64Array(capacity);
    this.#lasts = new Float64Array(capacity);
    this.#slots = new Int32Array(capacity * 2);
    this.#keys.set(keys.subarray(0, size * KEY_BYTES));
    this.#counts.set(counts.subarray(0, size));
    this.#lasts.set(lasts.subarray(0, size));
  }

  #fillSlots(): void {
    this.#slots.fill(0);
    for (let index = 0; index < this.#size; index++) {
      this.#slots[this.#slotOf(this.#keys, index * KEY_BYTES)] = index + 1;
    }
  }
}
