/**
 * The store in Redis or Valkey, alone or as a Cluster, that programs on several machines share. An outage is a miss and
 * never an error of the cache: lookups fail at once, and answers wait in memory until the server is back.
 *
 * @module
 */

import { loadChecksum } from "../../codec/checksum.ts";
import { loadZstd } from "../../codec/zstd.ts";
import { hexOf } from "../../runtime/hex.ts";
import type { Clock } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import { refuseOddSketch } from "../limits.ts";
import type { RowTools } from "../sqlite/entry_row.ts";
import type {
  Claims,
  DailyLedger,
  Failures,
  Found,
  ListedRequest,
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
import { Findings, type VerifyOptions, type VerifyReport } from "../verify.ts";
import { RedisClaims } from "./claims.ts";
import { Contents } from "./contents.ts";
import type { Argument } from "./driver.ts";
import { RedisFailures } from "./failures.ts";
import { Keys } from "./keys.ts";
import { RedisLedger } from "./ledger.ts";
import { Link } from "./link.ts";
import { Lookups } from "./lookups.ts";
import type { RedisStoreOptions, Settings } from "./options.ts";
import { settingsOf } from "./options.ts";
import type { Scripts } from "./scripts.ts";
import { loadScripts } from "./scripts.ts";
import { answerElement, requestElement } from "./values.ts";
import type { Write } from "./write_queue.ts";
import { WriteQueue } from "./write_queue.ts";

export type { RedisConnection, RedisStoreOptions, RedisTls } from "./options.ts";

/** So many keys are asked for in one go. */
const MOST_WANTS = 256;
/** What a request's key has, of which Redis's is named after. */
const KEY_BYTES = 32;

/**
 * Opens a store in Redis 6 or newer, or Valkey. A server that is away is no error: lookups fail, answers wait, and it is
 * tried again until it is there.
 *
 * @throws TypeError, RangeError when an option is wrong.
 * @throws CacheError `unavailable` when the server refuses the user or the password.
 */
export async function openRedisStore(options: RedisStoreOptions): Promise<Store> {
  const settings = settingsOf(options);
  const { runtime } = options;
  const [zstd, checksum, scripts] = await Promise.all([loadZstd(), loadChecksum(), loadScripts()]);
  const sha256 = (bytes: Uint8Array): Uint8Array => runtime.sha256(bytes);
  const keys = new Keys(settings.keyPrefix, sha256);
  const link = new Link(settings, runtime.clock, keys);
  await link.open();
  return new RedisStore(settings, runtime.clock, link, keys, { zstd, checksum, sha256 }, scripts);
}

class RedisStore implements Store {
  readonly name = "redis";
  readonly location: string;
  readonly claims: Claims;
  readonly failures: Failures;
  readonly ledger: DailyLedger;
  readonly #settings: Settings;
  readonly #clock: Clock;
  readonly #link: Link;
  readonly #keys: Keys;
  readonly #tools: RowTools;
  readonly #lookups: Lookups;
  readonly #writes: WriteQueue;
  readonly #contents: Contents;
  readonly #ledger: RedisLedger;
  #closing: Promise<void> | undefined;

  constructor(settings: Settings, clock: Clock, link: Link, keys: Keys, tools: RowTools, scripts: Scripts) {
    this.location = settings.location;
    this.#settings = settings;
    this.#clock = clock;
    this.#link = link;
    this.#keys = keys;
    this.#tools = tools;
    this.#lookups = new Lookups(link, clock, keys, tools);
    this.#writes = new WriteQueue(link, clock, scripts.put, settings.queueBytes);
    this.#contents = new Contents(link, keys, tools, scripts.remove);
    this.claims = new RedisClaims(link, keys, scripts);
    this.failures = new RedisFailures(link, keys, scripts.fail);
    this.ledger = this.#ledger = new RedisLedger(link, clock, keys, scripts.post);
    link.onUp = () => void this.#writes.flush();
  }

  onFault(listener: (fault: StoreFault) => void): void {
    this.#writes.onFault = listener;
  }

  async lookup(model: string, wants: readonly Want[]): Promise<readonly Found[]> {
    this.#assertOpen("look up answers");
    const found: Found[] = [];
    for (let first = 0; first < wants.length; first += MOST_WANTS) {
      found.push(...await this.#lookups.find(model, wants.slice(first, first + MOST_WANTS)));
    }
    return found;
  }

  async put(
    model: string,
    request: RequestRecord,
    entries: readonly NewEntry[],
    placement: Placement,
    { tags = [] }: PutOptions = {},
  ): Promise<void> {
    this.#assertOpen("store an answer");
    refuseOddSketch(request);
    const { keepExpired } = this.#settings;
    const route = this.#keys.route(model);
    const key = this.#keys.of(route, "e", hexOf(request.key));
    const answers = entries.map((entry) => answerElement(model, request.key, entry, this.#tools));
    const record = requestElement(request, this.#clock.now(), this.#tools);
    const keep = keepExpired === Infinity ? "for ever" : String(keepExpired);
    const named: readonly Argument[] = [request.sketch.slice(), model, request.namespace, record];
    const broken = this.#lookups.brokenAt(key);
    const lists = [[...tags], broken, answers].flatMap((list) => [String(list.length), ...list]);
    const bytes = 1024 + record.length + answers.reduce((sum, { length }) => sum + length, 0);
    await this.#writes.write({
      model,
      route,
      key,
      bytes,
      args: (lateness) => [placement, String(this.#clock.now()), keep, lateness, ...named, ...lists],
    });
    this.#lookups.forgetBroken(key);
  }

  async remove(selection: Selection): Promise<Removed> {
    this.#assertOpen("remove answers");
    const copy = { ...selection, ...(selection.keys && { keys: selection.keys.map((key) => key.slice()) }) };
    const names = copy.keys && new Set(copy.keys.map(hexOf));
    const matters = ({ model, key }: Write): boolean =>
      (copy.model === undefined || copy.model === model) && (!names || names.has(key.slice(-2 * KEY_BYTES)));
    await this.#writes.settle("remove answers", matters, this.#settings.commandTimeout);
    return await this.#contents.remove(copy);
  }

  async nearest(sketch: Uint8Array, limit: number, model?: string): Promise<readonly RequestRecord[]> {
    this.#assertOpen("look for requests");
    return await this.#contents.nearest(sketch.slice(), limit, model);
  }

  async *list(selection: Pick<Selection, "model" | "namespace"> = {}): AsyncGenerator<ListedRequest> {
    this.#assertOpen("list requests");
    yield* this.#contents.list(selection);
  }

  async verify(options: VerifyOptions): Promise<VerifyReport> {
    this.#assertOpen("verify what is stored");
    const findings = new Findings(this, options);
    await this.#contents.verify(options, findings);
    return findings.report;
  }

  async size(): Promise<StoreSize> {
    this.#assertOpen("measure the store");
    return await this.#contents.size();
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    await this.#writes.close(this.#settings.flushTimeout);
    await this.#ledger.close();
    this.#link.close();
  }

  #assertOpen(tried: string): void {
    if (this.#closing) throw new CacheError("closed", `Cannot ${tried} in Redis: the store was closed`);
  }
}
