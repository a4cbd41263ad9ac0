/** The server's end of the wire answers whatever comes, and stays whole. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadChecksum } from "../../../src/codec/checksum.ts";
import { openMemoryStore } from "../../../src/store/memory/memory_store.ts";
import { CacheError } from "../../../src/store/error.ts";
import { Lateness, LATENESS_AT } from "../../../src/store/remote/calls.ts";
import { byPlace, type Frame, MEDIA_TYPE, readMessage, writeMessage } from "../../../src/store/remote/message.ts";
import { openRemoteStore } from "../../../src/store/remote/remote_store.ts";
import { openStoreService, type StoreService } from "../../../src/store/remote/service.ts";
import { openSqliteStore } from "../../../src/store/sqlite/sqlite_store.ts";
import type { ListedRequest, Store } from "../../../src/store/store.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { entryOf, keyOf, MODEL, put, requestOf, texts } from "../redis/fixture.ts";
import { machine, PATIENCE } from "./fixture.ts";

const checksum = await loadChecksum();
const { clock } = machine;

/** A store at a service, without a server between; what it sends is noted. */
async function joined(
  service: StoreService,
  owner?: string,
): Promise<{ store: Store; calls: Uint8Array[]; lists: Uint8Array[] }> {
  const [calls, lists]: [Uint8Array[], Uint8Array[]] = [[], []];
  const fetch = async (url: string, { body }: RequestInit): Promise<Response> => {
    const isList = url.endsWith("/list");
    (isList ? lists : calls).push(body as Uint8Array);
    const reply = isList ? service.list(owner, body as Uint8Array) : await service.answer(owner, body as Uint8Array);
    return new Response(reply, { headers: { "Content-Type": MEDIA_TYPE } });
  };
  return { store: await openRemoteStore({ runtime: machine, timeout: PATIENCE, fetch }), calls, lists };
}

const report = (): void => {};

/** A store in memory, as an object whose methods can be taken out. */
function openMemory(): Store {
  const store = openMemoryStore({ clock, maxBytes: 1e9 });
  return {
    name: store.name,
    location: store.location,
    lookup: (...asked) => store.lookup(...asked),
    put: (...given) => store.put(...given),
    remove: (selection) => store.remove(selection),
    nearest: (...asked) => store.nearest(...asked),
    list: (selection) => store.list(selection),
    size: () => store.size(),
    close: () => store.close(),
  };
}

/** Makes every call there is. */
async function callAll(store: Store): Promise<void> {
  await put(store, 1, "a");
  await texts(store, 1);
  await store.nearest(new Uint8Array(16), 3);
  await store.claims!.claim(MODEL, keyOf(1), "me", 1000);
  await store.claims!.release(MODEL, keyOf(1), "me");
  await store.failures!.record(MODEL, keyOf(1), { last: 1, expires: null, error: Uint8Array.of(1) });
  await store.failures!.last(MODEL, keyOf(1));
  store.ledger!.add({ model: MODEL, day: "2026-11-22", amounts: { hits: 1 } });
  await store.ledger!.read();
  await store.size();
  await Array.fromAsync(store.list({ model: MODEL }));
  await store.remove({ keys: [keyOf(9)], tag: "none", createdBefore: 1 });
}

