/** A store that several caches share, as processes share one on disk: with claims, and a ledger of days. */

import type { CacheEvent } from "../../src/cache/ledger/journal.ts";
import { ResponseCache, type ResponseCacheOptions } from "../../src/cache/response_cache.ts";
import type { Milliseconds } from "../../src/runtime/runtime.ts";
import { openMemoryStore } from "../../src/store/memory/memory_store.ts";
import type { ClaimReply, Claims, DailyAmounts, DailyLedger, Key } from "../../src/store/store.ts";
import { ManualClock } from "../store/manual_clock.ts";
import { Provider, sha256, TestStore } from "./support.ts";

/** Claims in memory, which can be made to fail. */
export class SharedClaims implements Claims {
  readonly #clock: ManualClock;
  readonly #held = new Map<string, { holder: string; expires: number }>();
  /** How often one was asked for. */
  asked = 0;
  beforeClaim: () => void = () => {};

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  /** Until when each claim is held that nobody has given up. */
  get expiries(): number[] {
    return [...this.#held.values()].map(({ expires }) => expires);
  }

  async claim(model: string, key: Key, holder: string, duration: Milliseconds): Promise<ClaimReply> {
    this.asked++;
    await Promise.resolve();
    this.beforeClaim();
    const held = this.#held.get(placeOf(model, key));
    if (held !== undefined && held.holder !== holder && held.expires > this.#clock.now()) {
      return { granted: false, expires: held.expires };
    }
    this.#held.set(placeOf(model, key), { holder, expires: this.#clock.now() + duration });
    return { granted: true };
  }

  release(model: string, key: Key, holder: string): void {
    if (this.#held.get(placeOf(model, key))?.holder === holder) this.#held.delete(placeOf(model, key));
  }
}

/** Adds up in memory what happened by model and day. */
export class SharedLedger implements DailyLedger {
  readonly #days = new Map<string, DailyAmounts>();

  add({ model, day, amounts }: DailyAmounts): void {
    const sum = { ...this.#days.get(`${day} ${model}`)?.amounts };
    for (const [name, amount] of Object.entries(amounts)) sum[name] = (sum[name] ?? 0) + amount;
    this.#days.set(`${day} ${model}`, { model, day, amounts: sum });
  }

  read(): DailyAmounts[] {
    return [...this.#days.values()];
  }
}

function placeOf(model: string, key: Key): string {
  return `${model} ${Array.from(key).join()}`;
}

class SharedStore extends TestStore {
  readonly claims: Claims;
  readonly ledger: DailyLedger;

  constructor(inner: ConstructorParameters<typeof TestStore>[0], claims: Claims, ledger: DailyLedger) {
    super(inner);
    this.claims = claims;
    this.ledger = ledger;
  }

  /** The others go on. */
  override close(): void {}
}

/** One process's part of what is shared. */
export interface Sharer {
  readonly cache: ResponseCache;
  readonly store: TestStore;
  readonly provider: Provider;
  readonly events: CacheEvent[];
}

/** What is shared. */
export class SharedMemory {
  readonly clock: ManualClock = new ManualClock();
  readonly claims: SharedClaims = new SharedClaims(this.clock);
  readonly ledger: SharedLedger = new SharedLedger();
  readonly #memory = openMemoryStore({ clock: this.clock, maxBytes: 64 * 1024 * 1024 });

  /** A cache that shares it, as another process would. */
  open(options: Partial<ResponseCacheOptions> = {}): Sharer {
    const { clock } = this;
    const store = new SharedStore(this.#memory, this.claims, this.ledger);
    const events: CacheEvent[] = [];
    const report = (event: CacheEvent): void => void events.push(event);
    const cache = new ResponseCache({ store, clock, sha256, report, ...options });
    return { cache, store, provider: new Provider(), events };
  }
}

/** Lets everything happen that does not wait for the clock. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise<void>((resolve) => new ManualClock().afterTurn(resolve));
}

/** Lets time pass, 10 ms by 10 ms, until `awaited` has settled, however it does; an hour at most. */
export async function passTime<T>(clock: ManualClock, awaited: Promise<T>): Promise<T> {
  let isSettled = false;
  const settle = (): void => void (isSettled = true);
  awaited.then(settle, settle);
  for (let passed = 0; passed < 3_600_000; passed += 10) {
    await settled();
    if (isSettled) break;
    clock.advance(10);
  }
  return await awaited;
}
