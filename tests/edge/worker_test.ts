/** `examples/edge/worker.ts` in workerd: what callers see, what is paid for, and what outlives the object and the machine. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { bundleForEdge, type EdgeBundle } from "../../examples/edge/bundle.ts";
import { gate } from "../support/gate.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { refusal, startUpstream, type Upstream } from "../support/upstream/upstream.ts";
import { type RunningWorkerd, startWorkerd, type WorkerdOptions } from "./support/workerd.ts";

let bundle: Promise<EdgeBundle> | undefined;

/** A Worker in front of a provider. */
class Edge {
  readonly provider: Upstream;
  readonly #worker: RunningWorkerd;

  constructor(provider: Upstream, worker: RunningWorkerd) {
    this.provider = provider;
    this.#worker = worker;
  }

  async ask(question: string, more: object = {}, key = "caller"): Promise<Response> {
    return await this.#worker.fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${key}` },
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
      assert.equal((await edge.ask("Why is the sky blue?", {}, "another")).status, 401);
      assert.equal(asked.length, 1);
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
      assert.equal((await edge.get("/go")).status, 500);
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
