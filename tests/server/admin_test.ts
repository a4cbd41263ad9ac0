/** What operators do to a running server: orders, where models stand, events, and entries removed. */

import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { ClientError, WarmcacheClient } from "../../src/compose/client.ts";
import type { RunningServer, ServerOptions } from "../../src/compose/server.ts";
import type { AdminEvent } from "../../src/http/admin/admin_event.ts";
import { SseParser } from "../../src/cache/stream/sse.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { LoadBackend } from "../../src/warm/backend_cache.ts";
import { type Gate, gate } from "../support/gate.ts";
import { copyModel, copyModelWithOtherWeights, MODELS } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { post, testServer } from "./support.ts";

const runtime = await loadRuntime();
const ADMIN = { Authorization: "Bearer root" };
const KEYS = [{ id: "root", key: "root", scopes: ["admin", "models", "status", "cache"] }, "user=user"] as const;

async function adminServer(options: ServerOptions = {}, load?: LoadBackend): Promise<RunningServer> {
  return await testServer({ cache: await temporaryFolder(), apiKey: KEYS, ...options }, load);
}

/** Loads that wait at a gate. */
function heldLoads(): Gate & { readonly load: LoadBackend } {
  const held = gate();
  return {
    ...held,
    load: async (base, signal) => {
      await held.pass();
      return await loadOnnxBackend(runtime, base as never, { signal });
    },
  };
}

async function order(server: RunningServer, name: string, body: object) {
  const response = await post(server, `/admin/${name}`, body, null, ADMIN);
  // deno-lint-ignore no-explicit-any -- tests read what they know is there
  return { status: response.status, body: await response.json() as any };
}

// deno-lint-ignore no-explicit-any -- tests read what they know is there
async function get(server: RunningServer, path: string): Promise<{ status: number; body: any }> {
  const response = await fetch(`${server.url}${path}`, { headers: ADMIN });
  return { status: response.status, body: await response.json() };
}

/** Follows events with nothing but `fetch`. */
async function follow(server: RunningServer, headers: Record<string, string> = {}) {
  const response = await fetch(`${server.url}/admin/events`, { headers: { ...ADMIN, ...headers } });
  const reader = response.body!.getReader();
  const parser = new SseParser();
  const ready: AdminEvent[] = [];
  let isOver = false;
  /** The next event; `undefined` when the stream has ended. */
  const next = async (): Promise<AdminEvent | undefined> => {
    while (ready.length === 0 && !isOver) {
      const { done, value } = await reader.read();
      isOver = done;
      if (!done) ready.push(...parser.push(value).map(({ data }) => JSON.parse(data)));
    }
    return ready.shift();
  };
  return { response, next, leave: () => reader.cancel() };
}

