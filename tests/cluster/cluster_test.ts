/**
 * Two servers, a Redis Cluster of three nodes and HAProxy with `deploy/cluster/haproxy.cfg`, all of them real and in
 * processes of their own: what stays together, and what is lost when a part of it goes. The tests share one cluster and
 * leave it whole to one another.
 */

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it, type TestContext } from "node:test";
import { type Member, startProxy, startServer } from "../../deploy/cluster/parts.ts";
import type { Program } from "../../deploy/cluster/process.ts";
import { hexOf } from "../../src/runtime/hex.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { getJson, post } from "../server/support.ts";
import { copyModelWithOtherWeights } from "../support/models.ts";
import { requirePart } from "../support/parts.ts";
import { freePort, type RedisServer, requireRedis, startCluster, until } from "../support/redis_server.ts";
import { temporaryFolder } from "../support/temporary.ts";

const PATIENT = { timeout: 120_000 };
const BASES = ["genesis", "exodus", "leviticus", "numbers", "joshua", "judges"];
/** What the proxy needs to see that a server leaves: two checks of a second each, and some. */
const DRAIN_DELAY = "4";

const programs = new Set<Program>();
const killAll = (): void => {
  for (const { pid } of programs) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended.
    }
  }
};
process.on("exit", killAll);
// Deno tells a test module of its end in this way only.
globalThis.addEventListener?.("unload", killAll);

/** The parts, and how to have one of the servers again. */
interface Cluster {
  readonly url: string;
  /** The proxy's page about itself. */
  readonly statusUrl: string;
  readonly members: readonly Member[];
  readonly redis: readonly RedisServer[];
  readonly servers: Map<string, Program>;
  start(member: Member): Promise<void>;
}

async function startAll(): Promise<Cluster> {
  const folder = await temporaryFolder();
  const models = join(folder, "models");
  for (const [number, base] of BASES.entries()) {
    await copyModelWithOtherWeights(models, base, (weight) => weight * (1 + number / 8));
  }
  const redis = await startCluster();
  const members: Member[] = await Promise.all(["s1", "s2"].map(async (name) => ({ name, port: await freePort() })));
  const servers = new Map<string, Program>();
  const start = async (member: Member): Promise<void> => {
    await mkdir(join(folder, member.name), { recursive: true });
    const server = await startServer({
      ...{ ...member, models, folder: join(folder, member.name), redis: redis.map(({ url }) => url) },
      flags: ["--max-loaded-models", "8", "--no-hub", "--drain-delay", DRAIN_DELAY],
    });
    servers.set(member.name, server);
    programs.add(server);
  };
  await Promise.all(members.map(start));
  const [port, statusPort] = [await freePort(), await freePort()];
  const edit = (text: string): string => text.replaceAll(/\b10s\b/g, "2s");
  programs.add(await startProxy(folder, { port, statusPort, members }, { edit }));
  return {
    url: `http://127.0.0.1:${port}`,
    statusUrl: `http://127.0.0.1:${statusPort}`,
    members,
    redis,
    servers,
    start,
  };
}

let starting: Promise<Cluster> | undefined;

after(async () => {
  const cluster = await starting;
  for (const program of programs) await program.stop("SIGKILL");
  for (const server of cluster?.redis ?? []) await server.stop();
});

/** The cluster; if a part of it is not installed, the test is skipped. */
async function clusterFor(context: TestContext): Promise<Cluster | undefined> {
  if (!requireRedis(context) || !requirePart(context, "haproxy")) return undefined;
  return await (starting ??= startAll());
}

/** A request that was answered. */
interface Answered {
  readonly status: number;
  readonly server: string;
  readonly cache: string;
  readonly body: string;
}

async function ask(
  at: { readonly url: string },
  body: object,
  headers: Record<string, string> = {},
  path: string = "/v1/completions",
): Promise<Answered> {
  const response = await post(at, path, { max_tokens: 2, temperature: 0, ...body }, null, headers);
  const { status } = response;
  const [server, cache] = ["X-Served-By", "Cache-Status"].map((name) => response.headers.get(name) ?? "none");
  return { status, server: server!, cache: cache!, body: await response.text() };
}

