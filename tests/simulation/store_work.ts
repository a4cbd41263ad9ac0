/** What the instances of some seeds do: they use the store that the cache keeps its answers in, all in one directory. */

import type { Runtime } from "../../src/runtime/runtime.ts";
import type { CacheError } from "../../src/store/error.ts";
import { LONGEST_CLAIM } from "../../src/store/limits.ts";
import { databaseName } from "../../src/store/sqlite/names.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite_store.ts";
import type { Found, NewEntry, Outcome, RequestRecord, Store } from "../../src/store/store.ts";
import { openDatabase } from "../../src/sqlite/open.ts";
import type { SqlDriver } from "../../src/sqlite/driver.ts";
import { isBusy } from "../../src/sqlite/error.ts";
import { Answers, KEYS } from "./answers.ts";
import { HeldClaims } from "./held_claims.ts";
import { FOLDER } from "./machine.ts";
import { noise } from "./noise.ts";
import type { Action, CheckpointMode, Plan } from "./plan.ts";
import type { Parts, Work } from "./process.ts";
import { modelOf, MODELS, placementOf } from "./store_plan.ts";
import { Violation } from "./violation.ts";

/** More than there are puts in one run. */
const ALL_SAMPLES = 1000;
/** How long a store waits for others, in milliseconds that nobody really waits. */
const LOCK_TIMEOUT = 300;
/** With so few answers a dictionary can be built already. */
const DICTIONARY_FROM = 8;
/** Enough for a dictionary and what is done with it. */
const IDLE_TURNS = 16;
/** How answers ended. */
const OUTCOMES = ["stop", "length"] as const satisfies readonly Outcome[];
/** Codes of a disk that is full or broken. */
const TOLERATED = ["unavailable", "SQLITE_IOERR", "SQLITE_FULL", "SQLITE_CANTOPEN", "EIO", "ENOSPC"];

/** Where the store keeps its databases. */
export function storeDatabases({ sha256 }: Runtime): string[] {
  return MODELS.map((model) => `${FOLDER}/${databaseName(model, sha256)}`);
}

/** What the store has beside its databases. */
export const STORE_FILES: readonly string[] = [`${FOLDER}/room-lock`];

/** A process with a cache's store. */
export class StoreWork implements Work {
  readonly databases: readonly string[];
  readonly #parts: Parts;
  readonly #plan: Plan;
  readonly #answers: Answers;
  readonly #claims: HeldClaims;
  #store: Store | undefined;
  #holder: number | undefined;

  constructor(parts: Parts, plan: Plan) {
    this.#parts = parts;
    this.#plan = plan;
    this.#answers = new Answers(parts.truth);
    this.#claims = new HeldClaims(parts.truth);
    this.databases = storeDatabases(parts.runtime);
  }

