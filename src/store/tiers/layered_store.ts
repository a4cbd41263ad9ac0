/**
 * Stores behind one another: near and quick first, shared most widely last. A lookup goes down until it is satisfied, and
 * what it finds is copied up; a put goes to all at once. A tier that fails, or is late, is passed over and reported: only
 * when none answers has the call failed.
 *
 * @module
 */

import { messageOf } from "../../runtime/message.ts";
import type { Clock } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import { refuseOddSketch } from "../limits.ts";
import { NearestSketches } from "../nearest.ts";
import type {
  Claims,
  DailyLedger,
  Failures,
  Found,
  Key,
  ListedRequest,
  MaybePromise,
  NewEntry,
  Placement,
  PutOptions,
  Removed,
  RequestRecord,
  Selection,
  Store,
  StoreFault,
  StoreSize,
  Want,
} from "../store.ts";
import { Findings, type VerifyOptions, type VerifyReport, verifyStore } from "../verify.ts";
import { BackFill } from "./back_fill.ts";
import { BACK_FILLED, type CopyUp, copyUp } from "./copy_up.ts";
import type { Stamp } from "./copies.ts";
import { LayeredClaims } from "./layered_claims.ts";
import { LayeredFailures } from "./layered_failures.ts";
import { Descent } from "./descent.ts";
import { placeOf } from "../place.ts";
import { Readings } from "./readings.ts";
import { noneAnswered } from "./refusals.ts";
import type { Tier } from "./tier.ts";
import { listed, nearestOf } from "./union.ts";

/** What goes over all that is stored may take so many times the deadline of a lookup. */
const PATIENCE = 30;

/** Several stores as one. */
export class LayeredStore implements Store {
  readonly name = "tiered";
  readonly location: string;
  readonly claims?: Claims;
  readonly failures?: Failures;
  readonly ledger?: DailyLedger;
  /** Of what the first tier holds; what depends on others is marked ({@link ./borrowed.ts}). */
  readonly stamp?: (model: string, key: Key) => Stamp;
  readonly #tiers: readonly Tier[];
  /** Whose size and ledger are the tiers': the first where something outlives the process. */
  readonly #durable: Tier;
  readonly #clock: Clock;
  readonly #backFill: BackFill;
  readonly #readings = new Readings();
  /** What was begun, and has to end before the tiers are closed. */
  readonly #underWay = new Set<Promise<unknown>>();
  /** Removals under way: nothing is copied meanwhile. */
  #removals = 0;
  #listener: (fault: StoreFault) => void = () => {};
  #closing: Promise<void> | undefined;
  /** Nothing is under way any more, and the tiers are being closed. */
  #isOver = false;