/** What a completion says, whoever computed it and when. */
function textIn({ body }: Answered): string {
  return JSON.parse(body).choices[0].text;
}

/** Begins a stream that takes a while, and tells how to read on: what comes to an end in good order ends with `[DONE]`. */
async function beginStream(cluster: Cluster, model: string): Promise<() => Promise<string>> {
  const long = { model, prompt: "A long one", n: 8, max_tokens: 120, temperature: 1, seed: 1, stream: true };
  const response = await post(cluster, "/v1/completions", long, null, { "Cache-Control": "no-store" });
  const reader = response.body!.getReader();
  let text = new TextDecoder().decode((await reader.read()).value);
  return async () => {
    try {
      for (let next; !(next = await reader.read()).done;) text += new TextDecoder().decode(next.value);
    } catch {
      text += "\nbroken off";
    }
    return text;
  };
}

/** Asks for every base and says which server answered for each. */
async function ownersOf(cluster: Cluster): Promise<Map<string, string>> {
  const owners = new Map<string, string>();
  for (const model of BASES) owners.set(model, (await ask(cluster, { model, prompt: "In" })).server);
  return owners;
}

/** Waits until both servers are asked again. */
async function whole(cluster: Cluster): Promise<void> {
  await until("both servers to be asked", async () => new Set((await ownersOf(cluster)).values()).size === 2);
}

/** Asks again and again, in several places at once, until it is stopped; then tells all that was answered. */
function keepAsking(cluster: Cluster, clients: number): () => Promise<readonly Answered[]> {
  const answered: Answered[] = [];
  let isOver = false;
  let next = 0;
  const client = async (): Promise<void> => {
    while (!isOver) {
      const number = next++;
      const base = BASES[number % BASES.length]!;
      const model = number % 5 === 0 ? `${base}+fortunes` : base;
      const headers: Record<string, string> = number % 3 === 0 ? { "Cache-Control": "no-store" } : {};
      answered.push(await ask(cluster, { model, prompt: `Verse ${number % 40}`, stream: number % 4 === 0 }, headers));
      const list = await fetch(`${cluster.url}/v1/models`);
      answered.push({ status: list.status, server: "", cache: "", body: await list.text() });
    }
  };
  const clientsDone = Promise.all(Array.from({ length: clients }, client));
  return async () => {
    isOver = true;
    await clientsDone;
    return answered;
  };
}

