/** `examples/edge/worker.ts` in workerd: what callers see, what is paid for, and what outlives the object and the machine. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { bundleForEdge, type EdgeBundle } from "../../examples/edge/bundle.ts";
import { gate } from "../support/gate.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { refusal, startUpstream, type Upstream } from "../support/upstream/upstream.ts";
import { type RunningWorkerd, startWorkerd, type WorkerdOptions } from "./support/workerd.ts";

let bundle: Promise<EdgeBundle> | undefined;

const CHAT = "/v1/chat/completions";

/** How a question is asked, where it is not as usual. */
interface Way {
  readonly key?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A Worker in front of a provider. */
class Edge {
  readonly provider: Upstream;
  readonly #worker: RunningWorkerd;

  constructor(provider: Upstream, worker: RunningWorkerd) {
    this.provider = provider;
    this.#worker = worker;
  }

  async ask(question: string, more: object = {}, { key = "caller", path = CHAT, headers = {} }: Way = {}) {
    return await this.#worker.fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${key}`, ...headers },
      redirect: "manual",
      body: JSON.stringify({ model: "gpt-4o-mini", messages: [{ role: "user", content: question }], ...more }),
    });
  }

  /** What came of a question, and what the cache says of it. */
  async answer(question: string): Promise<readonly [text: string, outcome: string | null]> {
    const response = await this.ask(question);
    assert.equal(response.status, 200);
    const { choices: [{ message }] } = await response.json();
    return [message.content, response.headers.get("X-Warmcache")];
  }

  async get(path: string): Promise<Response> {
    return await this.#worker.fetch(path, { headers: { Authorization: "Bearer caller" } });
  }

  /** Kills workerd. */
  async kill(): Promise<void> {
    await this.#worker.kill();
  }
}

/** Runs `test` with a provider, and with what starts Workers in front of it; skips it where there is no workerd. */
async function atTheEdge(
  context: TestContext,
  test: (start: (options?: Partial<WorkerdOptions>) => Promise<Edge>, provider: Upstream) => Promise<void>,
): Promise<void> {
  const provider = await startUpstream();
  provider.mock.onMessage(/./, { content: "Blue scatters." });
  const started: Edge[] = [];
  class Skipped extends Error {}
  try {
    await test(async (options = {}) => {
      const worker = await startWorkerd(context, {
        bundle: await (bundle ??= bundleForEdge("tests/edge/workers/evicted.ts")),
        objects: { ANSWERS: "Answers" },
        bindings: { UPSTREAM: provider.url, UPSTREAM_KEY: "sk-provider", CALLER_KEY: "caller" },
        ...options,
      });
      if (worker === undefined) throw new Skipped();
      const edge = new Edge(provider, worker);
      started.push(edge);
      return edge;
    }, provider);
  } catch (error) {
    if (!(error instanceof Skipped)) throw error;
  } finally {
    for (const edge of started) await edge.kill();
    await provider.close();
  }
}