describe("POST /admin/models/load", () => {
  it("answers at once with 202, and the load goes on", async () => {
    const held = heldLoads();
    await using server = await adminServer({}, held.load);
    const { status, body } = await order(server, "models/load", { model: "kjv-tiny" });
    assert.deepEqual([status, body.action, body.done, body.changed], [202, "load", false, null]);
    assert.equal(body.model.pending[0].action, "load");
    await held.reached;
    assert.equal((await get(server, "/admin/models/kjv-tiny/load-status")).body.state, "loading");
    held.open();
    assert.equal((await order(server, "models/load", { model: "kjv-tiny", wait: true })).body.model.state, "warm");
  });

  it("waits if asked to, and says whether that changed anything", async () => {
    await using server = await adminServer();
    const first = await order(server, "models/load", { model: "kjv-tiny", wait: true, keep_alive: "10m" });
    assert.deepEqual([first.status, first.body.done, first.body.changed], [200, true, true]);
    const [loaded] = first.body.model.loaded;
    assert.equal(Date.parse(loaded.keep_alive_until) - Date.parse(loaded.last_used), 600_000);
    const second = await order(server, "models/load", { model: "kjv-tiny+fortunes", wait: true });
    assert.deepEqual([second.body.changed, second.body.model.id, second.body.model.state], [
      false,
      "kjv-tiny+fortunes",
      "warm",
    ]);
  });

  it("waits no longer than a request would, and whoever asks again joins what is under way", async () => {
    const held = heldLoads();
    await using server = await adminServer({ loadTimeout: 1 }, held.load);
    for (let again = 0; again < 2; again++) {
      const { status, body } = await order(server, "models/load", { model: "kjv-tiny", wait: true });
      assert.deepEqual([status, body.done, body.model.pending.length], [202, false, 1]);
    }
    held.open();
    while ((await order(server, "models/load", { model: "kjv-tiny", wait: true })).status === 202);
    assert.equal((await get(server, "/admin/models/kjv-tiny/load-status")).body.state, "warm");
  });

  it("goes on when whoever gave the order has gone", async () => {
    const held = heldLoads();
    await using server = await adminServer({}, held.load);
    const client = new AbortController();
    const waiting = post(server, "/admin/models/load", { model: "kjv-tiny", wait: true }, client.signal, ADMIN);
    await held.reached;
    client.abort();
    await assert.rejects(waiting, { name: "AbortError" });
    held.open();
    while ((await get(server, "/admin/models/kjv-tiny/load-status")).body.state !== "warm");
  });

  it("tells why a load failed: to whoever waits, and afterwards", async () => {
    const models = await temporaryFolder();
    const folder = await copyModel(models, "broken");
    await writeFile(join(folder, "onnx", "model.onnx"), "none");
    await using server = await adminServer({ models });
    const { status, body } = await order(server, "models/load", { model: "broken", wait: true });
    assert.deepEqual([status, body.error.code], [503, "model_load_failed"]);
    const { body: standing } = await get(server, "/admin/models/broken/load-status");
    assert.deepEqual([standing.state, standing.last_failure.action], ["cooldown", "load"]);
    assert.equal(standing.last_failure.code, "model_load_failed");
    assert.equal(standing.last_failure.message, body.error.message);
  });

  it("refuses what is no model, whether or not anybody waits", async () => {
    await using server = await adminServer();
    for (const wait of [true, false]) {
      for (const model of ["nowhere", "../kjv-tiny", "kjv-tiny+nothing", "kjv-tiny:q4"]) {
        const { status, body } = await order(server, "models/load", { model, wait });
        assert.deepEqual([status, body.error.code], [404, "model_not_found"], model);
      }
    }
  });
});

describe("POST /admin/models/unload", () => {
  it("takes a base out of memory, and says whether it was there", async () => {
    await using server = await adminServer();
    await order(server, "models/load", { model: "kjv-tiny", wait: true });
    const { status, body } = await order(server, "models/unload", { model: "kjv-tiny", wait: true });
    assert.deepEqual([status, body.changed, body.model.state, body.model.loaded], [200, true, "cold", []]);
    const again = await order(server, "models/unload", { model: "kjv-tiny", wait: true });
    assert.deepEqual([again.status, again.body.changed], [200, false]);
  });

  it("takes out what is no longer on the disk, and then nobody knows it", async () => {
    const models = await temporaryFolder();
    const folder = await copyModel(models, "gone");
    await using server = await adminServer({ models });
    await order(server, "models/load", { model: "gone", wait: true });
    await rm(folder, { recursive: true });
    assert.equal((await get(server, "/admin/models")).body.data[0].created, null);
    const { body } = await order(server, "models/unload", { model: "gone", wait: true });
    assert.deepEqual([body.changed, body.model], [true, null]);
    assert.deepEqual((await get(server, "/admin/models")).body.data, []);
  });

  it("ends a load that is under way, if it is forced", async () => {
    const held = heldLoads();
    await using server = await adminServer({}, held.load);
    const loading = order(server, "models/load", { model: "kjv-tiny", wait: true });
    await held.reached;
    const unloading = order(server, "models/unload", { model: "kjv-tiny", wait: true, force: true });
    const { status, body } = await loading;
    assert.deepEqual([status, body.error.code], [503, "closed"]);
    held.open();
    assert.equal((await unloading).body.changed, true);
  });
});

