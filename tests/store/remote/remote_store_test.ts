/** The remote store at a real server: outages, restarts, damage on the way, keys, several clients. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openCacheOn } from "../../../src/compose/open_cache.ts";
import type { RunningServer, ServerOptions } from "../../../src/compose/server.ts";
import { CacheError } from "../../../src/store/error.ts";
import type { Store } from "../../../src/store/store.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { entryOf, found, keyOf, MODEL, put, requestOf, texts } from "../redis/fixture.ts";
import { machine, openStore, PATIENCE, storeServer } from "./fixture.ts";

type Send = (url: string, init: RequestInit) => Promise<Response>;

const isUnavailable = (error: unknown): boolean => error instanceof CacheError && error.code === "unavailable";

/** A server that was stopped, started again where it was and with what it had. */
async function restarted(server: RunningServer, options: ServerOptions): Promise<RunningServer> {
  return await storeServer({ ...options, port: Number(new URL(server.url).port) });
}

/** Waits until something is so. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!await isSo()) await machine.clock.sleep(10);
}

async function count(store: Store, number: number): Promise<number> {
  try {
    return (await found(store, number)).entries.length;
  } catch {
    return -1;
  }
}

describe("a remote store", () => {
  it("shares what it holds with the server's own cache", async () => {
    await using server = await storeServer();
    await using near = await openCacheOn(machine, {
      backend: "remote",
      remote: { url: server.url, timeout: PATIENCE },
    });
    const body = { model: MODEL, messages: [{ role: "user", content: "hi" }] };
    const answer = { choices: [{ message: { content: "ho" }, finish_reason: "stop" }] };
    let calls = 0;
    const call = () => Promise.resolve((calls++, answer));
    assert.deepEqual(await near.wrap(body, call), answer);
    await using again = await openCacheOn(machine, {
      backend: "remote",
      remote: { url: server.url, timeout: PATIENCE },
    });
    assert.deepEqual(await again.wrap(body, call), answer);
    assert.equal(calls, 1);
    const stats = await (await fetch(`${server.url}/cache/stats`)).json();
    assert.equal(stats.store.entries, 1);
  });

  it("has an answer that the server's proxy serves", async () => {
    await using server = await storeServer({ upstreams: { openai: { url: "http://127.0.0.1:1" } } });
    await using cache = await openCacheOn(machine, {
      backend: "remote",
      remote: { url: server.url, timeout: PATIENCE },
    });
    const body = { model: MODEL, messages: [{ role: "user", content: "hi" }] };
    const answer = { choices: [{ message: { content: "ho" }, finish_reason: "stop" }] };
    const ask = (): Promise<Response> =>
      fetch(`${server.url}/openai/v1/chat/completions`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "Cache-Control": "only-if-cached" },
        body: JSON.stringify(body),
      });
    const before = await ask();
    assert.equal(before.status, 504);
    await before.body?.cancel();
    await cache.put(body, answer);
    const served = await ask();
    assert.match(served.headers.get("Cache-Status")!, /^warmcache; hit/);
    assert.deepEqual(await served.json(), answer);
  });

  it("has one of several clients call, and the others wait for its answer", async () => {
    await using server = await storeServer({ locking: "exclusive" });
    const options = { backend: "remote", remote: { url: server.url, timeout: PATIENCE } } as const;
    const caches = await Promise.all(Array.from({ length: 4 }, () => openCacheOn(machine, options)));
    const body = { model: MODEL, messages: [{ role: "user", content: "once" }] };
    let calls = 0;
    const call = async () => {
      calls++;
      await machine.clock.sleep(50);
      return { choices: [{ message: { content: "ho" }, finish_reason: "stop" }] };
    };
    const answers = await Promise.all(caches.map((cache) => cache.wrap(body, call)));
    assert.equal(new Set(answers.map((answer) => JSON.stringify(answer))).size, 1);
    assert.equal(calls, 1);
    await Promise.all(caches.map((cache) => cache.close()));
  });

  it("sends what is asked in one turn together", async () => {
    await using server = await storeServer();
    let requests = 0;
    const watched: Send = (url, init) => (requests++, fetch(url, init));
    const { store } = await openStore({ url: server.url, fetch: watched });
    requests = 0;
    await Promise.all(Array.from({ length: 50 }, (_, number) => put(store, number, `answer ${number}`)));
    assert.ok(requests <= 2, `${requests} requests for 50 puts`);
    requests = 0;
    const read = await Promise.all(Array.from({ length: 50 }, (_, number) => texts(store, number)));
    assert.deepEqual(read, Array.from({ length: 50 }, (_, number) => [`answer ${number}`]));
    assert.equal(requests, 1);
    await store.close();
  });

  it("finds answers that together are longer than a message may be", async () => {
    await using server = await storeServer({ locking: "exclusive" });
    const { store } = await openStore({ url: server.url });
    const long = "x".repeat(24 * 1024 * 1024);
    for (let number = 0; number < 4; number++) await put(store, number, `${number}${long}`);
    const wants = [0, 1, 2, 3].map((number) => ({ key: keyOf(number), samples: 1 }));
    const all = await store.lookup(MODEL, wants);
    assert.deepEqual(all.map(({ entries }) => entries[0]!.bytes()[0]), [48, 49, 50, 51]);
    const apart = await Promise.all(wants.map((want) => store.lookup(MODEL, [want])));
    assert.deepEqual(apart.map(([each]) => each!.entries[0]!.bytes().length), wants.map(() => long.length + 1));
    await store.close();
  });

  it("refuses an answer that is longer than a message may be", async () => {
    await using server = await storeServer();
    const { store } = await openStore({ url: server.url });
    await assert.rejects(put(store, 1, "x".repeat(64 * 1024 * 1024)), isUnavailable);
    assert.equal(await count(store, 1), 0);
    await store.close();
  });
});

describe("an outage", () => {
  it("makes misses at once, and answers that wait are stored once, in order, when the server is back", async () => {
    const options = { cache: `${await temporaryFolder()}/cache` };
    const server = await storeServer(options);
    const { store, faults } = await openStore({ url: server.url });
    await put(store, 1, "before");
    await server.stop();
    await assert.rejects(texts(store, 1), isUnavailable);
    for (const body of ["a", "b", "c"]) await put(store, 1, body);
    await assert.rejects(async () => await store.remove({}), isUnavailable);
    await using _again = await restarted(server, options);
    await until(async () => await count(store, 1) === 4);
    assert.deepEqual(await texts(store, 1), ["before", "a", "b", "c"]);
    assert.deepEqual(faults, []);
    await store.close();
  });

  it("at the start is no error", async () => {
    const server = await storeServer();
    await server.stop();
    const { store } = await openStore({ url: server.url });
    await put(store, 1, "a");
    await using _again = await restarted(server, {});
    await until(async () => await count(store, 1) === 1);
    await store.close();
  });

  it("that lasts is reported for each answer that cannot be stored before the end", async () => {
    const server = await storeServer();
    await server.stop();
    const { store, faults } = await openStore({ url: server.url, flushTimeout: 20 });
    await put(store, 1, "a");
    await put(store, 2, "b");
    await store.close();
    assert.deepEqual(faults.map(({ type, model }) => [type, model]), Array(2).fill(["write_failed", MODEL]));
  });

  it("has no more wait than there is room for", async () => {
    const server = await storeServer();
    await server.stop();
    const { store } = await openStore({ url: server.url, queueBytes: 1000, flushTimeout: 0 });
    await put(store, 1, "x".repeat(500));
    await assert.rejects(put(store, 2, "x".repeat(500)), /no room for it to wait.*queueBytes: 1000/);
    await store.close();
  });

  it("does not bring back what was refreshed by somebody else meanwhile", async () => {
    const options = { cache: `${await temporaryFolder()}/cache` };
    const server = await storeServer(options);
    const { store } = await openStore({ url: server.url });
    const early = { ...entryOf("early"), created: 1000 };
    await server.stop();
    await assert.rejects(texts(store, 1));
    await store.put(MODEL, requestOf(1), [early], "replace_all");
    const late = await openCacheOn(machine, { directory: options.cache });
    await late.close();
    const between = await storeServer(options);
    const other = await openStore({ url: between.url });
    await put(other.store, 1, "newer");
    await other.store.close();
    await between.stop();
    await using _again = await restarted(server, options);
    await until(async () => await count(store, 1) === 2);
    assert.deepEqual(await texts(store, 1), ["newer", "early"]);
    await store.close();
  });
});

describe("a reply that is lost", () => {
  it("has the answer sent again, and stored once", async () => {
    await using server = await storeServer();
    let lose = false;
    const forgetful: Send = async (url, init) => {
      const response = await fetch(url, init);
      if (!lose) return response;
      lose = false;
      await response.body?.cancel();
      throw new TypeError("connection reset");
    };
    const { store, faults } = await openStore({ url: server.url, fetch: forgetful });
    lose = true;
    await put(store, 1, "a");
    await until(async () => await count(store, 1) >= 0);
    await put(store, 1, "b");
    assert.deepEqual(await texts(store, 1), ["a", "b"]);
    assert.deepEqual(faults, []);
    await store.close();
  });

  it("by a server that is started anew has it stored once, too", async () => {
    const options = { cache: `${await temporaryFolder()}/cache` };
    const server = await storeServer(options);
    let lose = false;
    const forgetful: Send = async (url, init) => {
      const response = await fetch(url, init);
      if (!lose) return response;
      await response.body?.cancel();
      throw new TypeError("connection reset");
    };
    const { store } = await openStore({ url: server.url, fetch: forgetful });
    lose = true;
    await put(store, 1, "a");
    await server.stop();
    lose = false;
    await using _again = await restarted(server, options);
    await until(async () => await count(store, 1) >= 0);
    await put(store, 1, "b");
    assert.deepEqual(await texts(store, 1), ["a", "b"]);
    await store.close();
  });

  it("of a lookup has it asked once more at once", async () => {
    await using server = await storeServer();
    let lose = 0;
    const broken: Send = (url, init) => lose-- > 0 ? Promise.reject(new TypeError("reset")) : fetch(url, init);
    const { store } = await openStore({ url: server.url, fetch: broken });
    await put(store, 1, "a");
    lose = 1;
    assert.deepEqual(await texts(store, 1), ["a"]);
    await store.close();
  });
});

describe("a byte that is flipped on the way", () => {
  /** Changes one byte of what passes. */
  function flipped(bytes: Uint8Array, at: number): Uint8Array<ArrayBuffer> {
    const copy = new Uint8Array(bytes);
    copy[at % copy.length]! ^= 0x10;
    return copy;
  }

  it("of a reply is never a wrong answer", async () => {
    await using server = await storeServer();
    let at: number | undefined;
    const noisy: Send = async (url, init) => {
      const response = await fetch(url, init);
      if (at === undefined) return response;
      return new Response(flipped(new Uint8Array(await response.arrayBuffer()), at), response);
    };
    const { store } = await openStore({ url: server.url, fetch: noisy });
    await put(store, 1, "the answer");
    const [call, length] = [store.lookup(MODEL, [{ key: keyOf(1), samples: 1 }]), 180];
    await call;
    for (let place = 0; place < length; place += 3) {
      at = place;
      await assert.rejects(texts(store, 1), isUnavailable, `byte ${place}`);
      at = undefined;
      await until(async () => await count(store, 1) === 1);
    }
    assert.deepEqual(await texts(store, 1), ["the answer"]);
    await store.close();
  });

  it("of a put is never stored, and the answer is sent again", async () => {
    await using server = await storeServer();
    let at: number | undefined;
    const noisy: Send = (url, init) => {
      const body = at === undefined ? init.body : flipped(init.body as Uint8Array, at);
      at = undefined;
      return fetch(url, { ...init, body: body! });
    };
    const { store, faults } = await openStore({ url: server.url, fetch: noisy });
    for (let place = 0; place < 240; place += 16) {
      at = place;
      await put(store, place, "the answer");
      await until(async () => await count(store, place) > 0);
      assert.deepEqual(await texts(store, place), ["the answer"], `byte ${place}`);
    }
    assert.deepEqual(faults, []);
    await store.close();
  });

  it("of a list is an error, and no short list", async () => {
    await using server = await storeServer();
    let at: number | undefined;
    const noisy: Send = async (url, init) => {
      const response = await fetch(url, init);
      if (at === undefined) return response;
      return new Response(flipped(new Uint8Array(await response.arrayBuffer()), at), response);
    };
    const { store } = await openStore({ url: server.url, fetch: noisy });
    await put(store, 1, "a");
    for (at = 0; at < 150; at += 7) {
      await assert.rejects(async () => await Array.fromAsync(store.list()), isUnavailable, `byte ${at}`);
    }
    await store.close();
  });

  it("is cut off: no answer either", async () => {
    await using server = await storeServer();
    let cut = Infinity;
    const short: Send = async (url, init) => {
      const response = await fetch(url, init);
      return new Response(new Uint8Array(await response.arrayBuffer()).subarray(0, cut), response);
    };
    const { store } = await openStore({ url: server.url, fetch: short });
    await put(store, 1, "a");
    for (const length of [0, 3, 4, 10, 20, 60]) {
      cut = length;
      await assert.rejects(texts(store, 1), isUnavailable);
      await assert.rejects(async () => await Array.fromAsync(store.list()), isUnavailable);
      cut = Infinity;
      await until(async () => await count(store, 1) === 1);
    }
    await store.close();
  });
});

