/**
 * One lookup through the tiers: what the first does not satisfy is asked of the next, and so on. What a lower tier has
 * more of is copied into those above it, whole: a tier that held the first sample only would put the next one that is
 * appended in the wrong place.
 *
 * @module
 */

import type { Clock } from "../../runtime/runtime.ts";
import type { Found, MaybePromise, NewEntry, StoredEntry, Want } from "../store.ts";
import { borrow } from "./borrowed.ts";
import { fieldsOf } from "./entry_fields.ts";
import { noneAnswered } from "./refusals.ts";
import { placeOf } from "./place.ts";
import type { Reading, Readings } from "./readings.ts";
import type { Tier } from "./tier.ts";

/** What a lookup needs besides the tiers. */
export interface DescentParts {
  readonly clock: Clock;
  readonly readings: Readings;
  /** Hears of a tier that was passed over. */
  readonly report: (error: unknown) => void;
  /** Has a tier keep a copy of what is stored below it, unless it may not any more; resolves when that is settled. */
  readonly keepCopy: (
    tier: Tier,
    want: Want,
    entries: () => readonly NewEntry[],
    mayBeKept: () => boolean,
  ) => Promise<void>;
}

/** One want on its way down. */
interface Errand {
  readonly want: Want;
  readonly place: string;
  readonly reading: Reading;
  /** What each tier said; `undefined` where it was not asked, or did not answer. */
  readonly answers: (Found | undefined)[];
}

const TRIED = "look up answers";

/** A lookup. */
export class Descent {
  readonly #model: string;
  readonly #wants: readonly Want[];
  readonly #tiers: readonly Tier[];
  readonly #parts: DescentParts;
  /** What has to end before the readings do. */
  readonly #unsettled: Promise<void>[] = [];

  constructor(model: string, wants: readonly Want[], tiers: readonly Tier[], parts: DescentParts) {
    this.#model = model;
    this.#wants = wants;
    this.#tiers = tiers;
    this.#parts = parts;
  }

  /**
   * The best that any tier has.
   *
   * @throws CacheError when no tier answers.
   */
  find(): MaybePromise<readonly Found[]> {
    const [first] = this.#tiers;
    const isLeftAlone = first!.isLeftAlone;
    try {
      const found = first!.ask((store) => store.lookup(this.#model, this.#wants), { tried: TRIED });
      // The way of most lookups: nothing to wait for, nothing to be remembered.
      return !(found instanceof Promise) && this.#areEnough(found) ? found : this.#descend(found, isLeftAlone);
    } catch (error) {
      return this.#descend(Promise.reject(error), isLeftAlone);
    }
  }

  async #descend(first: MaybePromise<readonly Found[]>, isLeftAlone: boolean): Promise<readonly Found[]> {
    const errands = this.#wants.map((want): Errand => {
      const place = placeOf(this.#model, want.key);
      return { want, place, reading: this.#parts.readings.begin(place), answers: [] };
    });
    try {
      const errors: unknown[] = [];
      let open: readonly Errand[] = errands;
      for (const [level, tier] of this.#tiers.entries()) {
        const isPassedOver = level === 0 ? isLeftAlone : tier.isLeftAlone;
        try {
          const found = await (level === 0 ? first : this.#ask(level, open));
          this.#unsettled.push(this.#take(level, open, found));
        } catch (error) {
          errors.push(error);
          // That it is left alone was reported when it failed.
          if (!isPassedOver) this.#parts.report(error);
          continue;
        }
        open = open.filter(({ want, answers }) => this.#fresh(answers[level]).length < want.samples);
        if (open.length === 0) break;
      }
      if (errors.length === this.#tiers.length) throw noneAnswered(errors);
      return errands.map((errand) => this.#answer(errand));
    } finally {
      Promise.all(this.#unsettled).then(() => {
        for (const { place, reading } of errands) this.#parts.readings.end(place, reading);
      });
    }
  }

  #ask(level: number, errands: readonly Errand[]): MaybePromise<readonly Found[]> {
    const wants = errands.map(({ want }): Want =>
      want.record === undefined ? want : { ...want, samples: Number.MAX_SAFE_INTEGER }
    );
    return this.#tiers[level]!.ask((store) => store.lookup(this.#model, wants), {
      tried: TRIED,
      late: (found) => {
        this.#unsettled.push(found.then((found) => this.#take(level, errands, found), () => {}));
      },
    });
  }

  /**
   * Notes what a tier said, and has those above it keep a copy of what they have less of; resolves when that is settled.
   */
  async #take(level: number, errands: readonly Errand[], found: readonly Found[]): Promise<void> {
    const copies: Promise<void>[] = [];
    for (const [index, errand] of errands.entries()) {
      const fresh = this.#fresh(found[index]);
      const isMost = errand.answers.every((answer) => this.#fresh(answer).length < fresh.length);
      errand.answers[level] = found[index];
      if (errand.want.record === undefined || !isMost) continue;
      for (const [above, tier] of this.#tiers.slice(0, level).entries()) {
        const there = errand.answers[above];
        if (there === undefined) continue;
        const entries = (): readonly NewEntry[] => union(fresh, this.#fresh(there)).map(newEntry);
        copies.push(this.#parts.keepCopy(tier, errand.want, entries, () => !errand.reading.isVoid));
      }
    }
    await Promise.all(copies);
  }

  #answer({ want, answers }: Errand): Found {
    let best: Found | undefined;
    const flags = { stale: false, expired: false, corrupt: false };
    for (const answer of answers) {
      if (answer === undefined) continue;
      if (best === undefined || this.#isBetter(answer, best)) best = answer;
      flags.stale ||= answer.stale;
      flags.expired ||= answer.expired;
      flags.corrupt ||= answer.corrupt;
    }
    const [first] = answers;
    if (first !== undefined && answers.length === 1) return first;
    return borrow({ entries: best!.entries.slice(0, want.samples), ...flags });
  }

  #isBetter(left: Found, right: Found): boolean {
    const more = this.#fresh(left).length - this.#fresh(right).length;
    return more > 0 || (more === 0 && left.entries.length > right.entries.length);
  }

  #areEnough(found: readonly Found[]): boolean {
    return this.#wants.every(({ samples }, index) => this.#fresh(found[index]).length >= samples);
  }

  /** Those whose time has not passed, which come first. */
  #fresh(found: Found | undefined): readonly StoredEntry[] {
    if (found === undefined) return [];
    const now = this.#parts.clock.now();
    return found.entries.filter(({ expires }) => expires === null || expires > now);
  }
}

/** What is stored below, and behind it what only the tier above has: written while the one below did not answer. */
function union(below: readonly StoredEntry[], above: readonly StoredEntry[]): readonly StoredEntry[] {
  return [...below, ...above.filter((entry) => !below.some((other) => isSame(entry, other)))];
}

function isSame(left: StoredEntry, right: StoredEntry): boolean {
  if (left.created !== right.created) return false;
  const [mine, others] = [left.bytes(), right.bytes()];
  return mine.length === others.length && mine.every((byte, index) => byte === others[index]);
}

function newEntry(entry: StoredEntry): NewEntry {
  return { ...fieldsOf(entry), body: entry.bytes() };
}