describe("POST /admin/models/pin and unpin", () => {
  it("keeps a base from being evicted, and lets it be again", async () => {
    const models = await temporaryFolder();
    await copyModel(models, "one");
    await copyModelWithOtherWeights(models, "two");
    await using server = await adminServer({ models, maxLoadedModels: 1 });
    const pinned = await order(server, "models/pin", { model: "one", wait: true });
    assert.deepEqual([pinned.status, pinned.body.changed, pinned.body.model.loaded[0].pinned], [200, true, true]);
    assert.equal((await order(server, "models/pin", { model: "one", wait: true })).body.changed, false);
    const other = await order(server, "models/load", { model: "two", wait: true });
    assert.deepEqual([other.status, other.body.error.code], [503, "no_room"]);

    assert.equal((await order(server, "models/unpin", { model: "one" })).body.changed, true);
    const again = await order(server, "models/unpin", { model: "one" });
    assert.deepEqual([again.status, again.body.done, again.body.changed], [200, true, false]);
    assert.equal((await order(server, "models/load", { model: "two", wait: true })).body.model.state, "warm");
    assert.equal((await get(server, "/admin/models/one/load-status")).body.state, "cold");
  });
});

describe("a request to /admin", () => {
  let server: RunningServer;
  before(async () => {
    server = await adminServer();
  });
  after(() => server.stop());

  it("needs a key with the scope admin", async () => {
    const paths = ["/admin/models", "/admin/events", "/admin/models/kjv-tiny/load-status", "/admin/nothing"];
    for (const path of paths) {
      for (const [headers, expected] of [[{}, 401], [{ Authorization: "Bearer user" }, 403]] as const) {
        const response = await fetch(`${server.url}${path}`, { headers });
        await response.body!.cancel();
        assert.equal(response.status, expected, path);
      }
    }
    const response = await post(server, "/admin/models/load", { model: "kjv-tiny" });
    assert.equal(response.status, 401);
    await response.body!.cancel();
  });

  it("is refused where the server has no keys, and told what to do", async () => {
    await using open = await testServer({ cache: await temporaryFolder() });
    const response = await fetch(`${open.url}/admin/models`);
    assert.equal(response.status, 403);
    assert.match((await response.json()).error.message, /key/);
  });

  it("has to say that it is JSON: no page can send that without being asked first", async () => {
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", undefined]) {
      const headers = { ...ADMIN, ...type !== undefined && { "Content-Type": type } };
      const body = new TextEncoder().encode('{"model":"kjv-tiny"}');
      const response = await fetch(`${server.url}/admin/models/load`, { method: "POST", headers, body });
      assert.equal(response.status, 415, String(type));
      const { code, message } = (await response.json()).error;
      assert.equal(code, "unsupported_media_type");
      assert.match(message, /: send Content-Type: application\/json$/);
    }
    const headers = { ...ADMIN, "Content-Type": "application/JSON; charset=utf-8" };
    const body = '{"model":"kjv-tiny"}';
    const response = await fetch(`${server.url}/admin/models/unpin`, { method: "POST", headers, body });
    assert.equal(response.status, 200);
    await response.body!.cancel();
  });

  it("is not opened by a cookie", async () => {
    const response = await fetch(`${server.url}/admin/models`, { headers: { Cookie: "warmcache_session=root" } });
    assert.equal(response.status, 401);
    await response.body!.cancel();
  });

  it("is refused for what means nothing, with the field's name", async () => {
    for (
      const [name, body, param] of [
        ["models/load", {}, "model"],
        ["models/load", { model: "" }, "model"],
        ["models/load", { model: 1 }, "model"],
        ["models/load", { model: "kjv-tiny", wait: "yes" }, "wait"],
        ["models/load", { model: "kjv-tiny", keep_alive: "soon" }, "keep_alive"],
        ["models/load", { model: "kjv-tiny", force: true }, "force"],
        ["models/unload", { model: "kjv-tiny", force: 1 }, "force"],
        ["models/pin", { model: "kjv-tiny", wiat: true }, "wiat"],
        ["models/unpin", { model: "kjv-tiny", wait: true }, "wait"],
        ["cache/invalidate", { tag: "" }, "tag"],
        ["cache/invalidate", {}, null],
        ["cache/invalidate", { namespace: "all" }, null],
      ] as const
    ) {
      const { status, body: { error } } = await order(server, name, body);
      assert.deepEqual([status, error.param], [400, param], JSON.stringify(body));
    }
  });
});