describe("a base behind the proxy", () => {
  it(
    "stays on one server, with its adapters, streamed or whole, as text, chat or embedding",
    PATIENT,
    async (context) => {
      const cluster = await clusterFor(context);
      if (cluster === undefined) return;
      const servers = new Set<string>();
      for (const base of BASES) {
        const messages = [{ role: "user", content: "Say on" }];
        const models = { base: { base }, ft: { base, adapter: "fortunes" } };
        const spec = { models, suite: [{ kind: "delta_kl", prompts: ["In"] }] };
        const answered: Answered[] = [
          await ask(cluster, { model: base, prompt: "And" }),
          await ask(cluster, { prompt: "But", stream: true, model: `${base}+fortunes` }),
          await ask(cluster, { messages, model: `${base}+fortunes` }, {}, "/v1/chat/completions"),
          await ask(cluster, { prompt: "And", model: base }, { "X-Warmcache-Model": `${base}+fortunes` }),
        ];
        if (base === BASES[0]) {
          answered.push(await ask(cluster, { model: base, input: "In" }, {}, "/v1/embeddings"));
          answered.push(await ask(cluster, { spec, max_tokens: undefined, temperature: undefined }, {}, "/run"));
        }
        // The example model has no template for chats; what it is refused with comes from the same server.
        for (const { status, body } of answered) assert.ok(status === 200 || status === 400, body);
        const its: string[] = [...new Set(answered.map(({ server }) => server))];
        assert.equal(its.length, 1, base);
        servers.add(its[0]!);
        const elsewhere: Member = cluster.members.find(({ name }) => name !== its[0])!;
        const { loaded_models } = await getJson({ url: `http://127.0.0.1:${elsewhere.port}` }, "/health");
        assert.ok(!loaded_models.some((model: { base: string }) => model.base === base), "it is loaded there alone");
      }
      assert.deepEqual([...servers].sort(), ["s1", "s2"]);
    },
  );

  it(
    "is found in a body that is longer than the proxy looks at, and named in a header where it is not",
    PATIENT,
    async (context) => {
      const cluster = await clusterFor(context);
      if (cluster === undefined) return;
      const owners = await ownersOf(cluster);
      const prompt = "And ".repeat(50_000);
      for (const model of BASES) {
        const first = await ask(cluster, { model, prompt });
        const last = await ask(cluster, { prompt, model }, { "X-Warmcache-Model": model });
        assert.deepEqual([first.server, last.server], [owners.get(model), owners.get(model)]);
        assert.deepEqual([first.status, last.status], [400, 400], first.body);
      }
    },
  );

  it("may be named so that nobody can have it: a server says so", PATIENT, async (context) => {
    const cluster = await clusterFor(context);
    if (cluster === undefined) return;
    for (const model of ["", "+", "no body", "../x", 5, null, "x".repeat(5000)]) {
      const { status, server } = await ask(cluster, { model, prompt: "In" });
      assert.ok(status === 400 || status === 404, `${model}: ${status}`);
      assert.match(server, /^s[12]$/);
    }
    const noJson = await post(cluster, "/v1/completions", "model");
    assert.equal(noJson.status, 400);
    await noJson.text();
  });

  it("is not loaded, pinned or watched from there: each server is asked for itself", PATIENT, async (context) => {
    const cluster = await clusterFor(context);
    if (cluster === undefined) return;
    for (const path of ["/admin/models/load", "/admin", "//admin/events", "/%61dmin/models/load"]) {
      const { status, body } = await ask(cluster, { model: BASES[0] }, {}, path);
      assert.equal(status, 403, path);
      assert.equal(JSON.parse(body).error.code, "not_proxied");
    }
  });

  it("is waited for no longer than a client may take to say what he wants", PATIENT, async (context) => {
    const cluster = await clusterFor(context);
    if (cluster === undefined) return;
    const heads = ["POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n", "Content-Length: 99\r\n\r\n{"];
    await Promise.all([heads[0]!, heads.join("")].map(async (said) => {
      const socket = connect(Number(new URL(cluster.url).port), "127.0.0.1");
      socket.write(said);
      let heard = "";
      for await (const bytes of socket) heard += bytes;
      assert.match(heard, /^HTTP\/1.1 408 /);
    }));
  });
});

describe("an answer", () => {
  it("that was bought through one server is a hit on the other", PATIENT, async (context) => {
    const cluster = await clusterFor(context);
    if (cluster === undefined) return;
    for (const model of [...BASES, `${BASES[0]}+fortunes`]) {
      const bought = await ask(cluster, { model, prompt: "Bought once", max_tokens: 5 });
      assert.equal(bought.status, 200, bought.body);
      assert.match(bought.cache, /fwd=miss/);
      const other: Member = cluster.members.find(({ name }) => name !== bought.server)!;
      const found = await ask({ url: `http://127.0.0.1:${other.port}` }, {
        model,
        prompt: "Bought once",
        max_tokens: 5,
      });
      assert.match(found.cache, /^warmcache; hit/);
      assert.deepEqual([found.server, found.body], [other.name, bought.body]);
    }
  });
});

describe("a Redis node that dies", () => {
  it("makes misses of its own models' answers, and an error of nothing", PATIENT, async (context) => {
    const cluster = await clusterFor(context);
    if (cluster === undefined) return;
    const runtime = await loadRuntime();
    const request = { prompt: "Kept in Redis", max_tokens: 3 };
    const before = new Map<string, string>();
    for (const model of BASES) before.set(model, textIn(await ask(cluster, { model, ...request })));
    const nodeOf = (model: string): RedisServer => {
      const name = hexOf(runtime.sha256(new TextEncoder().encode(model))).slice(0, 16);
      const slot = Number(cluster.redis[0]!.command("CLUSTER", "KEYSLOT", `{${name}}`));
      return cluster.redis.find((node) => {
        const mine = node.command("CLUSTER", "NODES").split("\n").find((line) => line.includes("myself"))!;
        const [first, last] = mine.split(" ")[8]!.split("-").map(Number);
        return slot >= first! && slot <= last!;
      })!;
    };
    const dead = nodeOf(BASES[0]!);
    const lost = new Set(BASES.filter((model) => nodeOf(model) === dead));
    await dead.kill();
    for (const model of BASES) {
      const { status, body, cache } = await ask(cluster, { model, ...request });
      assert.equal(status, 200, body);
      assert.equal(JSON.parse(body).choices[0].text, before.get(model));
      if (lost.has(model)) assert.doesNotMatch(cache, /; hit/);
    }
    await until("what the others keep to be found", async () => {
      const kept = BASES.filter((model) => !lost.has(model));
      const found = await Promise.all(kept.map((model) => ask(cluster, { model, ...request })));
      return found.every(({ status, cache }) => status === 200 && /; hit/.test(cache));
    });
    await dead.restart();
    await until("answers to be kept there again", async () => {
      const { status, cache } = await ask(cluster, { model: BASES[0], ...request });
      assert.equal(status, 200);
      return /; hit/.test(cache);
    });
  });
});