describe("a Worker with its cache in a Durable Object", () => {
  it("asks the provider with its own key, once for each question", (context) =>
    atTheEdge(context, async (start, { asked }) => {
      const edge = await start();
      assert.deepEqual(await edge.answer("Why is the sky blue?"), ["Blue scatters.", "miss"]);
      assert.deepEqual(await edge.answer("Why is the sky blue?"), ["Blue scatters.", "hit"]);
      assert.deepEqual(await edge.answer("Why is the sea blue?"), ["Blue scatters.", "miss"]);
      assert.deepEqual(asked.map(({ headers }) => headers.get("Authorization")), Array(2).fill("Bearer sk-provider"));
      assert.deepEqual(asked.map(({ path }) => path), Array(2).fill("/v1/chat/completions"));
    }));

  it("streams, from the provider and from the cache, and gives the same answer whole", (context) =>
    atTheEdge(context, async (start, { asked }) => {
      const edge = await start();
      const streams: string[] = [];
      for (const outcome of ["miss", "hit"]) {
        const response = await edge.ask("Why is the sky blue?", { stream: true });
        assert.equal(response.headers.get("X-Warmcache"), outcome);
        assert.match(response.headers.get("Content-Type")!, /^text\/event-stream/);
        streams.push(await response.text());
      }
      assert.equal(streams[1], streams[0]);
      assert.match(streams[0]!, /^data: .*\n\ndata: \[DONE\]\n\n$/s);
      assert.deepEqual(await edge.answer("Why is the sky blue?"), ["Blue scatters.", "hit"]);
      assert.equal(asked.length, 1);
    }));

  it("makes one call for who asks the same at the same time", (context) =>
    atTheEdge(context, async (start, provider) => {
      const edge = await start();
      const door = gate();
      provider.answer = () => door.pass().then(() => undefined);
      const both = [1, 2].map(() => edge.answer("Why is the sky blue?"));
      await door.reached;
      const third = edge.answer("Why is the sky blue?");
      door.open();
      const texts = (await Promise.all([...both, third])).map(([text]) => text);
      assert.deepEqual(texts, Array(3).fill("Blue scatters."));
      assert.equal(provider.asked.length, 1);
    }));

  it("answers nobody without the key, and asks nobody for him", (context) =>
    atTheEdge(context, async (start, { asked }) => {
      const edge = await start();
      await edge.answer("Why is the sky blue?");
      assert.equal((await edge.ask("Why is the sky blue?", {}, { key: "another" })).status, 401);
      assert.equal(asked.length, 1);
    }));

  it("answers nobody where somebody forgot to say with which key", (context) =>
    atTheEdge(context, async (start, { asked, url }) => {
      const complete = { UPSTREAM: url, UPSTREAM_KEY: "sk-provider", CALLER_KEY: "caller" };
      for (const name of ["CALLER_KEY", "UPSTREAM_KEY"] as const) {
        const { [name]: _forgotten, ...bindings } = complete;
        const edge = await start({ bindings });
        const key = name === "CALLER_KEY" ? "undefined" : "caller";
        const refused = await edge.ask("Why is the sky blue?", {}, { key });
        assert.equal(refused.status, 500);
        assert.match((await refused.json()).error.message, new RegExp(`wrangler secret put ${name}`));
      }
      assert.deepEqual(asked, []);
    }));

  it("gives the provider's key to nobody else, whatever the path says", (context) =>
    atTheEdge(context, async (start, { asked }) => {
      const other = await startUpstream();
      try {
        other.mock.onMessage(/./, { content: "Give it to me." });
        const edge = await start();
        await edge.ask("Why is the sky blue?", {}, { path: `//${new URL(other.url).host}${CHAT}` });
        assert.deepEqual(other.asked, []);
        assert.equal(asked.length, 1);
      } finally {
        await other.close();
      }
    }));

  it("asks below the provider's own path", (context) =>
    atTheEdge(context, async (start, { asked, url }) => {
      const bindings = { UPSTREAM: `${url}/gateway/`, UPSTREAM_KEY: "sk-provider", CALLER_KEY: "caller" };
      await (await start({ bindings })).ask("Why is the sky blue?");
      assert.deepEqual(asked.map(({ path }) => path), [`/gateway${CHAT}`]);
    }));

  it("passes a redirection on, and goes nowhere with the provider's key", (context) =>
    atTheEdge(context, async (start, provider) => {
      const other = await startUpstream();
      try {
        provider.answer = () => new Response(null, { status: 307, headers: { Location: other.url } });
        const redirected = await (await start()).ask("Why is the sky blue?");
        assert.deepEqual([redirected.status, redirected.headers.get("Location")], [307, other.url]);
        assert.deepEqual(other.asked, []);
      } finally {
        await other.close();
      }
    }));

  it("finds an answer whoever asks from wherever, and tells the provider nothing of him", (context) =>
    atTheEdge(context, async (start, { asked }) => {
      const edge = await start();
      const outcomes: unknown[] = [];
      for (const number of [1, 2]) {
        // As Cloudflare's network adds them, other ones to each request.
        const headers = {
          "CF-Ray": `8f00000000000${number}-FRA`,
          "CF-Connecting-IP": `192.0.2.${number}`,
          "CF-IPCountry": "DE",
          "CDN-Loop": `cloudflare; loops=${number}`,
          "X-Forwarded-For": `192.0.2.${number}`,
          "X-Real-IP": `192.0.2.${number}`,
          "X-Api-Key": `caller-${number}`,
          "X-Warmcache-Tags": "blue",
          "Accept-Encoding": "zstd",
          Cookie: `session=${number}`,
          TE: "trailers",
        };
        const response = await edge.ask("Why is the sky blue?", {}, { headers });
        outcomes.push(response.headers.get("X-Warmcache"));
        await response.body?.cancel();
      }
      assert.deepEqual(outcomes, ["miss", "hit"]);
      assert.equal(asked.length, 1);
      const seen = [...asked[0]!.headers.keys()].filter((name) =>
        /^(cf-(?!worker$)|cdn-|x-|cookie|te$|forwarded)/.test(name) ||
        /192\.0\.2|zstd|caller/.test(asked[0]!.headers.get(name)!)
      );
      assert.deepEqual(seen, []);
    }));

  it("tells the caller nothing that is between the provider and the Worker", (context) =>
    atTheEdge(context, async (start, provider) => {
      const edge = await start();
      const headers = { "Set-Cookie": "session=1", "Access-Control-Allow-Origin": "*", "X-Request-Id": "1" };
      const seen = async (response: Response): Promise<unknown[]> => {
        const names = ["Set-Cookie", "Access-Control-Allow-Origin", "X-Request-Id"];
        return [response.status, ...names.map((name) => response.headers.get(name)), await response.text()];
      };
      const answer = { model: "gpt-4o-mini", choices: [{ message: { content: "Blue." }, finish_reason: "stop" }] };
      provider.answer = () => Response.json(answer, { headers });
      const told = [200, null, null, "1", JSON.stringify(answer)];
      assert.deepEqual(await seen(await edge.ask("Why is the sky blue?")), told);
      provider.answer = () => Response.json({ data: [] }, { headers });
      assert.deepEqual(await seen(await edge.get("/v1/models")), [200, null, null, "1", `{"data":[]}`]);
      provider.answer = ({ headers }) => new Response(`No such key: ${headers.get("Authorization")}`, { status: 401 });
      const [status, , , , text] = await seen(await edge.ask("Why is the sea blue?"));
      assert.deepEqual([status, text], [401, "No such key: Bearer [redacted]"]);
    }));

  it("says so when the provider cannot be reached, in words that clients read", (context) =>
    atTheEdge(context, async (start) => {
      const bindings = { UPSTREAM: "http://127.0.0.1:1", UPSTREAM_KEY: "sk-provider", CALLER_KEY: "caller" };
      const failed = await (await start({ bindings })).ask("Why is the sky blue?");
      assert.deepEqual([failed.status, failed.headers.get("x-should-retry")], [502, "true"]);
      const { error } = await failed.json();
      assert.equal(error.type, "api_error");
      assert.doesNotMatch(JSON.stringify(error), /sk-provider/);
    }));

  it("passes a refusal on, and keeps nothing of it", (context) =>
    atTheEdge(context, async (start, provider) => {
      const edge = await start();
      provider.answer = () => refusal(503, "Away.");
      const refused = await edge.ask("Why is the sky blue?");
      assert.equal(refused.status, 503);
      assert.equal((await refused.json()).error.message, "Away.");
      provider.answer = () => undefined;
      assert.deepEqual(await edge.answer("Why is the sky blue?"), ["Blue scatters.", "miss"]);
    }));

  it("keeps an answer longer than a row can be", (context) =>
    atTheEdge(context, async (start, provider) => {
      const edge = await start();
      // Noise in base 16, which no codec makes as short as a row.
      const long = Array.from({ length: 800_000 }, (_, index) => Math.imul(index + 1, 2654435761) >>> 0).map((number) =>
        number.toString(16)
      ).join("");
      provider.answer = ({ body: { model } }) =>
        Response.json({ model, choices: [{ index: 0, message: { content: long }, finish_reason: "stop" }] });
      assert.deepEqual(await edge.answer("Draw the sky."), [long, "miss"]);
      assert.deepEqual(await edge.answer("Draw the sky."), [long, "hit"]);
    }));

  it("says what it has saved", (context) =>
    atTheEdge(context, async (start) => {
      const edge = await start();
      for (let time = 0; time < 3; time++) await edge.answer("Why is the sky blue?");
      const { hits, misses, store } = await (await edge.get("/stats")).json();
      assert.deepEqual({ hits, misses, entries: store.entries }, { hits: 2, misses: 1, entries: 1 });
    }));

  it("has its answers when the object has gone and comes again", (context) =>
    atTheEdge(context, async (start, { asked }) => {
      const edge = await start();
      await edge.answer("Why is the sky blue?");
      assert.equal((await edge.get("/go")).status, 503);
      assert.deepEqual(await edge.answer("Why is the sky blue?"), ["Blue scatters.", "hit"]);
      assert.equal(asked.length, 1);
    }));

  it("has every answer that anybody was given, however the machine ends", (context) =>
    atTheEdge(context, async (start, provider) => {
      const directory = await temporaryFolder();
      const questions = Array.from({ length: 40 }, (_, number) => `Why is sky ${number} blue?`);
      const given: string[] = [];
      const first = await start({ directory });
      const asking = questions.map(async (question) => {
        await first.answer(question);
        given.push(question);
        if (given.length === 10) await first.kill();
      });
      await Promise.allSettled(asking);
      assert.ok(given.length >= 10, `${given.length} were given before it ended`);

      provider.answer = () => refusal(503, "Away.");
      const second = await start({ directory });
      for (const question of given) assert.deepEqual(await second.answer(question), ["Blue scatters.", "hit"]);
    }));
});