describe("GET /admin/models", () => {
  it("has what is on the disk, with what of it is in memory", async () => {
    await using server = await adminServer({ models: MODELS });
    const cold = (await get(server, "/admin/models")).body;
    assert.equal(cold.object, "list");
    assert.deepEqual(
      cold.data.map(({ id, kind, parent, state, problem }: Record<string, unknown>) => [
        id,
        kind,
        parent,
        state,
        problem,
      ]),
      [["kjv-tiny", "onnx", null, "cold", null], ["kjv-tiny+fortunes", "adapter", "kjv-tiny", "cold", null]],
    );
    const asked = { model: "kjv-tiny+fortunes", prompt: "In", max_tokens: 1 };
    await (await post(server, "/v1/completions", asked, null, ADMIN)).json();
    const [base, adapter] = (await get(server, "/admin/models")).body.data;
    assert.deepEqual([base.state, base.adapter_loaded, base.loaded.length], ["warm", null, 1]);
    assert.deepEqual([adapter.state, adapter.adapter_loaded], ["warm", true]);
    assert.deepEqual(adapter.loaded, base.loaded);
  });

  it("says what cannot be used, and why", async () => {
    const models = await temporaryFolder();
    const folder = await copyModel(models, "half");
    await rm(join(folder, "tokenizer.json"));
    await using server = await adminServer({ models });
    const { data: [half] } = (await get(server, "/admin/models")).body;
    assert.match(half.problem, /tokenizer\.json/);
  });
});

describe("GET /admin/models/:name/load-status", () => {
  it("takes names with slashes, as they are and encoded", async () => {
    const models = await temporaryFolder();
    await copyModel(models, "organisation/base");
    await using server = await adminServer({ models });
    for (const name of ["organisation/base", "organisation%2Fbase", "organisation%2Fbase%2Bfortunes"]) {
      const { status, body } = await get(server, `/admin/models/${name}/load-status`);
      assert.deepEqual([status, body.id], [200, decodeURIComponent(name)]);
    }
    const { body } = await get(server, "/admin/models/organisation/base:fp32/load-status");
    assert.deepEqual([body.id, body.state], ["organisation/base:fp32", "cold"]);
  });

  it("says of what is not there that it is not", async () => {
    await using server = await adminServer();
    for (const name of ["nowhere", "kjv-tiny%2Bnothing", "kjv-tiny:q4", "..%2Fkjv-tiny", "load-status/load-status"]) {
      const { status, body } = await get(server, `/admin/models/${name}/load-status`);
      assert.deepEqual([status, body.error.code], [404, "model_not_found"], name);
    }
  });
});