describe("a server with keys", () => {
  const apiKey = ["ann=sesame", "bob=open"];

  it("lets nobody see, remove or claim what is another key's", async () => {
    await using server = await storeServer({ apiKey });
    const { store: ann } = await openStore({ url: server.url, apiKey: "sesame" });
    const { store: bob } = await openStore({ url: server.url, apiKey: "open" });
    await put(ann, 1, "ann's");
    assert.equal(await count(bob, 1), 0);
    await put(bob, 1, "bob's");
    assert.deepEqual(await texts(ann, 1), ["ann's"]);
    assert.deepEqual((await Array.fromAsync(bob.list())).map(({ model }) => model), [MODEL]);
    assert.equal((await bob.nearest(new Uint8Array(16), 9)).length, 1);
    assert.equal((await bob.claims!.claim(MODEL, keyOf(1), "bob", 1000)).granted, true);
    assert.equal((await ann.claims!.claim(MODEL, keyOf(1), "ann", 1000)).granted, true);
    await ann.failures!.record(MODEL, keyOf(1), { last: 1, expires: null, error: new Uint8Array() });
    assert.equal(await bob.failures!.last(MODEL, keyOf(1)), undefined);
    ann.ledger!.add({ model: MODEL, day: "2026-11-22", amounts: { hits: 1 } });
    assert.equal((await ann.ledger!.read()).length, 1);
    assert.deepEqual(await bob.ledger!.read(), []);
    assert.deepEqual((await bob.remove({})).entries, 1);
    assert.deepEqual(await texts(ann, 1), ["ann's"]);
    await Promise.all([ann.close(), bob.close()]);
  });

  it("lets nobody in by the name of another's model", async () => {
    await using server = await storeServer({ apiKey });
    const { store: ann } = await openStore({ url: server.url, apiKey: "sesame" });
    const { store: bob } = await openStore({ url: server.url, apiKey: "open" });
    await put(ann, 1, "ann's");
    for (const model of [`key:ann/${MODEL}`, `../key:ann/${MODEL}`, `/key:ann/${MODEL}`]) {
      assert.equal((await bob.lookup(model, [{ key: keyOf(1), samples: 1 }]))[0]!.entries.length, 0);
    }
    await Promise.all([ann.close(), bob.close()]);
  });

  it("has them share where it says so, but plant nothing under a key", async () => {
    await using server = await storeServer({ apiKey, sharedCache: true });
    const { store: ann } = await openStore({ url: server.url, apiKey: "sesame" });
    const { store: bob } = await openStore({ url: server.url, apiKey: "open" });
    await put(ann, 1, "ours");
    assert.deepEqual(await texts(bob, 1), ["ours"]);
    await assert.rejects(put(bob, 1, "planted", `key:ann/${MODEL}`), isUnavailable);
    await Promise.all([ann.close(), bob.close()]);
  });

  it("refuses a key that is none of its own, without repeating it", async () => {
    await using server = await storeServer({ apiKey });
    for (const key of [undefined, "wrong-secret"]) {
      await assert.rejects(openStore({ url: server.url, ...key !== undefined && { apiKey: key } }), (error: Error) => {
        assert.match(error.message, /401.*WARMCACHE_REMOTE_KEY/);
        assert.doesNotMatch(error.message, /wrong-secret/);
        return isUnavailable(error);
      });
    }
  });
});