describe("a Worker whose bundle is for no edge in particular", () => {
  it("checks its answers without WebAssembly of its own", async (context) => {
    const anybodys = await bundleForEdge("tests/edge/workers/evicted.ts", { conditions: ["browser"] });
    assert.deepEqual([...anybodys.modules.keys()], ["./zstd.wasm"]);
    await atTheEdge(context, async (start, { asked }) => {
      const edge = await start({ bundle: anybodys });
      for (const outcome of ["miss", "hit"]) {
        assert.deepEqual(await edge.answer("Why is the sky blue?"), ["Blue scatters.", outcome]);
      }
      assert.equal(asked.length, 1);
    });
  });
});

describe("a Worker with its cache in memory", () => {
  it("goes on from a snapshot that lies in a bucket", async (context) => {
    const worker = await startWorkerd(context, {
      bundle: await bundleForEdge("tests/edge/workers/snapshots.ts"),
      buckets: ["SNAPSHOTS"],
    });
    if (worker === undefined) return;
    try {
      const said: unknown[] = [];
      for (const question of ["one", "one", "two", "one"]) {
        const body = JSON.stringify({ model: "m", messages: [{ role: "user", content: question }] });
        const { answer, bought } = await (await worker.fetch("/", { method: "POST", body })).json();
        said.push([answer.choices[0].message.content, bought]);
      }
      assert.deepEqual(said, [["snapped", 1], ["snapped", 0], ["snapped", 1], ["snapped", 0]]);
    } finally {
      await worker.kill();
    }
  });
});

describe("what a Durable Object is paid for", () => {
  it("is five rows written for a new answer, and two read for a hit", async (context) => {
    const worker = await startWorkerd(context, {
      bundle: await bundleForEdge("tests/edge/workers/rows.ts"),
      objects: { ROWS: "Rows" },
    });
    if (worker === undefined) return;
    try {
      const { miss, hit } = await (await worker.fetch("/")).json();
      assert.deepEqual({ written: miss.written, hit }, { written: 5, hit: { read: 2, written: 0 } });
    } finally {
      await worker.kill();
    }
  });
});