describe("a server that leaves", () => {
  it("loses no request: it is asked nothing more before it stops to listen", PATIENT, async (context) => {
    const cluster = await clusterFor(context);
    if (cluster === undefined) return;
    const [leaving, staying] = cluster.members;
    await whole(cluster);
    const owners = await ownersOf(cluster);
    const stopAsking = keepAsking(cluster, 3);
    const begun = await beginStream(cluster, BASES.find((base) => owners.get(base) === leaving!.name)!);
    const status = await cluster.servers.get(leaving!.name)!.stop("SIGTERM");
    assert.equal(status, 0, cluster.servers.get(leaving!.name)!.output());
    assert.match(await begun(), /data: \[DONE\]\n\n$/);
    const answered = await stopAsking();
    assert.ok(answered.length > 20);
    assert.deepEqual([...new Set(answered.map(({ status }) => status))], [200]);
    for (const { body } of answered) if (body.startsWith("data:")) assert.match(body, /data: \[DONE\]\n\n$/);
    assert.deepEqual([...new Set((await ownersOf(cluster)).values())], [staying!.name]);
    await cluster.start(leaving!);
    await whole(cluster);
  });
});

describe("a server that is killed", () => {
  it("loses the streams that it had begun, and nothing else", PATIENT, async (context) => {
    const cluster = await clusterFor(context);
    if (cluster === undefined) return;
    await whole(cluster);
    const owners = await ownersOf(cluster);
    const [dying, living] = cluster.members;
    const of = (member: Member): string => BASES.find((base) => owners.get(base) === member.name)!;
    const elsewhere = await beginStream(cluster, of(living!));
    const begun = await beginStream(cluster, of(dying!));
    // It lies there as a machine does that is about to die: what is sent to it now is in its hands, and unanswered.
    const { pid } = cluster.servers.get(dying!.name)!;
    process.kill(pid, "SIGSTOP");
    const inHand = ask(cluster, { model: of(dying!), prompt: "In its hands" });
    await new Promise((resolve) => setTimeout(resolve, 300));
    await cluster.servers.get(dying!.name)!.stop("SIGKILL");
    const stopAsking = keepAsking(cluster, 2);

    assert.doesNotMatch(await begun(), /\[DONE\]/);
    assert.match(await elsewhere(), /data: \[DONE\]\n\n$/);
    const { status, server } = await inHand;
    assert.deepEqual([status, server], [200, living!.name]);
    await until("the other server to have its models", async () => {
      return new Set((await ownersOf(cluster)).values()).size === 1;
    });
    const answered = await stopAsking();
    assert.deepEqual([...new Set(answered.map(({ status }) => status))], [200]);
    await cluster.start(dying!);
    await whole(cluster);
  });
});

describe("the proxy's page about itself", () => {
  it("shows who is asked, to people and to Prometheus", PATIENT, async (context) => {
    const cluster = await clusterFor(context);
    if (cluster === undefined) return;
    const [page, metrics] = await Promise.all(["/", "/metrics"].map(async (path) => {
      return await (await fetch(cluster.statusUrl + path)).text();
    }));
    assert.match(page!, /models\/s1/);
    assert.match(metrics!, /haproxy_server_status\{proxy="models",server="s2",state="UP"\} 1/);
  });
});
