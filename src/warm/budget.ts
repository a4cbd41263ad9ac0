/**
 * What all bases may take together, and what each of them will: as its Worker said when it was last loaded, before that
 * by the size of its files.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import { isOnnxBase, type ModelMemory, type ResolvedBase } from "../model/backend.ts";
import type { ModelError } from "../model/error.ts";
import { fits, minus, NO_ROOM, plus, type Room } from "./eviction.ts";
import { inWords, noRoom } from "./refusals.ts";
import { roomFor, type Slot, takenBy } from "./slot.ts";

/** Bases of which is remembered what they took. */
const MOST_MEASURED = 1000;

/** The limits, and what bases need. */
export class Budget {
  readonly #limits: Room;
  readonly #predict: (base: ResolvedBase) => ModelMemory;
  readonly #measured = new LRUCache<string, ModelMemory>({ max: MOST_MEASURED });

  /** `predict` says what a base will take that was never loaded. */
  constructor(limits: Room, predict: (base: ResolvedBase) => ModelMemory) {
    this.#limits = limits;
    this.#predict = predict;
  }

  /** A base was seen to take this much. */
  measured({ identity }: ResolvedBase, memory: ModelMemory): void {
    this.#measured.set(identity, memory);
  }

  /** What a base will take. */
  expected(base: ResolvedBase): ModelMemory {
    return this.#measured.get(base.identity) ?? this.#predict(base);
  }

  /** {@link expected}, as room. */
  need(base: ResolvedBase): Room {
    return roomFor(base, this.expected(base));
  }

  /** What is left beside these; less than nothing where they take too much. */
  beside(slots: Iterable<Slot>): Room {
    let taken = NO_ROOM;
    for (const slot of slots) taken = plus(taken, takenBy(slot));
    return minus(this.#limits, taken);
  }

  /** Why a base will find no room as long as these stay; `undefined` when it can. */
  whyNot(base: ResolvedBase, pinned: readonly Slot[]): ModelError | undefined {
    const need = this.need(base);
    if (!fits(need, this.#limits)) {
      return noRoom(base, `it needs ${inWords(need)}, and all bases together may take ${inWords(this.#limits)}`);
    }
    if (fits(need, this.beside(pinned))) return undefined;
    const names = pinned.map(({ base }) => base.name).join(", ");
    return noRoom(base, `what is pinned (${names}) leaves too little; unpin one, or allow for more`);
  }
}

/** What a base will take if it takes as much as its files. */
export function predictFromFiles(base: ResolvedBase): ModelMemory {
  const files = isOnnxBase(base) ? Object.values(base.files).flat() : [];
  return { wasm: files.reduce((sum, { size }) => sum + size, 0), gpu: 0 };
}
