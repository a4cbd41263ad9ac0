/**
 * The daily ledger of a Redis store: one hash for all models and days, to which amounts are added a second after they
 * came about, and at the end. Each posting has an id that Redis remembers for an hour, so that one of which nobody knows
 * whether it arrived can be repeated.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import { AmountsByDay } from "../sqlite/amounts_by_day.ts";
import type { DailyAmounts, DailyLedger } from "../store.ts";
import type { Reply } from "./driver.ts";
import type { Keys } from "./keys.ts";
import type { Link } from "./link.ts";
import { textOf } from "./link.ts";
import { Refusal } from "./refusal.ts";
import type { Script } from "./scripts.ts";

/** A model has some twenty a day. */
const MOST_WAITING = 16_384;
/** Lua takes no more arguments than this by far. */
const MOST_TOGETHER = 1000;
const DELAY: Milliseconds = 1000;
/** What the ledger's keys have between their braces. */
const ROUTE = "ledger";

/** Amounts on their way. */
interface Posting {
  readonly id: string;
  readonly args: readonly string[];
}

/** The ledger of a store. */
export class RedisLedger implements DailyLedger {
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #keys: Keys;
  readonly #script: Script;
  readonly #waiting = new AmountsByDay(MOST_WAITING);
  readonly #end = new AbortController();
  #posting: Posting | undefined;
  #scheduled = false;
  #underWay: Promise<void> = Promise.resolve();

  constructor(link: Link, clock: Clock, keys: Keys, script: Script) {
    this.#link = link;
    this.#clock = clock;
    this.#keys = keys;
    this.#script = script;
  }

  add({ model, day, amounts }: DailyAmounts): void {
    if (this.#end.signal.aborted) return;
    for (const [name, amount] of Object.entries(amounts)) this.#waiting.add(model, { day, name, amount });
    this.#schedule();
  }

  async read(): Promise<DailyAmounts[]> {
    const tried = "read the ledger";
    await this.post();
    const key = this.#keys.ledger;
    const reply = await this.#link.ask(tried, { route: ROUTE, key, args: ["HGETALL", key] });
    const sums = new AmountsByDay();
    for (const [field, amount] of pairsOf(reply)) {
      const place = placeIn(textOf(field));
      if (place) sums.add(place[0], { day: place[1], name: place[2], amount: Number(textOf(amount)) });
    }
    return sums.list();
  }

  /** Writes down what waits. What cannot be written waits on. Never rejects. */
  post(): Promise<void> {
    return this.#underWay = this.#underWay.then(() => this.#post());
  }

  /** Ends, after a last attempt. */
  async close(): Promise<void> {
    this.#end.abort();
    await this.post();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const { signal } = this.#end;
    this.#clock.sleep(DELAY, { signal, background: true }).then(async () => {
      this.#scheduled = false;
      await this.post();
    }).catch(() => {});
  }

  async #post(): Promise<void> {
    for (;;) {
      const posting = this.#posting ??= this.#next();
      if (!posting || !this.#link.isUp(ROUTE)) return this.#later();
      const keys = [this.#keys.ledger, this.#keys.posted(posting.id)];
      try {
        const run = { script: this.#script, route: ROUTE, keys, args: posting.args };
        const [reply] = await this.#link.run("add to the ledger", [run]);
        if (reply instanceof Refusal && reply.passes) return this.#later();
        // What is refused for good would be refused again.
        this.#posting = undefined;
      } catch (error) {
        if (!(error instanceof CacheError)) throw error;
        return this.#later();
      }
    }
  }

  #later(): void {
    if (this.#posting && !this.#end.signal.aborted) this.#schedule();
  }

  #next(): Posting | undefined {
    const [model] = this.#waiting.models;
    if (model === undefined) return undefined;
    const args = this.#waiting.take(model, MOST_TOGETHER)
      .flatMap(({ day, name, amount }) => [JSON.stringify([model, day, name]), String(amount)]);
    return { id: hexOf(crypto.getRandomValues(new Uint8Array(16))), args };
  }
}

/** A hash as it is replied: names and values in turn, or a map. */
function pairsOf(reply: Reply): [Reply, Reply][] {
  const flat: readonly Reply[] = Array.isArray(reply) ? reply : Object.entries(reply ?? {}).flat();
  return Array.from({ length: Math.floor(flat.length / 2) }, (_, index) => [flat[2 * index]!, flat[2 * index + 1]!]);
}

function placeIn(field: string): [model: string, day: string, name: string] | undefined {
  try {
    const place: unknown = JSON.parse(field);
    if (Array.isArray(place) && place.length === 3 && place.every((part) => typeof part === "string")) {
      return place as [string, string, string];
    }
  } catch {
    // Somebody else's.
  }
  return undefined;
}
