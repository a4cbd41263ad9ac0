/**
 * Tells silence from slowness. A line on which replies keep coming owes nobody a timeout, however long its backlog is;
 * one that says nothing while it owes something is taken for broken. One timer watches all that is owed: a timer for
 * each command would cost more than the command does.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";

/** So many steps make the shortest patience there is. */
const STEPS = 4;

/** Nothing was heard for as long as somebody was willing to wait. */
export class Silence extends Error {
  /** Whether all that was asked before has been given up as well, so that nothing can be hoped for any longer. */
  readonly isHopeless: boolean;

  constructor(patience: Milliseconds, isHopeless: boolean) {
    super(`no answer within ${Math.round(patience)} ms`);
    this.isHopeless = isHopeless;
  }
}

interface Owed {
  readonly lane: string;
  readonly patience: Milliseconds;
  readonly giveUp: (silence: Silence) => void;
  silentSteps: number;
}

/** Watches what is owed, by lane: what is said on one is no sign of life of another. */
export class Watch {
  readonly #clock: Clock;
  readonly #step: Milliseconds;
  /** In the order in which it was asked. */
  readonly #owed = new Set<Owed>();
  readonly #heard = new Set<string>();
  #isWatching = false;

  /** `shortest`: the shortest patience that anybody will have. */
  constructor(clock: Clock, shortest: Milliseconds) {
    this.#clock = clock;
    this.#step = shortest / STEPS;
  }

  /** Says that something was heard on a lane. */
  heard(lane: string): void {
    this.#heard.add(lane);
  }

  /**
   * An answer.
   *
   * @throws Silence when its lane has said nothing for so long.
   */
  answer<T>(lane: string, answer: Promise<T>, patience: Milliseconds): Promise<T> {
    return new Promise((resolve, reject) => {
      const owed: Owed = { lane, patience, giveUp: reject, silentSteps: 0 };
      this.#owed.add(owed);
      if (!this.#isWatching) void this.#watch();
      answer.then((value) => {
        this.#owed.delete(owed);
        resolve(value);
      }, (error) => {
        this.#owed.delete(owed);
        reject(error);
      });
    });
  }

  /** In steps: an event loop that stood still meanwhile has not read what is there, and costs one step only. */
  async #watch(): Promise<void> {
    this.#isWatching = true;
    while (this.#owed.size > 0) {
      this.#heard.clear();
      await this.#clock.sleep(this.#step, { background: true });
      this.#takeStep();
    }
    this.#isWatching = false;
  }

  #takeStep(): void {
    const hopeful = new Set<string>();
    for (const owed of this.#owed) {
      if (this.#heard.has(owed.lane)) owed.silentSteps = 0;
      // The first step was begun before it was asked.
      else owed.silentSteps++;
      if ((owed.silentSteps - 1) * this.#step < owed.patience) {
        hopeful.add(owed.lane);
        continue;
      }
      this.#owed.delete(owed);
      owed.giveUp(new Silence(owed.patience, !hopeful.has(owed.lane)));
    }
  }
}
