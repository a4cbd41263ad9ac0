/**
 * One lookup through the tiers: what the first does not satisfy is asked of the next, and so on. What a lower tier has
 * more of is copied into those above it, whole: a tier that held the first sample only would put the next one that is
 * appended in the wrong place.
 *
 * @module
 */

import type { Clock } from "../../runtime/runtime.ts";
import type { Found, MaybePromise, StoredEntry, Want } from "../store.ts";
import { borrow } from "./borrowed.ts";
import { type CopyUp, freshOf } from "./copy_up.ts";
import { noneAnswered } from "./refusals.ts";
import { placeOf } from "../place.ts";
import type { Reading, Readings } from "./readings.ts";
import type { Tier } from "./tier.ts";

/** What a lookup needs besides the tiers. */
export interface DescentParts {
  readonly clock: Clock;
  readonly readings: Readings;
  /** Hears of a tier that was passed over. */
  readonly report: (error: unknown) => void;
  /** Has a tier keep a copy of what is stored below it; resolves when that is settled. */
  readonly keepCopy: (copy: CopyUp) => Promise<void>;
}

/** One want on its way down. */
interface Errand {
  readonly want: Want;
  readonly place: string;
  readonly reading: Reading;
  /** What each tier said; `undefined` where it was not asked, or did not answer. */
  readonly answers: (Found | undefined)[];
  /** What it has, be it outdated. */
  readonly held: (Found | undefined)[];
}

const TRIED = "look up answers";
const NOTHING: Found = Object.freeze({ entries: Object.freeze([]), stale: false, expired: false, corrupt: false });

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
    const first = this.#tiers[0]!;
    const isLeftAlone = first.isLeftAlone(this.#model);
    try {
      const found = first.ask((store) => store.lookup(this.#model, this.#wants), { tried: TRIED, model: this.#model });
      // The way of most lookups: nothing to wait for, nothing to be remembered.
      const isEnough = !(found instanceof Promise) && first.outdated.size === 0 && this.#areEnough(found);
      return isEnough ? found : this.#descend(found, isLeftAlone);
    } catch (error) {
      return this.#descend(Promise.reject(error), isLeftAlone);
    }
  }

  async #descend(first: MaybePromise<readonly Found[]>, isLeftAlone: boolean): Promise<readonly Found[]> {
    const errands = this.#wants.map((want): Errand => {
      const place = placeOf(this.#model, want.key);
      return { want, place, reading: this.#parts.readings.begin(place), answers: [], held: [] };
    });
    try {
      const errors: unknown[] = [];
      let open: readonly Errand[] = errands;
      for (const [level, tier] of this.#tiers.entries()) {
        const isPassedOver = level === 0 ? isLeftAlone : tier.isLeftAlone(this.#model);
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
      model: this.#model,
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
    const from = this.#tiers[level]!;
    for (const [index, errand] of errands.entries()) {
      const { want, place, answers, held } = errand;
      const answer = from.outdated.has(place) ? NOTHING : found[index]!;
      const fresh = this.#fresh(answer);
      const isMost = answers.every((other) => this.#fresh(other).length < fresh.length);
      [answers[level], held[level]] = [answer, found[index]];
      if (want.record === undefined || !isMost) continue;
      for (const [above, to] of this.#tiers.slice(0, level).entries()) {
        const there = held[above];
        if (there === undefined) continue;
        copies.push(this.#parts.keepCopy({
          model: this.#model,
          want,
          place,
          from,
          to,
          below: fresh,
          above: this.#fresh(there),
          samples: above === 0 ? want.samples : Number.MAX_SAFE_INTEGER,
          mayBeKept: () => !errand.reading.isVoid,
        }));
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

  #fresh(found: Found | undefined): readonly StoredEntry[] {
    return found === undefined ? [] : freshOf(found, this.#parts.clock);
  }
}