describe("something else at the address", () => {
  async function answering(status: number, body = "hello"): Promise<{ url: string; stop: () => Promise<void> }> {
    const listener = await machine.serveHttp({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => new Response(body, { status, headers: status === 302 ? { Location: "http://127.0.0.1:9/" } : {} }),
    });
    return { url: `http://127.0.0.1:${listener.port}`, stop: () => listener.shutdown() };
  }

  for (const status of [302, 400, 404, 405]) {
    it(`that answers ${status} is refused at once`, async () => {
      const { url, stop } = await answering(status);
      await assert.rejects(openStore({ url }), isUnavailable);
      await stop();
    });
  }

  for (const status of [200, 500, 502, 503]) {
    it(`that answers ${status} with something else is away`, async () => {
      const { url, stop } = await answering(status);
      const { store } = await openStore({ url, flushTimeout: 0 });
      await assert.rejects(texts(store, 1), isUnavailable);
      await store.close();
      await stop();
    });
  }

  it("that says nothing is away", async () => {
    const { promise, resolve } = Promise.withResolvers<Response>();
    const { store } = await openStore({
      url: "http://127.0.0.1:9",
      timeout: 20,
      fetch: () => promise,
      flushTimeout: 0,
    });
    await assert.rejects(texts(store, 1), /it has said nothing for 20 ms/);
    resolve(new Response());
    await store.close();
  });

  it("that takes no long messages gets them one by one, and what is too long by itself is refused", async () => {
    await using server = await storeServer();
    const narrow: Send = (url, init) =>
      (init.body as Uint8Array).byteLength > 1000
        ? Promise.resolve(new Response("too large", { status: 413 }))
        : fetch(url, init);
    const { store } = await openStore({ url: server.url, fetch: narrow });
    await Promise.all([1, 2, 3, 4].map((number) => put(store, number, "x".repeat(500))));
    for (const number of [1, 2, 3, 4]) assert.equal(await count(store, number), 1);
    await assert.rejects(put(store, 5, "x".repeat(2000)), /413.*something on the way takes no more/);
    await store.close();
  });
});

