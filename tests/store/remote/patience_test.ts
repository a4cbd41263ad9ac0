/** A store whose server may go away and come back at once, as where another takes its place: calls wait for it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CacheError } from "../../../src/store/error.ts";
import { openMemoryStore } from "../../../src/store/memory/memory_store.ts";
import { openStoreOver } from "../../../src/store/remote/remote_store.ts";
import { openStoreService } from "../../../src/store/remote/service.ts";
import { settingsOf } from "../../../src/store/remote/options.ts";
import type { Store } from "../../../src/store/store.ts";
import { entryOf, found, keyOf, MODEL, put, requestOf } from "../redis/fixture.ts";
import { machine, PATIENCE } from "./fixture.ts";

const { clock } = machine;

/** A store, what is behind it, and a switch for what lies between. */
async function joined(patience: number, options: { readonly below?: Store; readonly tellsWhy?: boolean } = {}) {
  const below = options.below ?? openMemoryStore({ clock, maxBytes: 1024 * 1024 });
  const service = await openStoreService({
    store: below,
    clock,
    report: () => {},
    tellsWhy: options.tellsWhy ?? false,
  });
  const line = { isUp: true, loses: 0, tries: 0 };
  const fetch = async (_url: string, { body }: RequestInit): Promise<Response> => {
    line.tries++;
    if (!line.isUp) throw new Error("it has gone");
    const answer = await service.answer(undefined, body as Uint8Array);
    if (line.loses-- > 0) throw new Error("it has gone without a word");
    return new Response(answer);
  };
  const settings = { ...settingsOf({ runtime: machine, timeout: PATIENCE, fetch }), name: "sqlite", location: "there" };
  const store = await openStoreOver({ ...settings, patience, flushTimeout: 0 }, clock);
  return { below, store, line };
}

/** Waits until the server was tried in vain. */
async function untilTried(line: { readonly tries: number }): Promise<void> {
  const { tries } = line;
  while (line.tries < tries + 2) await clock.sleep(1);
}

describe("a remote store with patience", () => {
  it("is called what it is said to be", async () => {
    const { store } = await joined(PATIENCE);
    assert.deepEqual([store.name, store.location], ["sqlite", "there"]);
    await store.close();
    await assert.rejects(async () => await store.size(), { code: "closed", message: /at there: the store was closed/ });
  });

  it("has lookups wait for the server, and find what is there", async () => {
    const { store, line } = await joined(PATIENCE);
    await put(store, 1, "a");
    line.isUp = false;
    await assert.rejects(async () => await found(store, 1), { code: "unavailable" }, "it has gone while it was asked");
    const waiting = [found(store, 1), found(store, 2)];
    await untilTried(line);
    line.isUp = true;
    const [one, two] = await Promise.all(waiting);
    assert.equal(one!.entries.length, 1);
    assert.equal(two!.entries.length, 0);
    await store.close();
  });

  it("acknowledges no put before it is stored, and stores it once", async () => {
    const { store, below, line } = await joined(PATIENCE);
    [line.isUp, line.loses] = [true, 1];
    let isAcknowledged = false;
    const putting = put(store, 1, "a").then(() => isAcknowledged = true);
    while (line.loses > 0) await clock.sleep(1);
    line.isUp = false;
    await untilTried(line);
    assert.equal(isAcknowledged, false);
    line.isUp = true;
    await putting;
    assert.equal((await found(below, 1)).entries.length, 1);
    await store.close();
  });

  it("gives up waiting: lookups fail at once from then on, and puts wait in memory", async () => {
    const { store, below, line } = await joined(100);
    line.isUp = false;
    const isAway = (error: unknown): boolean => error instanceof CacheError && error.code === "unavailable";
    await assert.rejects(async () => await found(store, 1), isAway);
    const kept = put(store, 1, "a");
    await assert.rejects(async () => await found(store, 1), isAway);
    await kept;
    await put(store, 2, "b");
    assert.equal((await below.size()).entries, 0);
    line.isUp = true;
    while ((await below.size()).entries < 2) await clock.sleep(10);
    await store.close();
  });

  it("waits with removals until what was put before is there", async () => {
    const { store, below, line } = await joined(PATIENCE);
    line.isUp = false;
    const putting = put(store, 1, "a");
    await untilTried(line);
    const removing = store.remove({ model: MODEL, keys: [keyOf(1)] });
    line.isUp = true;
    await putting;
    assert.equal((await removing).entries, 1);
    assert.equal((await below.size()).entries, 0);
    await store.close();
  });

  it("has nobody wait for a store that is closed", async () => {
    const { store, line } = await joined(PATIENCE);
    line.isUp = false;
    await assert.rejects(async () => await found(store, 1));
    const waiting = Promise.all([found(store, 1)]);
    const putting = put(store, 1, "a");
    const settled = Promise.allSettled([waiting, putting]);
    await store.close();
    assert.deepEqual((await settled).map(({ status }) => status), ["rejected", "rejected"]);
  });
});

describe("a service that tells why", () => {
  it("says what its store said", async () => {
    const below = openMemoryStore({ clock, maxBytes: 1024 });
    const broken = { ...below, name: "x", location: "y", claims: undefined, failures: undefined, ledger: undefined };
    const failing = {
      ...broken,
      lookup: () => Promise.reject(new CacheError("corrupt", "page 7 is torn")),
      put: () => Promise.reject(new Error("the disk is full")),
    } as unknown as Store;
    const telling = await joined(0, { below: failing, tellsWhy: true });
    const look = async (store: Store): Promise<unknown> => await store.lookup(MODEL, [{ key: keyOf(1), samples: 1 }]);
    await assert.rejects(() => look(telling.store), { code: "corrupt", message: /at there: page 7 is torn$/ });
    await assert.rejects(async () => await telling.store.put(MODEL, requestOf(1), [entryOf("a")], "append"), {
      code: "unavailable",
      message: "Cannot store an answer at there: the disk is full",
    });
    await telling.store.close();
    const silent = await joined(0, { below: failing });
    await assert.rejects(() => look(silent.store), { code: "corrupt", message: /see the server's log/ });
    await silent.store.close();
  });
});
