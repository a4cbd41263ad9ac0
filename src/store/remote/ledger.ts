/**
 * The ledger of a remote store: what was counted goes to the server a second after it came about, and at the end. Each
 * posting has an id, so that one of which nobody knows whether it arrived can be sent again.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import { AmountsByDay } from "../sqlite/amounts_by_day.ts";
import type { DailyAmounts, DailyLedger } from "../store.ts";
import { ByteWriter } from "./bytes.ts";
import { Call } from "./calls.ts";
import type { Link } from "./link.ts";
import { readDaily, writeDaily } from "./values.ts";
import { newId } from "./new_id.ts";

/** A model has some twenty a day. */
const MOST_WAITING = 16_384;
const MOST_TOGETHER = 1000;
const DELAY: Milliseconds = 1000;

/** The ledger of a store. */
export class RemoteLedger implements DailyLedger {
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #waiting = new AmountsByDay(MOST_WAITING);
  readonly #end = new AbortController();
  /** What was sent, and may not have arrived. */
  #posting: Uint8Array | undefined;
  #scheduled = false;
  #underWay: Promise<void> = Promise.resolve();

  constructor(link: Link, clock: Clock) {
    this.#link = link;
    this.#clock = clock;
  }

  add({ model, day, amounts }: DailyAmounts): void {
    if (this.#end.signal.aborted) return;
    for (const [name, amount] of Object.entries(amounts)) this.#waiting.add(model, { day, name, amount });
    this.#schedule();
  }

  async read(): Promise<readonly DailyAmounts[]> {
    const tried = "read the ledger";
    if (this.#end.signal.aborted) throw new CacheError("closed", `Cannot ${tried}: the store was closed`);
    await this.#post();
    const reader = await this.#link.longCall(tried, new ByteWriter().byte(Call.READ_AMOUNTS).done());
    return reader.list(() => readDaily(reader));
  }

  /** Ends, after a last attempt. */
  async close(): Promise<void> {
    this.#end.abort();
    await this.#post();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#clock.sleep(DELAY, { signal: this.#end.signal, background: true }).then(async () => {
      this.#scheduled = false;
      await this.#post();
    }).catch(() => {});
  }

  /** Sends what waits. What cannot be sent waits on. Never rejects. */
  #post(): Promise<void> {
    return this.#underWay = this.#underWay.then(() => this.#postAll());
  }

  async #postAll(): Promise<void> {
    for (;;) {
      const posting = this.#posting ??= this.#next();
      if (posting === undefined) return;
      try {
        await this.#link.call("add to the ledger", posting);
      } catch (error) {
        // What is refused for good would be refused again.
        if (error instanceof RangeError) this.#posting = undefined;
        if (!this.#end.signal.aborted) this.#schedule();
        return;
      }
      this.#posting = undefined;
    }
  }

  #next(): Uint8Array | undefined {
    const [model] = this.#waiting.models;
    if (model === undefined) return undefined;
    const days = new Map<string, [string, number][]>();
    for (const { day, name, amount } of this.#waiting.take(model, MOST_TOGETHER)) {
      days.set(day, [...days.get(day) ?? [], [name, amount]]);
    }
    const writer = new ByteWriter().byte(Call.ADD_AMOUNTS).blob(newId());
    return writer.list([...days], ([day, amounts]) => {
      writeDaily(writer, { model, day, amounts: Object.fromEntries(amounts) });
    }).done();
  }
}