describe("the server", () => {
  it("refuses what is no message, and a message of another version", async () => {
    await using server = await storeServer();
    const send = async (path: string, bytes: number[]): Promise<[number, string]> => {
      const headers = { "Content-Type": "application/vnd.warmcache.store" };
      const body = Uint8Array.from(bytes);
      const response = await fetch(`${server.url}/cache/v1/${path}`, { method: "POST", headers, body });
      return [response.status, (await response.json()).error.message];
    };
    for (const path of ["calls", "list"]) {
      assert.deepEqual((await send(path, [1, 2, 3]))[0], 400);
      assert.match((await send(path, [119, 99, 114, 2]))[1], /version 2.*only 1/);
      // A frame that says it has 4 GiB.
      const long = [119, 99, 114, 1, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0];
      assert.match((await send(path, long))[1], /cut off/);
    }
  });

  it("refuses a message that does not say that it is one, as a page in a browser could send it", async () => {
    await using server = await storeServer();
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
      const [headers, body] = [{ "Content-Type": type }, Uint8Array.of(119, 99, 114, 1)];
      const response = await fetch(`${server.url}/cache/v1/calls`, { method: "POST", headers, body });
      assert.equal(response.status, 415);
      await response.body?.cancel();
    }
  });

  it("tells nobody of what is another key's", async () => {
    const cache = `${await temporaryFolder()}/cache`;
    const request = { model: MODEL, messages: [{ role: "user", content: "ann's secret plan" }] };
    const answer = { choices: [{ message: { content: "ho" }, finish_reason: "stop" }] };
    const own = await openCacheOn(machine, { directory: cache, namespace: "key:ann", backend: "sqlite" });
    await own.put(request, answer);
    await own.close();
    await using server = await storeServer({ cache, apiKey: ["ann=sesame", "bob=open"] });
    const { store } = await openStore({ url: server.url, apiKey: "sesame" });
    store.ledger!.add({ model: "secret-model", day: "2026-11-22", amounts: { hits: 1 } });
    await store.ledger!.read();
    await store.close();
    const asked = { ...request, temperature: 1 };
    const tell = async (key: string): Promise<string[]> => {
      const headers = { "Content-Type": "application/json", Authorization: `Bearer ${key}` };
      const body = JSON.stringify({ request: asked });
      const explained = await fetch(`${server.url}/cache/explain`, { method: "POST", headers, body });
      const stats = await Promise.all(["/cache/stats", "/stats"].map(async (path) => {
        return await (await fetch(`${server.url}${path}`, { headers })).text();
      }));
      return [await explained.text(), ...stats];
    };
    const [forAnn, forBob] = [await tell("sesame"), await tell("open")];
    assert.equal(JSON.parse(forAnn[0]!).nearest[0].namespace, "key:ann");
    for (const text of forAnn.slice(1)) assert.match(text, /secret-model/);
    for (const text of forBob) assert.doesNotMatch(text, /ann|secret|plan/);
    assert.equal((await fetch(`${server.url}/cache/stats`)).status, 401);
  });

  it("answers people about a request", async () => {
    await using server = await storeServer();
    const request = { model: MODEL, messages: [{ role: "user", content: "hi" }] };
    const ask = async (question: object): Promise<Response> => {
      const headers = { "Content-Type": "application/json" };
      return await fetch(`${server.url}/cache/explain`, { method: "POST", headers, body: JSON.stringify(question) });
    };
    const explanation = await (await ask({ request })).json();
    assert.equal(explanation.samples, 0);
    assert.match(explanation.key, /^[0-9a-f]{64}$/);
    assert.equal((await ask({})).status, 400);
    assert.equal((await ask({ request, provder: "openai" })).status, 400);
    assert.equal((await ask({ request, provider: 3 })).status, 400);
  });
});

