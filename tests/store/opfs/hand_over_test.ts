/**
 * Leaders and their clients, joined by channels as between tabs, on files of this machine: what clients notice when one
 * leader goes and another comes. The same in browsers, with real tabs, is in `tests/browser/tabs_test.ts`.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CacheError } from "../../../src/store/error.ts";
import { listenOn } from "../../../src/store/opfs/channel.ts";
import { Leader } from "../../../src/store/opfs/leader.ts";
import { Line } from "../../../src/store/opfs/line.ts";
import type { Question } from "../../../src/store/opfs/messages.ts";
import { answersChannel, newsChannel, questionsChannel } from "../../../src/store/opfs/names.ts";
import { CALLS_PATH } from "../../../src/store/remote/calls.ts";
import { settingsOf } from "../../../src/store/remote/options.ts";
import { openStoreOver } from "../../../src/store/remote/remote_store.ts";
import { openStoreService } from "../../../src/store/remote/service.ts";
import type { Store } from "../../../src/store/store.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { entryOf, keyOf, machine, MODEL, openStore, requestOf, texts } from "../sqlite/fixture.ts";

const { clock } = machine;
const PATIENCE = 60_000;

/** Has a leader of a folder. */
async function lead(directory: string, name: string): Promise<Leader> {
  return await Leader.lead({ runtime: machine, place: { directory }, name, tell: () => {}, abdicate: () => {} });
}

/** A client, without a Worker of its own. */
async function client(directory: string): Promise<{ store: Store; line: Line; close(): Promise<void> }> {
  const line = await Line.open(directory, clock);
  const fetch = (url: string, init: RequestInit): Promise<Response> => line.fetch(url, init);
  const settings = settingsOf({ runtime: machine, timeout: PATIENCE, fetch });
  const paths = { name: "sqlite", location: directory, callsUrl: CALLS_PATH, listUrl: "cache/v1/list" };
  const store = await openStoreOver({ ...settings, ...paths, patience: PATIENCE }, clock);
  return {
    store,
    line,
    async close() {
      await store.close();
      line.close();
    },
  };
}

async function put(store: Store, word: string): Promise<void> {
  await store.put(MODEL, requestOf(word), [entryOf(`answer to ${word}`)], "append");
}

/** Says that it leads, and never answers; gives each question to `hear`. */
function impostor(directory: string, hear: (question: Question) => void): () => void {
  const questions = new BroadcastChannel(questionsChannel(directory));
  questions.onmessage = ({ data }) => {
    if (typeof data !== "string") hear(data);
  };
  const news = new BroadcastChannel(newsChannel(directory));
  news.postMessage({ type: "leader", leader: "impostor" });
  return () => {
    questions.close();
    news.close();
  };
}

