/** Passwords, ACL users and TLS: who may not come in is told so, without his password in the message. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { createSecureContext, createServer } from "node:tls";
import { CacheError } from "../../../src/store/error.ts";
import type { RedisConnection } from "../../../src/store/redis/options.ts";
import { requirePart } from "../../support/parts.ts";
import { makeCertificate, RedisServer, requireRedis, startCluster } from "../../support/redis_server.ts";
import { entryOf, keyOf, MODEL, openStore, put, requestOf, texts } from "./fixture.ts";

const PATIENT = { timeout: 60_000 };
const SECRET = "s3cret-of-the-test";

/** Opening fails with a message that says what to do and repeats no secret. */
async function assertRefused(connection: RedisConnection, message: RegExp): Promise<void> {
  await assert.rejects(openStore(connection), (error: unknown) => {
    assert.ok(error instanceof CacheError);
    assert.equal(error.code, "unavailable");
    assert.match(error.message, message);
    assert.doesNotMatch(`${error.message} ${error.stack} ${String(error.cause)}`, /s3cret|wr0ng/);
    return true;
  });
}

/** Everything a cache asks of a store. */
async function useAll(connection: RedisConnection): Promise<void> {
  const { store, faults } = await openStore(connection);
  assert.doesNotMatch(store.location, /s3cret/);
  for (const body of ["a", "b"]) await put(store, 1, body);
  assert.deepEqual(await texts(store, 1), ["a", "b"]);
  assert.equal((await store.claims!.claim(MODEL, keyOf(1), "one", 1000)).granted, true);
  await store.claims!.release(MODEL, keyOf(1), "one");
  await store.failures!.record(MODEL, keyOf(1), { last: 1, expires: 2, error: new Uint8Array([1]) });
  assert.equal((await store.failures!.last(MODEL, keyOf(1)))!.count, 1);
  store.ledger!.add({ model: MODEL, day: "2026-11-22", amounts: { hits: 1 } });
  assert.equal((await store.ledger!.read()).length, 1);
  assert.equal((await store.size()).entries, 2);
  assert.equal((await store.nearest(new Uint8Array(16), 1)).length, 1);
  assert.equal((await Array.fromAsync(store.list())).length, 1);
  assert.equal((await store.remove({ createdBefore: 1 })).entries, 0);
  const old = { ...entryOf("old"), created: 1 };
  await store.put(MODEL, requestOf(1), [old], "append");
  assert.equal((await store.remove({ createdBefore: 2 })).entries, 1);
  // Of a list this long, what has expired is taken out by itself.
  const expired = { ...entryOf("expired"), expires: 1 };
  await store.put(MODEL, requestOf(2), [expired, ...new Array(40).fill(entryOf("c"))], "append");
  await put(store, 2, "d");
  assert.equal((await store.remove({})).entries, 43);
  await store.close();
  assert.deepEqual(faults, []);
}

describe("a Redis with a password", () => {
  it("lets in who knows it, from the options or the URL", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start({ args: ["--requirepass", SECRET], password: SECRET });
    await useAll({ url: server.url, password: SECRET });
    await useAll({ url: server.url.replace("//", `//:${SECRET}@`) });
    await assertRefused({ url: server.url }, /NOAUTH.*WARMCACHE_REDIS_PASSWORD/);
    await assertRefused({ url: server.url, password: "wr0ng" }, /WRONGPASS.*WARMCACHE_REDIS_PASSWORD/);
    await assertRefused({ url: server.url.replace("//", "//me:wr0ng@") }, /WRONGPASS/);
    await server.stop();
  });

  it("that is changed meanwhile is an outage, whose messages say so", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const { store, faults } = await openStore({
      url: server.url,
      password: SECRET,
      username: "default",
      flushTimeout: 0,
    });
    server.command("CONFIG", "SET", "requirepass", "another");
    server.command("-a", "another", "CLIENT", "KILL", "TYPE", "normal");
    await new Promise((resolve) => setTimeout(resolve, 300));
    await put(store, 1, "a");
    await assert.rejects(texts(store, 1), (error: Error) => {
      assert.match(error.message, /WRONGPASS|password/);
      assert.doesNotMatch(error.message, /s3cret/);
      return true;
    });
    await store.close();
    assert.equal(faults.length, 1);
    assert.doesNotMatch(faults[0]!.error.message, /s3cret/);
    await server.stop();
  });
});

