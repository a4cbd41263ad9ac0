/**
 * Looking up answers in Redis: one round trip for as many requests as are asked for together, and a second one for those
 * of whose first answers some turn out to be none.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import { hexOf } from "../../runtime/hex.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import type { RowTools, StoredRow } from "../sqlite/entry_row.ts";
import type { Found, Key, StoredEntry, Want } from "../store.ts";
import type { Command, Reply } from "./driver.ts";
import type { Keys } from "./keys.ts";
import type { Link } from "./link.ts";
import { Refusal } from "./refusal.ts";
import { HEAD_BYTES, idOf, readAnswer } from "./values.ts";

const TRIED = "look up answers";
/** Where answers begin in a list. */
const FIRST_ANSWER = 2;
/** How many times as many are read where those that were read do not do. */
const WIDER = 4;
/** Of so many requests it is remembered which of their answers are broken. */
const MOST_BROKEN = 1024;

/** A want, and where in Redis it is looked for. */
interface Place {
  readonly want: Want;
  /** A copy, since the caller may change his. */
  readonly key: Key;
  readonly name: string;
}

/** The lookups of a store. */
export class Lookups {
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #keys: Keys;
  readonly #tools: RowTools;
  /** The heads of answers that were found broken, by name of the list, so that the next write takes them away. */
  readonly #broken = new LRUCache<string, readonly Uint8Array[]>({ max: MOST_BROKEN });

  constructor(link: Link, clock: Clock, keys: Keys, tools: RowTools) {
    this.#link = link;
    this.#clock = clock;
    this.#keys = keys;
    this.#tools = tools;
  }

  /**
   * What there is for each want.
   *
   * @throws CacheError `unavailable`
   */
  async find(model: string, wants: readonly Want[]): Promise<Found[]> {
    const route = this.#keys.route(model);
    const places = wants.map((want): Place => {
      return { want, key: want.key.slice(), name: this.#keys.of(route, "e", hexOf(want.key)) };
    });
    const replies = await this.#link.send(TRIED, places.map(({ want, name }) => rangeOf(route, name, want.samples)));
    const now = this.#clock.now();
    const found = replies.map((reply, index) => this.#judge(model, places[index]!, reply, now));
    // Where some answers are none, those behind them are wanted: read anew, so that none is missed or seen twice.
    for (let times = WIDER;; times *= WIDER) {
      const short = places.flatMap(({ want: { samples } }, index) => {
        if (lengthOf(replies[index]!) < samples * times / WIDER) return [];
        return found[index]!.entries.filter((entry) => isFresh(entry, now)).length < samples ? [index] : [];
      });
      if (short.length === 0) return found;
      const ranges = short.map((index) => rangeOf(route, places[index]!.name, places[index]!.want.samples * times));
      const wider = await this.#link.send(TRIED, ranges);
      for (const [place, index] of short.entries()) {
        replies[index] = wider[place]!;
        found[index] = this.#judge(model, places[index]!, wider[place]!, now);
      }
    }
  }

  /** The heads of answers in a list that are known to be broken. */
  brokenAt(name: string): readonly Uint8Array[] {
    return this.#broken.get(name) ?? [];
  }

  /** Forgets them, since they are gone. */
  forgetBroken(name: string): void {
    this.#broken.delete(name);
  }

  #judge(model: string, place: Place, reply: Reply | Refusal, now: Milliseconds): Found {
    const { want: { samples, grace = 0 }, key, name } = place;
    const isForeign = reply instanceof Refusal && reply.code === "WRONGTYPE";
    const elements = isForeign ? undefined : this.#link.granted(TRIED, reply);
    if (!Array.isArray(elements)) return { entries: [], stale: false, expired: false, corrupt: true };
    const [fresh, late]: [StoredRow[], StoredRow[]] = [[], []];
    const broken: Uint8Array[] = [];
    // A server that was killed while it wrote a transaction to its log keeps half of it there, and carries that half out
    // when it is started the time after next (https://github.com/valkey-io/valkey/pull/4342): what it lost and was sent
    // again is there twice then, until the next write puts the list in order.
    const seen = new Set<bigint>();
    let [stale, expired] = [false, false];
    for (const element of elements) {
      // A copy, since the library's bytes are part of all that came with them.
      const bytes = element instanceof Uint8Array ? new Uint8Array(element) : new Uint8Array();
      const answer = readAnswer(bytes, model, key, this.#tools);
      if (answer === "stale") stale = true;
      else if (answer === "corrupt") broken.push(bytes);
      else {
        const id = idOf(bytes);
        if (seen.has(id)) continue;
        seen.add(id);
        if (isFresh(answer, now)) fresh.push(answer);
        else if (isFresh(answer, now - grace)) late.push(answer);
        else expired = true;
      }
      if (fresh.length >= samples) break;
    }
    // The next write sees for itself what is shorter than a head.
    const heads = broken.filter(({ length }) => length > HEAD_BYTES).map((bytes) => bytes.slice(0, HEAD_BYTES));
    if (heads.length > 0) this.#broken.set(name, heads);
    const entries = [...fresh, ...late].slice(0, samples);
    entries.forEach((entry, index) => entry.sample = index);
    return { entries, stale, expired, corrupt: broken.length > 0 };
  }
}

function rangeOf(route: string, key: string, samples: number): Command {
  const last = Number.isSafeInteger(FIRST_ANSWER + samples) ? FIRST_ANSWER + samples - 1 : -1;
  return { route, key, args: ["LRANGE", key, String(FIRST_ANSWER), String(last)] };
}

function isFresh({ expires }: Pick<StoredEntry, "expires">, now: Milliseconds): boolean {
  return expires === null || expires > now;
}

function lengthOf(reply: Reply | Refusal): number {
  return Array.isArray(reply) ? reply.length : 0;
}