describe("a hand-over", () => {
  it("is not noticed by whoever asks before and after", async () => {
    const folder = await temporaryFolder();
    const first = await lead(folder, "first");
    const { store, close } = await client(folder);
    await put(store, "a");
    await first.close();
    const second = await lead(folder, "second");
    assert.deepEqual(await texts(store, "a", 10), ["answer to a"]);
    await close();
    await second.close();
  });

  it("has whoever asks in between wait for the next one", async () => {
    const folder = await temporaryFolder();
    const first = await lead(folder, "first");
    const { store, close } = await client(folder);
    await put(store, "a");
    await first.close();
    const [looking, putting] = [texts(store, "a", 10), put(store, "b")];
    const second = await lead(folder, "second");
    assert.deepEqual(await looking, ["answer to a"]);
    await putting;
    assert.deepEqual(await texts(store, "b", 10), ["answer to b"]);
    await close();
    await second.close();
  });

  it("stores once what one leader has stored without saying so, and what he has not even heard of", async () => {
    for (const isStored of [true, false]) {
      const folder = await temporaryFolder();
      const first = await lead(folder, "first");
      const { store, close } = await client(folder);
      await first.close();
      const behind = await openStore(folder, { locking: "exclusive" });
      const service = await openStoreService({ store: behind, clock, report: () => {} });
      const heard = Promise.withResolvers<void>();
      const end = impostor(folder, ({ ask }) => {
        if (ask.type !== "calls") return;
        const done = isStored ? service.answer(undefined, ask.body) : Promise.resolve();
        done.then(() => heard.resolve());
      });
      const putting = put(store, "a");
      await heard.promise;
      end();
      await behind.close();
      const second = await lead(folder, "second");
      await putting;
      assert.deepEqual(await texts(store, "a", 10), ["answer to a"]);
      await close();
      await second.close();
    }
  });

  it("keeps claims", async () => {
    const folder = await temporaryFolder();
    const first = await lead(folder, "first");
    const [one, other] = [await client(folder), await client(folder)];
    const claim = async (store: Store, holder: string): Promise<boolean> =>
      (await store.claims!.claim(MODEL, keyOf("a"), holder, 60_000)).granted;
    assert.equal(await claim(one.store, "one"), true);
    await first.close();
    const second = await lead(folder, "second");
    assert.equal(await claim(other.store, "other"), false);
    assert.equal(await claim(one.store, "one"), true);
    await one.store.claims!.release(MODEL, keyOf("a"), "one");
    assert.equal(await claim(other.store, "other"), true);
    for (const { close } of [one, other]) await close();
    await second.close();
  });

  it("is heard of by a page whose own Worker led, and has died without a word", async () => {
    const folder = await temporaryFolder();
    const first = await lead(folder, "first");
    const { store, line, close } = await client(folder);
    await first.close();
    line.attach({ post: () => {}, onMessage: () => {}, onFailure: () => {}, terminate: () => {} });
    line.onWorker({ type: "leading", leader: "dead" });
    const putting = put(store, "a");
    const leader = await lead(folder, "second");
    await putting;
    assert.deepEqual(await texts(store, "a", 10), ["answer to a"]);
    await close();
    await leader.close();
  });

  it("makes no short list of one that it breaks off", async () => {
    const folder = await temporaryFolder();
    const first = await lead(folder, "first");
    const { store, close } = await client(folder);
    // More than fits into the first page.
    await Promise.all(Array.from({ length: 1000 }, (_, index) => put(store, `${index}`)));
    const reading = async (meanwhile: () => Promise<void>): Promise<number> => {
      let count = 0;
      for await (const _ of store.list()) if (++count === 1) await meanwhile();
      return count;
    };
    assert.equal(await reading(() => Promise.resolve()), 1000);
    let second: Leader | undefined;
    await assert.rejects(
      reading(async () => {
        await first.close();
        second = await lead(folder, "second");
      }),
      { name: "CacheError", code: "unavailable", message: /the list broke off/ },
    );
    assert.equal(await reading(() => Promise.resolve()), 1000);
    await close();
    await second!.close();
  });

  it("begins tasks again, with whoever leads then", async () => {
    const folder = await temporaryFolder();
    const first = await lead(folder, "first");
    const { store, line, close } = await client(folder);
    await put(store, "a");
    await first.close();
    const heard = Promise.withResolvers<void>();
    const end = impostor(folder, () => heard.resolve());
    const sizes = line.run("measure the store", { name: "modelSizes" });
    await heard.promise;
    const unknown = assert.rejects(line.run("import", { name: "modelSizes" }, { once: true }), {
      name: "CacheError",
      code: "unavailable",
      message: /^Cannot import: the tab that kept the cache has gone/,
    });
    end();
    const second = await lead(folder, "second");
    assert.deepEqual(
      [...(await sizes as Map<string, { entries: number }>)].map(([model, { entries }]) => [model, entries]),
      [
        [MODEL, 1],
      ],
    );
    await unknown;
    const report = await line.run("verify", { name: "verify", options: { deep: true } }) as { ok: boolean };
    assert.equal(report.ok, true);
    await close();
    await second.close();
  });
});