describe("GET /admin/events", () => {
  it("tells what happens to models, each with an id and its time", async () => {
    await using server = await adminServer();
    const { response, next, leave } = await follow(server);
    assert.match(response.headers.get("Content-Type")!, /^text\/event-stream/);
    assert.equal(response.headers.get("Cache-Control"), "no-store");
    assert.equal((await next())!.type, "connected");
    await order(server, "models/pin", { model: "kjv-tiny", wait: true });
    await order(server, "models/unload", { model: "kjv-tiny", wait: true });
    const events = [];
    for (let each; (each = await next())!.type !== "evicted";) events.push(each!);
    assert.deepEqual(events.map(({ type }) => type), ["loading", "loaded", "pinned", "unpinned", "draining"]);
    assert.equal(new Set(events.map(({ id }) => id)).size, 5);
    for (const event of events) {
      assert.ok(!Number.isNaN(Date.parse(event.time)));
      assert.equal((event as { base?: string }).base, "kjv-tiny");
    }
    await leave();
  });

  it("goes on after the last event that was heard", async () => {
    await using server = await adminServer();
    const first = await follow(server);
    const { id: begun } = (await first.next())!;
    await order(server, "models/load", { model: "kjv-tiny", wait: true });
    const loading = (await first.next())!;
    assert.equal(loading.type, "loading");
    await first.leave();
    await order(server, "models/unload", { model: "kjv-tiny", wait: true });
    for (const [last, expected] of [[loading.id, "loaded"], [begun, "loading"]] as const) {
      const again = await follow(server, { "Last-Event-ID": last });
      assert.deepEqual([(await again.next())!.id, (await again.next())!.type], [last, expected]);
      await again.leave();
    }
  });

  it("tells whoever comes with another server's event that something is missed, and what is there", async () => {
    await using server = await adminServer();
    await order(server, "models/load", { model: "kjv-tiny", wait: true });
    for (const id of ["abc-3", "nothing", "x".repeat(4000), "0-99999999999999999999"]) {
      const { next, leave } = await follow(server, { "Last-Event-ID": id });
      assert.equal((await next())!.type, "connected");
      const gap = await next();
      assert.deepEqual([gap!.type, (gap as { missed?: unknown }).missed], ["gap", null]);
      assert.equal((await next())!.type, "loading");
      await leave();
    }
  });

  it("is one of the streams that the server counts, until whoever follows has gone", async () => {
    await using server = await adminServer({ limits: { maxStreams: 1 } });
    const head = await fetch(`${server.url}/admin/events`, { method: "HEAD", headers: ADMIN });
    assert.equal(head.status, 200);
    const first = await follow(server);
    assert.equal((await first.next())!.type, "connected");
    const { status, body } = await get(server, "/admin/events");
    assert.deepEqual([status, body.error.code], [503, "too_many_streams"]);
    await first.leave();
    for (let again = 503; again !== 200;) {
      const { response, leave } = await follow(server);
      again = response.status;
      await leave();
    }
  });

  it("ends when the server does", async () => {
    const server = await adminServer();
    const { next } = await follow(server);
    assert.equal((await next())!.type, "connected");
    const stopping = server.stop();
    assert.equal(await next(), undefined);
    await stopping;
  });
});

describe("POST /admin/cache/invalidate", () => {
  it("removes the entries with a tag, or of a model, and no others", async () => {
    await using server = await adminServer();
    const ask = async (prompt: string, tags: string): Promise<string> => {
      const body = { model: "kjv-tiny", prompt, max_tokens: 1, temperature: 0 };
      const response = await post(server, "/v1/completions", body, null, { ...ADMIN, "X-Warmcache-Tags": tags });
      await response.json();
      return response.headers.get("Cache-Status")!.split(";")[1]!.trim();
    };
    for (const [prompt, tag] of [["And", "draft"], ["In", "final"]] as const) await ask(prompt, tag);
    const { status, body } = await order(server, "cache/invalidate", { tag: "draft" });
    assert.deepEqual([status, body.entries], [200, 1]);
    assert.ok(body.stored_bytes > 0);
    assert.deepEqual([await ask("And", "draft"), await ask("In", "final")], ["fwd=miss", "hit"]);
    assert.equal((await order(server, "cache/invalidate", { tag: "draft", namespace: "elsewhere" })).body.entries, 0);
    assert.equal((await order(server, "cache/invalidate", { tag: "draft", namespace: "key:root" })).body.entries, 1);
    assert.equal((await order(server, "cache/invalidate", { model: "kjv-tiny" })).body.entries, 1);
    assert.equal((await order(server, "cache/invalidate", { tag: "final" })).body.entries, 0);
  });
});