  async perform(action: Action): Promise<void> {
    if (action.kind === "reopen") await this.close();
    else if (action.kind === "put") await this.#put(action.keys);
    else if (action.kind === "claim") await this.#claim(action.keys);
    else if (action.kind === "release") await this.#release(action.keys);
    else if (action.kind === "remove") await this.#remove(action.keys);
    else if (action.kind === "lookup") await this.#lookup(action.keys);
    else if (action.kind === "checkpoint") await this.#checkpoint(action.mode);
    else if (action.kind === "size") await (await this.#open()).size();
    else if (action.kind === "idle") {
      for (let turn = 0; turn < IDLE_TURNS; turn++) await this.#parts.runtime.clock.sleep(1);
    }
  }

  async judge(): Promise<void> {
    await this.#lookup(Array.from({ length: KEYS }, (_, key) => key));
    await this.close();
  }

  isTolerable(error: unknown): boolean {
    const { code } = error as { code?: string };
    return code === "locked" || isRefused(error) || this.#plan.rates.fail > 0 && TOLERATED.includes(String(code));
  }

  async close(): Promise<void> {
    const store = this.#store;
    this.#store = undefined;
    await store?.close();
  }

  forget(): void {
    this.#store = undefined;
    this.#holder = undefined;
    this.#answers.abandon(this.#parts.turns.instance);
  }

  async #open(): Promise<Store> {
    return this.#store ??= await openSqliteStore({
      runtime: this.#parts.runtime,
      directory: FOLDER,
      locking: "shared",
      synchronous: this.#plan.synchronous,
      lockTimeout: LOCK_TIMEOUT,
      dictionaryFrom: DICTIONARY_FROM,
      ...(this.#plan.maxBytes !== undefined && { maxBytes: this.#plan.maxBytes }),
      // With room for one, the other has to be closed first.
      maxOpenDatabases: this.#plan.cacheSize < 10 ? 1 : MODELS.length,
    });
  }

  /** Puts an answer under each key, all at once. */
  async #put(keys: readonly number[]): Promise<void> {
    const store = await this.#open();
    await Promise.all(keys.map((key) => this.#putOne(store, key)));
  }

  async #putOne(store: Store, key: number): Promise<void> {
    const { turns } = this.#parts;
    const put = this.#answers.begin(key, turns.instance, this.#plan.maxBytes !== undefined);
    turns.trace?.(`=== put ${put} under key ${key}`);
    try {
      await store.put(modelOf(key), requestOf(key), [entryOf(put)], placementOf(key));
    } catch (error) {
      // What the dead are told counts as little as what they did not hear.
      turns.live();
      turns.trace?.(`=== put ${put}: ${error}`);
      if ((error as CacheError).code === "locked" || isRefused(error)) this.#answers.refuse(put);
      else this.#answers.doubt(put);
      throw error;
    }
    turns.live();
    this.#answers.acknowledge(put);
    turns.trace?.(`=== put ${put} acknowledged`);
  }

  /** Removes the answers to some requests, all or those that ended in one way. */
  async #remove(keys: readonly number[]): Promise<void> {
    const { turns } = this.#parts;
    const store = await this.#open();
    const outcome = keys.length === 1 ? OUTCOMES[keys[0]! % OUTCOMES.length]! : undefined;
    const begun = keys.map((key) => ({ key, puts: this.#answers.beginRemoval(key, turns.instance) }));
    let isDone = false;
    try {
      await store.remove({ keys: keys.map(keyOf), ...(outcome && { outcome }) });
      isDone = true;
    } finally {
      turns.live();
      for (const { key, puts } of begun) {
        const removed = puts.filter((put) => isDone && (outcome === undefined || entryOf(put).outcome === outcome));
        this.#answers.endRemoval(key, turns.instance, removed);
      }
      turns.trace?.(`=== removed keys ${keys.join(", ")}: ${isDone}`);
    }
  }

  /** Claims all of some requests at once. */
  async #claim(keys: readonly number[]): Promise<void> {
    const { turns } = this.#parts;
    const store = await this.#open();
    const holder = this.#holder ??= this.#claims.newHolder();
    await Promise.all(keys.map(async (key) => {
      const { granted } = await store.claims!.claim(modelOf(key), keyOf(key), `${holder}`, LONGEST_CLAIM);
      turns.live();
      turns.trace?.(`=== claim of key ${key} by ${holder}: ${granted}`);
      if (granted) this.#claims.grant(key, holder);
    }));
  }

  async #release(keys: readonly number[]): Promise<void> {
    const store = await this.#open();
    const holder = this.#holder ??= this.#claims.newHolder();
    for (const key of keys) this.#claims.release(key, holder);
    await Promise.all(keys.map((key) => store.claims!.release(modelOf(key), keyOf(key), `${holder}`)));
  }

  async #lookup(keys: readonly number[]): Promise<void> {
    const store = await this.#open();
    for (const model of MODELS) {
      const asked = keys.filter((key) => modelOf(key) === model);
      if (asked.length === 0) continue;
      const moment = this.#answers.now();
      const found = await store.lookup(model, asked.map((key) => ({ key: keyOf(key), samples: ALL_SAMPLES })));
      // What the dead have found, nobody has seen.
      this.#parts.turns.live();
      asked.forEach((key, index) => this.#check(key, found[index]!, moment));
    }
  }

  #check(key: number, { entries, stale, expired, corrupt }: Found, moment: number): void {
    if (stale || expired || corrupt) {
      throw new Violation(`broken: key ${key}, ${JSON.stringify({ stale, expired, corrupt })}`);
    }
    const puts = entries.map((entry, index) => {
      const put = entry.promptTokens ?? 0;
      const expected = entryOf(put).body;
      const bytes = entry.bytes();
      if (
        entry.sample !== index || bytes.length !== expected.length || !bytes.every((byte, at) => byte === expected[at])
      ) {
        throw new Violation(`wrong: sample ${entry.sample} of key ${key} is not what put ${put} put there`);
      }
      return put;
    });
    this.#parts.turns.trace?.(`=== under key ${key} lie puts ${puts.join(", ")}`);
    this.#answers.check(key, puts, moment);
  }

  /** What the store leaves to a thread of its own: another connection of the same process. */
  async #checkpoint(mode: CheckpointMode): Promise<void> {
    const { disk, runtime } = this.#parts;
    for (const path of this.databases) {
      if (disk.find(path) === -1) continue;
      const options = { create: false, locking: "shared", synchronous: "normal", lockTimeout: 0 } as const;
      try {
        const database = await openDatabase({ ...options, runtime, path, schema: refuseNew });
        try {
          database.driver.exec(`PRAGMA wal_checkpoint(${mode})`);
        } finally {
          database.close();
        }
      } catch (error) {
        if (!isBusy(error) && !(error instanceof NothingInIt)) throw error;
      }
    }
  }
}

/** Whether a put was not even begun, since there is no room for it. */
function isRefused(error: unknown): boolean {
  const { code, message } = error as CacheError;
  return code === "unavailable" && message.includes("maxBytes");
}

class NothingInIt extends Error {}

/** A database that somebody is just making is theirs to set up. */
function refuseNew(driver: SqlDriver): void {
  const statement = driver.prepare("SELECT count(*) FROM sqlite_schema");
  try {
    if (statement.get()?.[0] === 0) throw new NothingInIt();
  } finally {
    statement.finalize();
  }
}

function keyOf(key: number): Uint8Array {
  return noise(key, 32);
}

function requestOf(key: number): RequestRecord {
  return {
    key: keyOf(key),
    namespace: "",
    provider: "simulated",
    endpoint: "/",
    identity: null,
    body: noise(-key, 40),
    sketch: noise(key, 16),
  };
}

/** The answer that only this put puts. */
function entryOf(put: number): NewEntry {
  // What they have in common changes, and a dictionary with it.
  const common = noise(-(put >> 4), put % 8 === 0 ? 0 : 500);
  const length = put % 8 === 0 ? 12_000 : 50 + Math.imul(put, 0x9e3779b1) % 700;
  return {
    mediaType: "application/json",
    outcome: OUTCOMES[put % OUTCOMES.length]!,
    modelAsked: "simulated",
    modelAnswered: null,
    fingerprint: null,
    promptTokens: put,
    completionTokens: null,
    costMicrodollars: null,
    latency: null,
    created: put,
    expires: null,
    body: new Uint8Array([...common, ...noise(put, Math.abs(length))]),
  };
}