/** Pseudo-random numbers below a bound: Marsaglia's xorshift. */
function numbers(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

describe("a service", () => {
  const stores: Record<string, () => Promise<Store>> = {
    memory: () => Promise.resolve(openMemoryStore({ clock, maxBytes: 1e9 })),
    sqlite: async () => {
      const directory = await temporaryFolder();
      return await openSqliteStore({ runtime: machine, directory, keepExpired: 0, locking: "exclusive" });
    },
  };
  for (const [name, open] of Object.entries(stores)) {
    it(`answers calls that make no sense, and keeps what it has (${name})`, async () => {
      const below = await open();
      const service = await openStoreService({ store: below, clock, report: () => {} });
      const { store, calls, lists } = await joined(service);
      await callAll(store);
      const { store: safe } = await joined(service, "safe");
      await put(safe, 1, "safe");
      const payloads = [...calls, ...lists].flatMap((message) =>
        readMessage(message, byPlace, checksum).map(({ payload }) => payload)
      );
      const random = numbers(20261122);
      for (let round = 0; round < 1500; round++) {
        const payload = payloads[random(payloads.length)]!.slice(0, random(4) === 0 ? random(200) : undefined);
        for (let change = random(4); change >= 0 && payload.length > 0; change--) {
          payload[random(payload.length)] = random(3) === 0 ? 255 : random(256);
        }
        const { bytes, sums } = writeMessage([payload], byPlace, checksum);
        const [reply] = readMessage(await service.answer(undefined, bytes), () => sums[0]!, checksum);
        assert.ok(reply!.isIntact && reply!.payload[0]! <= 2, `a reply of the kind ${reply!.payload[0]}`);
        try {
          for await (const page of service.list(undefined, bytes)) assert.ok(page.length > 0);
        } catch (error) {
          assert.ok(error instanceof TypeError, String(error));
        }
      }
      assert.deepEqual(await texts(safe, 1), ["safe"]);
      await Promise.all([store.close(), safe.close()]);
      await below.close();
    });
  }

  it("has a put that comes late replace nothing newer that is being stored meanwhile", async () => {
    const late = { ...entryOf("newer"), created: 2000 };
    const early = { ...entryOf("older"), created: 1000 };
    for (const isFirst of [true, false]) {
      const below = await stores.sqlite!();
      const { store: other, calls } = await joined(await openStoreService({ store: openMemory(), clock, report }));
      await other.put(MODEL, requestOf(1), [early], "replace_all");
      await other.put(MODEL, requestOf(1), [late], "replace_all");
      const [older, newer] = calls.slice(-2).map((call) => readMessage(call, byPlace, checksum)[0]!.payload);
      older![LATENESS_AT] = Lateness.AGAIN;
      const service = await openStoreService({ store: below, clock, report });
      await service.answer(
        undefined,
        writeMessage(isFirst ? [older!, newer!] : [newer!, older!], byPlace, checksum).bytes,
      );
      const { store } = await joined(service);
      assert.deepEqual(await texts(store, 1), isFirst ? ["newer"] : ["newer", "older"]);
      await Promise.all([store.close(), other.close()]);
      await below.close();
    }
  });

  it("looks up so many requests in one call, and has the client ask again for the others", async () => {
    const below = openMemory();
    const { store: other, calls } = await joined(await openStoreService({ store: below, clock, report }));
    await put(other, 1, "a");
    await other.lookup(MODEL, Array.from({ length: 200 }, () => ({ key: keyOf(1), samples: 1 })));
    const [{ payload }] = readMessage(calls.at(-1)!, byPlace, checksum) as [Frame];
    const [head, want] = [5 + MODEL.length, 4 + 32 + 8 + 8];
    const wants = payload.subarray(head + 4);
    assert.equal(wants.length, 200 * want);
    const long = new Uint8Array(head + 4 + 100 * wants.length);
    long.set(payload);
    for (let times = 0; times < 100; times++) long.set(wants, head + 4 + times * wants.length);
    new DataView(long.buffer).setUint32(head, 20_000, true);
    let most = 0;
    const counting: Store = {
      ...below,
      lookup: (model, wants) => (most = Math.max(most, wants.length), below.lookup(model, wants)),
    };
    const service = await openStoreService({ store: counting, clock, report });
    const { bytes, sums } = writeMessage([long], byPlace, checksum);
    const [reply] = readMessage(await service.answer(undefined, bytes), () => sums[0]!, checksum) as [Frame];
    const answered = new DataView(reply.payload.buffer, reply.payload.byteOffset).getUint32(1, true);
    assert.deepEqual([most, answered], [256, 256]);
    await other.close();
  });

  it("holds claims of so many bytes at most, whatever names a client makes up", async () => {
    const service = await openStoreService({ store: openMemory(), clock, report });
    const { store } = await joined(service);
    const long = "x".repeat(1024 * 1024);
    for (let number = 0; number < 40; number++) await store.claims!.claim(long, keyOf(number), "one", 60_000);
    assert.equal((await store.claims!.claim(long, keyOf(39), "other", 60_000)).granted, false);
    assert.equal((await store.claims!.claim(long, keyOf(0), "other", 60_000)).granted, true);
    await store.close();
  });

  it("lets others have a turn while it answers a long message", async () => {
    let [time, turns] = [0, 0];
    const slow = {
      ...clock,
      now: () => clock.now(),
      monotonic: () => time,
      afterTurn: (run: () => void) => (turns++, clock.afterTurn(run)),
    };
    const below = openMemory();
    const store: Store = { ...below, lookup: (model, wants) => (time += 1, below.lookup(model, wants)) };
    const { store: far } = await joined(await openStoreService({ store, clock: slow, report }));
    await Promise.all(Array.from({ length: 100 }, (_, number) => texts(far, number)));
    assert.ok(turns >= 10, `${turns} turns for 100 ms`);
    await far.close();
  });

  it("tells a client what kind of failure it is, and nothing of where it happened", async () => {
    const store = openMemoryStore({ clock, maxBytes: 1e6 });
    const error = new CacheError("locked", "Cannot read /srv/secret/file: held by process 7");
    const heard: unknown[] = [];
    const failing = { ...store, lookup: () => Promise.reject(error) } as unknown as Store;
    const service = await openStoreService({ store: failing, clock, report: (each) => heard.push(each) });
    const { store: far } = await joined(service);
    await assert.rejects(texts(far, 1), ({ code, message }: CacheError) => {
      assert.doesNotMatch(message, /secret/);
      return code === "locked";
    });
    assert.deepEqual(heard, [error]);
    await far.close();
  });

  it("stops listing when its reader does", async () => {
    let given = 0;
    let isEnded = false;
    const endless = async function* (): AsyncGenerator<ListedRequest> {
      const [request] = await Array.fromAsync(full.list());
      try {
        for (;; given++) yield request!;
      } finally {
        isEnded = true;
      }
    };
    const full = openMemoryStore({ clock, maxBytes: 1e6 });
    await put(full, 1, "a");
    const store = { list: endless, lookup: () => [] } as unknown as Store;
    const service = await openStoreService({ store, clock, report: () => {} });
    const { store: far } = await joined(service);
    let taken = 0;
    for await (const _ of far.list()) if (++taken === 5000) break;
    while (!isEnded) await clock.sleep(1);
    assert.ok(given < 10_000, `${given} were read for 5000`);
    await far.close();
  });
});