describe("openRemoteStore", () => {
  it("repeats no key that something at the address repeats", async () => {
    const isSilent = ({ message }: Error): boolean => /…/.test(message) && !message.includes("sesame");
    const answers: Send[] = [
      () => Promise.resolve(Response.json({ error: { message: "No such key: sesame" } }, { status: 401 })),
      () => Promise.resolve(Response.json({ error: { message: "No such key: sesame" } }, { status: 404 })),
    ];
    for (const fetch of answers) await assert.rejects(openStore({ apiKey: "sesame", fetch }), isSilent);
    const broken: Send = () => Promise.reject(new Error("cannot send Bearer sesame"));
    const { store } = await openStore({ apiKey: "sesame", fetch: broken, flushTimeout: 0 });
    await assert.rejects(texts(store, 1), isSilent);
    await store.close();
  });

  for (
    const [what, connection, message] of [
      ["a credential in the URL", { url: "http://me:sesame@127.0.0.1" }, /give apiKey: 127\.0\.0\.1$/],
      ["a URL of another kind", { url: "redis://sesame" }, /something else$/],
      ["a query", { url: "http://127.0.0.1/?key=sesame" }, /no \? and no #: 127\.0\.0\.1$/],
      ["an empty query", { url: "http://127.0.0.1/?" }, /no \? and no #: 127\.0\.0\.1$/],
      ["a key that is no header", { apiKey: "se\nsame" }, /apiKey has to be printable ASCII/],
      ["no time", { timeout: 0 }, /timeout must be more than 0/],
      ["a misspelled option", { ulr: "http://127.0.0.1" }, /unknown option .*: ulr/],
    ] as const
  ) {
    it(`refuses ${what}, and repeats no secret`, async () => {
      await assert.rejects(openStore(connection as object), (error: Error) => {
        assert.match(error.message, message);
        return !error.message.includes("sesame");
      });
    });
  }
});
