/**
 * A store that has all of the contract's parts that clients of a server share through it: one that belongs to the server's
 * process alone grants every claim, since there is nobody else. Behind a server there are many.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import { hexOf } from "../../runtime/hex.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { FailuresInMemory } from "../failures_in_memory.ts";
import { LONGEST_BINDING, refuseLongClaim } from "../limits.ts";
import { placeOf } from "../place.ts";
import { AmountsByDay } from "../sqlite/amounts_by_day.ts";
import type { ClaimReply, Claims, DailyLedger, Failures, Key, Store } from "../store.ts";

/** So many requests are being called for at a time, at most; older claims are forgotten, and somebody calls twice. */
const MOST_CLAIMS = 100_000;
/** Characters of the names in all of them: several times what that many take, unless somebody makes up long ones. */
const CLAIMS_LENGTH = 16 * 1024 * 1024;
const FAILURES_BYTES = 16 * 1024 * 1024;
const MOST_AMOUNTS = 16_384;

/** A store with claims, failures and a ledger. */
export type SharedStore = Store & Required<Pick<Store, "claims" | "failures" | "ledger">>;

/** The store of a server, for its clients. */
export function arbitrated(store: Store, clock: Clock): SharedStore {
  const amounts = new AmountsByDay(MOST_AMOUNTS);
  const failures = store.failures ?? new FailuresInMemory(FAILURES_BYTES);
  const ledger: DailyLedger = store.ledger ?? {
    add: ({ model, day, amounts: each }) => {
      for (const [name, amount] of Object.entries(each)) amounts.add(model, { day, name, amount });
    },
    read: () => amounts.list(),
  };
  return {
    name: store.name,
    location: store.location,
    lookup: (model, wants) => store.lookup(model, wants),
    put: (...put) => store.put(...put),
    remove: (selection) => {
      const { model, keys, namespace, tag, outcome, createdBefore } = selection;
      const isOfAll = [namespace, tag, outcome, createdBefore].every((value) => value === undefined);
      if (isOfAll) forget(failures, model, keys);
      return store.remove(selection);
    },
    nearest: (sketch, limit, model) => store.nearest(sketch, limit, model),
    list: (selection) => store.list(selection),
    size: () => store.size(),
    close: () => {},
    claims: new ClaimsOfAll(store.claims, clock),
    failures,
    ledger,
  };
}

function forget(failures: Failures, model: string | undefined, keys: readonly Key[] | undefined): void {
  if (failures instanceof FailuresInMemory) failures.forgetAll(model, keys && new Set(keys.map(hexOf)));
}

interface Held {
  readonly holder: string;
  readonly expires: Milliseconds;
}

/** Claims that are first settled among the clients of this process, then with the others that use the store. */
class ClaimsOfAll implements Claims {
  readonly #others: Claims | undefined;
  readonly #clock: Clock;
  readonly #held = new LRUCache<string, Held>({
    max: MOST_CLAIMS,
    maxSize: CLAIMS_LENGTH,
    sizeCalculation: ({ holder }, place) => place.length + holder.length,
  });

  constructor(others: Claims | undefined, clock: Clock) {
    this.#others = others;
    this.#clock = clock;
  }

  async claim(model: string, key: Key, holder: string, duration: Milliseconds): Promise<ClaimReply> {
    refuseLongClaim(duration);
    const place = placeOf(model, key);
    const now = this.#clock.now();
    const before = this.#held.get(place);
    const binds = before !== undefined && before.expires > now && before.expires <= now + LONGEST_BINDING;
    if (binds && before.holder !== holder) return { granted: false, expires: before.expires };
    // Held before the others are asked, so that nobody comes in between.
    const mine = { holder, expires: now + duration };
    this.#held.set(place, mine);
    try {
      const reply = await this.#others?.claim(model, key, holder, duration) ?? { granted: true };
      if (!reply.granted) this.#drop(place, mine);
      return reply;
    } catch (error) {
      this.#drop(place, mine);
      throw error;
    }
  }

  async release(model: string, key: Key, holder: string): Promise<void> {
    const place = placeOf(model, key);
    if (this.#held.peek(place)?.holder === holder) this.#held.delete(place);
    await this.#others?.release(model, key, holder);
  }

  #drop(place: string, held: Held): void {
    if (this.#held.peek(place) === held) this.#held.delete(place);
  }
}