describe("WarmcacheClient as an operator", () => {
  it("loads, pins, unpins and unloads, and waits for that", async () => {
    await using server = await adminServer({ loadTimeout: 1 });
    const client = new WarmcacheClient(server.url, { apiKey: "root" });
    assert.equal((await client.load("kjv-tiny", { keepAlive: -1 })).model!.state, "warm");
    assert.equal((await client.pin("kjv-tiny")).model!.loaded[0]!.pinned, true);
    assert.equal((await client.unpin("kjv-tiny")).changed, true);
    assert.equal((await client.loadStatus("kjv-tiny+fortunes")).parent, "kjv-tiny");
    assert.equal((await client.unload("kjv-tiny", { force: true })).model!.state, "cold");
  });

  it("need not wait", async () => {
    const held = heldLoads();
    await using server = await adminServer({}, held.load);
    const client = new WarmcacheClient(server.url, { apiKey: "root" });
    assert.deepEqual(await client.load("kjv-tiny", { wait: false }).then(({ done, changed }) => [done, changed]), [
      false,
      null,
    ]);
    held.open();
    await client.load("kjv-tiny");
  });

  it("throws what the server says", async () => {
    await using server = await adminServer();
    const client = new WarmcacheClient(server.url, { apiKey: "root" });
    const calls = [() => client.load("nowhere"), () => client.pin("nowhere"), () => client.loadStatus("nowhere")];
    for (const call of calls) {
      await assert.rejects(call, { name: "ClientError", code: "model_not_found", status: 404 });
    }
    const stranger = new WarmcacheClient(server.url, { apiKey: "user" });
    await assert.rejects(stranger.load("kjv-tiny"), { name: "ClientError", status: 403 });
    await assert.rejects(stranger.events().next(), { name: "ClientError", status: 403 });
  });

  it("follows events until it breaks off", async () => {
    await using server = await adminServer();
    const client = new WarmcacheClient(server.url, { apiKey: "root" });
    const types: string[] = [];
    for await (const { type } of client.events()) {
      types.push(type);
      if (type === "connected") await client.load("kjv-tiny");
      if (type === "loaded") break;
    }
    assert.deepEqual(types, ["connected", "loading", "loaded"]);
  });

  it("ends following when it is aborted", async () => {
    await using server = await adminServer();
    const client = new WarmcacheClient(server.url, { apiKey: "root" });
    const leaving = new AbortController();
    const events = client.events({ signal: leaving.signal });
    await events.next();
    const waiting = events.next();
    leaving.abort();
    await assert.rejects(waiting, { name: "AbortError" });
  });

  it("connects again where it was cut off, and misses nothing", async () => {
    await using server = await adminServer();
    let connections = 0;
    const asked: (string | null)[] = [];
    const client = new WarmcacheClient(server.url, {
      apiKey: "root",
      fetch: async (url, init) => {
        if (!url.endsWith("/admin/events")) return await fetch(url, init);
        connections++;
        asked.push(new Headers(init.headers).get("Last-Event-ID"));
        if (connections === 2) throw new TypeError("connection refused");
        const response = await fetch(url, init);
        if (connections > 1) return response;
        // Cut off after the first event, in the middle of what would be the next.
        const reader = response.body!.getReader();
        const { value } = await reader.read();
        await reader.cancel();
        return new Response(value);
      },
    });
    const types: string[] = [];
    const ids: string[] = [];
    for await (const { type, id } of client.events({ retryDelay: 1 })) {
      types.push(type);
      ids.push(id);
      if (connections === 1) await client.load("kjv-tiny");
      if (type === "loaded") break;
    }
    assert.deepEqual(types, ["connected", "connected", "loading", "loaded"]);
    assert.deepEqual(asked, [null, ids[0], ids[0]]);
  });

  it("does not connect again where it was refused", async () => {
    let connections = 0;
    const client = new WarmcacheClient("http://127.0.0.1:1", {
      fetch: () => {
        connections++;
        const event = 'data: {"id":"a-1","type":"connected"}\n\n';
        const refusal = Response.json({ error: { message: "no", code: "forbidden" } }, { status: 403 });
        return Promise.resolve(connections === 1 ? new Response(event) : refusal);
      },
    });
    const events = client.events({ retryDelay: 1 });
    await events.next();
    await assert.rejects(events.next(), (error) => error instanceof ClientError && error.code === "forbidden");
    assert.equal(connections, 2);
  });
});
