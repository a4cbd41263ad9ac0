/**
 * Amounts by model, day and name, added up in memory: those that were counted here and wait to be written down, and those
 * that were read.
 *
 * @module
 */

import type { DailyAmounts } from "../store.ts";

/** One amount of one model. */
export interface Amount {
  readonly day: string;
  readonly name: string;
  readonly amount: number;
}

/** Sums of amounts. */
export class AmountsByDay {
  readonly #most: number;
  readonly #models = new Map<string, Map<string, Map<string, number>>>();
  #size = 0;
  /** How often amounts were taken out: whoever adds up what is here and what is written sees whether any moved. */
  taken = 0;

  /** Holds `most` amounts at most. */
  constructor(most: number = Infinity) {
    this.#most = most;
  }

  /** The models that there are amounts of. */
  get models(): string[] {
    return [...this.#models.keys()];
  }

  /** Whether there are amounts of a model. */
  has(model: string): boolean {
    return this.#models.has(model);
  }

  /**
   * Adds to an amount. What is no finite number adds nothing, nor does a new name where there is no more room: no answer
   * is to be lost over it.
   */
  add(model: string, { day, name, amount }: Amount): void {
    if (!Number.isFinite(amount) || amount === 0) return;
    const days = this.#models.get(model) ?? new Map<string, Map<string, number>>();
    const names = days.get(day) ?? new Map<string, number>();
    const before = names.get(name);
    if (before === undefined && ++this.#size > this.#most) return void this.#size--;
    names.set(name, (before ?? 0) + amount);
    days.set(day, names);
    this.#models.set(model, days);
  }

  /** Takes out `most` amounts of a model at most. */
  take(model: string, most: number): Amount[] {
    const taken = this.of(model).slice(0, most);
    const days = this.#models.get(model);
    for (const { day, name } of taken) {
      const names = days!.get(day)!;
      names.delete(name);
      if (names.size === 0) days!.delete(day);
    }
    if (days?.size === 0) this.#models.delete(model);
    this.#size -= taken.length;
    if (taken.length > 0) this.taken++;
    return taken;
  }

  /** The amounts of a model. */
  of(model: string): Amount[] {
    const days = [...this.#models.get(model) ?? []];
    return days.flatMap(([day, names]) => [...names].map(([name, amount]) => ({ day, name, amount })));
  }

  /** All of them, by model and day. */
  list(): DailyAmounts[] {
    return [...this.#models].toSorted(byName).flatMap(([model, days]) =>
      [...days].toSorted(byName).map(([day, names]) => ({ model, day, amounts: Object.fromEntries(names) }))
    );
  }
}

function byName([left]: readonly [string, unknown], [right]: readonly [string, unknown]): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