  /** `tiers` are one or more. */
  constructor(tiers: readonly Tier[], clock: Clock) {
    this.#tiers = tiers;
    this.#clock = clock;
    this.#backFill = new BackFill(clock);
    const stores = tiers.map(({ store }) => store);
    this.location = stores.map(({ name, location }) => `${name} (${location})`).join(", ");
    const refuseClosed = (tried: string): void => this.#refuseClosed(tried);
    const claiming = tiers.filter(({ store }) => store.claims !== undefined);
    if (claiming.length > 0) this.claims = new LayeredClaims(claiming.toReversed(), refuseClosed);
    const remembering = tiers.filter(({ store }) => store.failures !== undefined);
    if (remembering.length > 0) {
      const ends = [...new Set([remembering[0]!, remembering.at(-1)!])];
      this.failures = new LayeredFailures(ends, refuseClosed);
    }
    this.#durable = tiers.find(({ store }) => store.ledger !== undefined) ?? tiers[0]!;
    // Only one of them: amounts that are written down twice would be counted twice.
    const { ledger } = this.#durable.store;
    if (ledger !== undefined) this.ledger = ledger;
    const [first] = stores;
    if (first!.stamp !== undefined) this.stamp = (model, key) => first!.stamp!(model, key);
    for (const store of stores) store.onFault?.(({ type, model, error }) => this.#report(type, model, error));
  }

  lookup(model: string, wants: readonly Want[]): MaybePromise<readonly Found[]> {
    this.#refuseClosed("look up answers");
    const found = this.#find(model, wants, (error) => this.#report("lookup_failed", model, error));
    return found instanceof Promise ? this.#during(found) : found;
  }

  #find(
    model: string,
    wants: readonly Want[],
    report: (error: unknown) => void,
  ): MaybePromise<readonly Found[]> {
    const descent = new Descent(model, wants, this.#tiers, {
      clock: this.#clock,
      readings: this.#readings,
      report,
      keepCopy: (copy) => this.#keepCopy(copy),
    });
    return descent.find();
  }

  async put(
    model: string,
    request: RequestRecord,
    entries: readonly NewEntry[],
    placement: Placement,
    { tags = [] }: PutOptions = {},
  ): Promise<void> {
    this.#refuseClosed("store an answer");
    refuseOddSketch(request);
    const added = entries.map((entry): NewEntry => ({ ...entry, body: entry.body.slice() }));
    await this.#during(this.#put(model, copyOf(request), added, placement, { tags: [...tags] }));
  }

  async #put(
    model: string,
    own: RequestRecord,
    added: readonly NewEntry[],
    placement: Placement,
    options: PutOptions,
  ): Promise<void> {
    const place = placeOf(model, own.key);
    if (placement !== "replace_all") await this.#align(model, own);
    await this.#backFill.inTurn(place, async () => {
      // Whoever does not take it has what it replaces, until he does.
      const missed = {};
      const taken = (tier: Tier): void => {
        if (tier.outdated.get(place) === missed) tier.outdated.delete(place);
      };
      const asked = new Set<Tier>();
      try {
        await this.#onAll(async (tier) => {
          await tier.ask((store) => {
            asked.add(tier);
            return store.put(model, own, added, placement, options);
          }, { tried: "store an answer", model, late: (put) => void put.then(() => taken(tier), () => {}) });
          if (placement === "replace_all") tier.outdated.delete(place);
        }, (error, tier) => {
          if (placement !== "append") tier.outdated.set(place, missed);
          if (tier.store.isReadOnly) return;
          if (asked.has(tier)) return this.#report("write_failed", model, error);
          tier.offer((store) => store.put(model, own, added, placement, options), error).then(
            () => taken(tier),
            (error) => this.#report("write_failed", model, error),
          );
        });
      } finally {
        this.#readings.void(place);
      }
    });
  }

  /** Removes from all tiers, and says of the one that had most how much that was. */
  async remove(selection: Selection): Promise<Removed> {
    this.#refuseClosed("remove entries");
    return await this.#during(this.#remove(selection));
  }

  async #remove(selection: Selection): Promise<Removed> {
    this.#removals++;
    this.#readings.voidAll();
    try {
      await this.#backFill.idle();
      const failed: unknown[] = [];
      let most: Removed = { entries: 0, storedBytes: 0 };
      // From below: who copies up meanwhile, in another process, looks once more whether it is still there.
      for (const tier of this.#tiers.toReversed()) {
        try {
          const removed = await tier.ask(async (store) => {
            const removed = await store.remove(selection);
            if (selection.tag !== undefined) await store.remove({ ...selection, tag: BACK_FILLED });
            return removed;
          }, { tried: "remove entries", patience: PATIENCE });
          if (removed.entries >= most.entries) most = removed;
        } catch (error) {
          failed.push(error);
        }
      }
      // What was to be gone must not quietly stay.
      if (failed.length > 0) throw noneAnswered(failed);
      return most;
    } finally {
      this.#readings.voidAll();
      this.#removals--;
    }
  }

  async nearest(sketch: Uint8Array, limit: number, model?: string): Promise<readonly RequestRecord[]> {
    this.#refuseClosed("look for requests");
    const near = new NearestSketches(sketch, limit);
    const found = await this.#onAll(
      async (tier) => await tier.ask((store) => store.nearest(sketch, limit, model), { tried: "look for requests" }),
      () => {},
    );
    return nearestOf(found, near);
  }

  async *list(selection?: Pick<Selection, "model" | "namespace">): AsyncIterable<ListedRequest> {
    this.#refuseClosed("list requests");
    yield* listed(this.#tiers, { tried: "list requests", patience: PATIENCE }, selection);
  }

  /** Of all tiers, one after the other, as long as it takes; of one that cannot be read it says so. */
  async verify(options: VerifyOptions): Promise<VerifyReport> {
    this.#refuseClosed("verify");
    const findings = new Findings(this, options);
    for (const { store } of this.#tiers) {
      try {
        findings.join(await verifyStore(store, options));
      } catch (error) {
        options.signal?.throwIfAborted();
        const what = `${store.name} in ${store.location}: ${messageOf(error)}`;
        findings.add({ kind: "skipped", model: null, key: null, sample: null, what });
      }
    }
    return findings.report;
  }

  /** Of the first tier that keeps its answers, or of another if it does not say: what all of them hold, none knows. */
  async size(): Promise<StoreSize> {
    this.#refuseClosed("measure");
    const errors: unknown[] = [];
    for (const tier of new Set([this.#durable, ...this.#tiers])) {
      try {
        return await tier.ask((store) => store.size(), { tried: "measure", patience: PATIENCE });
      } catch (error) {
        errors.push(error);
      }
    }
    throw noneAnswered(errors);
  }

  onFault(listener: (fault: StoreFault) => void): void {
    this.#listener = listener;
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    await this.#backFill.idle();
    this.#isOver = true;
    const closed = await Promise.allSettled(this.#tiers.map((tier) => tier.close()));
    for (const result of closed) if (result.status === "rejected") throw result.reason;
  }

  /**
   * Has the tiers above know what the tiers below hold of a request, before anything is put to it: else what is appended
   * would come first here, and last on other machines.
   */
  async #align(model: string, request: RequestRecord): Promise<void> {
    try {
      await this.#find(model, [{ key: request.key, samples: 1, record: () => request }], () => {});
    } catch {
      // The put will say what is wrong.
    }
  }

  #keepCopy(copy: CopyUp): Promise<void> {
    // An answer may come so late that nobody can keep it any more.
    if (this.#isOver || copy.to.store.isReadOnly) return Promise.resolve();
    const mayBeKept = (): boolean => this.#removals === 0 && copy.mayBeKept();
    const bytes = copy.below.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
    return this.#backFill.copy(copy.place, bytes, async () => {
      try {
        if (mayBeKept()) await copyUp({ ...copy, mayBeKept }, this.#clock);
      } catch (error) {
        this.#report("write_failed", copy.model, error);
      }
    });
  }

  /**
   * Has all tiers do something at once.
   *
   * @param failed hears of those that failed, where others did not.
   * @throws CacheError when none did it.
   */
  async #onAll<T>(work: (tier: Tier) => Promise<T>, failed: (error: unknown, tier: Tier) => void): Promise<T[]> {
    const results = await Promise.allSettled(this.#tiers.map(work));
    const errors = results.flatMap((result) => result.status === "rejected" ? [result.reason] : []);
    if (errors.length === results.length) throw noneAnswered(errors);
    for (const [level, result] of results.entries()) {
      if (result.status === "rejected") failed(result.reason, this.#tiers[level]!);
    }
    return results.flatMap((result) => result.status === "fulfilled" ? [result.value] : []);
  }

  #during<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work);
    const ended = (): void => void this.#underWay.delete(work);
    work.then(ended, ended);
    return work;
  }

  #report(type: StoreFault["type"], model: string, error: unknown): void {
    const { message } = error as Error;
    const fault = error instanceof CacheError ? error : new CacheError("unavailable", message, { cause: error });
    try {
      this.#listener({ type, model, error: fault });
    } catch {
      // A listener that throws must not cost an answer.
    }
  }

  #refuseClosed(tried: string): void {
    if (this.#closing === undefined) return;
    throw new CacheError("closed", `Cannot ${tried} in the tiers ${this.location}: they were closed`);
  }
}

/** A request that nobody else changes. */
function copyOf(request: RequestRecord): RequestRecord {
  const { key, body, sketch } = request;
  return { ...request, key: key.slice(), body: body.slice(), sketch: sketch.slice() };
}