describe("a leader", () => {
  it("is found by whoever comes later, and answers all of them", async () => {
    const folder = await temporaryFolder();
    const leader = await lead(folder, "leader");
    const clients = [];
    for (let count = 0; count < 70; count++) clients.push(await client(folder));
    await Promise.all(clients.map(({ store }, index) => put(store, `${index}`)));
    for (const [index, { store }] of clients.entries()) {
      assert.deepEqual(await texts(store, `${index}`, 10), [`answer to ${index}`]);
    }
    for (const { close } of clients) await close();
    await leader.close();
  });

  it("refuses what is no message, or one of another version", async () => {
    const folder = await temporaryFolder();
    const leader = await lead(folder, "leader");
    const line = await Line.open(folder, clock);
    const response = await line.fetch(CALLS_PATH, { body: Uint8Array.of(0x77, 0x63, 0x72, 99) });
    assert.equal(response.status, 400);
    assert.match((await response.json()).error.message, /of version 99.*update the older side/);
    line.close();
    await leader.close();
  });

  it("minds no noise on its channels, and refuses what it does not know", async () => {
    const folder = await temporaryFolder();
    const leader = await lead(folder, "leader");
    const line = await Line.open(folder, clock);
    const noise = [newsChannel(folder), questionsChannel(folder)].map((name) => new BroadcastChannel(name));
    for (const channel of noise) for (const odd of [null, undefined, 5, "text", [], {}]) channel.postMessage(odd);
    const later = { name: "of a later version" } as never;
    await assert.rejects(line.run("do something", later), {
      name: "TypeError",
      message: /of a later version.*of another version: load all pages anew/,
    });
    const asking = Promise.withResolvers<unknown>();
    const answers = await listenOn(answersChannel(folder, "later"), asking.resolve);
    noise[1]!.postMessage({ client: "later", number: 1, ask: { type: "odd" } });
    assert.match(JSON.stringify(await asking.promise), /"refused".*of another version: load all pages anew/);
    for (const channel of [...noise, answers]) channel.close();
    line.close();
    await leader.close();
  });

  it("goes on when its store could not be closed for what takes the files", async () => {
    const folder = await temporaryFolder();
    const leader = await lead(folder, "leader");
    const { store, close } = await client(folder);
    await put(store, "a");
    const { store: behind } = leader;
    leader.store = Object.assign(Object.create(behind), {
      async close() {
        await behind.close();
        throw new CacheError("unavailable", "the disk is full");
      },
    });
    await assert.rejects(leader.withoutStore(() => Promise.resolve()), { message: "the disk is full" });
    assert.deepEqual(await texts(store, "a", 10), ["answer to a"]);
    await close();
    await leader.close();
  });

  it("tells why something failed", async () => {
    const folder = await temporaryFolder();
    const leader = await lead(folder, "leader");
    const { line, close } = await client(folder);
    await assert.rejects(line.run("export a database", { name: "export", model: "none" }), {
      name: "CacheError",
      code: "unavailable",
      message: "Cannot export the database of a model: nothing is stored of it: none",
    });
    await close();
    await leader.close();
  });

  it("is not waited for without end by what is to be done", async () => {
    const folder = await temporaryFolder();
    const line = await Line.open(folder, { ...clock, sleep: (_, options) => clock.sleep(1, options) });
    await assert.rejects(line.run("measure the store", { name: "modelSizes" }), {
      name: "CacheError",
      code: "unavailable",
      message: "Cannot measure the store: no tab keeps the cache just now",
    });
    line.close();
  });

  it("is waited for until the signal says otherwise, or the line is closed", async () => {
    const folder = await temporaryFolder();
    const line = await Line.open(folder, clock);
    const enough = new AbortController();
    const waiting = line.whenLed(enough.signal);
    enough.abort(new Error("enough"));
    await assert.rejects(waiting, { message: "enough" });
    const fetching = line.fetch(CALLS_PATH, { body: new Uint8Array() });
    line.close();
    await assert.rejects(fetching, { message: "the store was closed" });
  });
});