describe("an ACL user", () => {
  /** The rules that the documentation gives, so that they are true. */
  const documented = readFileSync(new URL("../../../docs/redis.md", import.meta.url), "utf8");
  const rules = /ACL SETUSER warmcache (.*)/.exec(documented)![1]!;

  it("with the rules of docs/redis.md can do all that a store does, and no more", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    assert.equal(server.command("ACL", "SETUSER", "warmcache", ...rules.replace("PASSWORD", SECRET).split(" ")), "OK");
    const connection = { url: server.url, username: "warmcache", password: SECRET };
    await useAll(connection);
    await assertRefused({ ...connection, keyPrefix: "other" }, /NOPERM.*docs\/redis\.md/);
    for (const command of [["FLUSHALL"], ["KEYS", "*"], ["CONFIG", "GET", "*"], ["GET", "theirs"]]) {
      const reply = server.command("--no-auth-warning", "--user", "warmcache", "--pass", SECRET, ...command);
      assert.match(reply, /NOPERM/, command.join(" "));
    }
    await server.stop();
  });

  it("with these rules can do it in any database", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    server.command("ACL", "SETUSER", "warmcache", ...rules.replace("PASSWORD", SECRET).split(" "));
    await useAll({ url: `${server.url}/3`, username: "warmcache", password: SECRET });
    assert.equal(server.command("ACL", "LOG"), "", "nothing was tried that is not allowed");
    await server.stop();
  });

  it("with these rules can do it on a Cluster", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const cluster = await startCluster();
    for (const server of cluster) {
      server.command("ACL", "SETUSER", "warmcache", ...rules.replace("PASSWORD", SECRET).split(" "));
    }
    const urls = cluster.map(({ url }) => url);
    await useAll({ urls, username: "warmcache", password: SECRET });
    await assertRefused({ urls, username: "warmcache", password: "wr0ng" }, /WRONGPASS/);
    for (const server of cluster) await server.stop();
  });

  it("who may only read is refused when it writes, and told what is missing", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    server.command("ACL", "SETUSER", "reader", "on", `>${SECRET}`, "~wc1:*", "+@read", "+@connection");
    const { store } = await openStore({ url: server.url, username: "reader", password: SECRET });
    assert.deepEqual(await texts(store, 1), []);
    await assert.rejects(put(store, 1, "a"), /NOPERM.*docs\/redis\.md/);
    await store.close();
    await server.stop();
  });
});

describe("a Redis of others, who have taken commands away", () => {
  it("is used with what is left", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const gone = ["HELLO", "CLIENT", "CONFIG", "FLUSHALL", "FLUSHDB", "KEYS", "SCRIPT", "INFO", "DEBUG", "SAVE"];
    const server = await RedisServer.start({ args: gone.flatMap((command) => ["--rename-command", command, ""]) });
    await useAll({ url: server.url });
    await useAll({ url: `${server.url}/5`, password: "not asked for" });
    await server.stop();
  });
});

describe("a Redis behind TLS", () => {
  it("is used by who trusts its authority, and by nobody else", PATIENT, async (context) => {
    if (!requireRedis(context) || !requirePart(context, "openssl")) return;
    const tls = await makeCertificate();
    const server = await RedisServer.start({ tls });
    const ca = readFileSync(tls.certificate, "utf8");
    await useAll({ url: server.url, tls: { ca } });
    await useAll({ url: server.url.replace("rediss", "redis"), tls: { ca } });
    const { store, faults } = await openStore({ url: server.url, flushTimeout: 0 });
    await put(store, 1, "a");
    await assert.rejects(texts(store, 1), /certificate|UnknownIssuer|self.signed/i);
    await store.close();
    assert.equal(faults.length, 1, "what could not be sent safely was not sent");
    await server.stop();
  });

  it("is told which host is meant, and what to do is said where that is another", PATIENT, async (context) => {
    if (!requirePart(context, "openssl")) return;
    const tls = await makeCertificate();
    const [cert, key] = [readFileSync(tls.certificate, "utf8"), readFileSync(tls.key, "utf8")];
    const named: string[] = [];
    const server = createServer({
      cert,
      key,
      SNICallback: (name, callback) => {
        named.push(name);
        callback(null, createSecureContext({ cert, key }));
      },
    }, (socket) => void socket.on("error", () => {}));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const open = async (servername?: string): Promise<string> => {
      const { store } = await openStore({
        url: `rediss://localhost:${port}`,
        tls: { ca: cert, ...(servername !== undefined && { servername }) },
        commandTimeout: 200,
        flushTimeout: 0,
      });
      const message = await texts(store, 1).then(() => "", (error) => error.message);
      await store.close();
      return message;
    };
    await open();
    assert.equal(named[0], "localhost");
    named.length = 0;
    assert.match(await open("elsewhere.example"), /certificate bears the host's name.*tls\.ca/);
    assert.equal(named[0], "elsewhere.example");
    server.close();
  });

  it("is not reached without TLS", PATIENT, async (context) => {
    if (!requireRedis(context) || !requirePart(context, "openssl")) return;
    const server = await RedisServer.start({ tls: await makeCertificate() });
    const { store } = await openStore({ url: server.url.replace("rediss", "redis"), commandTimeout: 300 });
    await assert.rejects(texts(store, 1), CacheError);
    await store.close();
    await server.stop();
  });
});
