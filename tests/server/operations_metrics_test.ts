/** `/metrics`: what it tells, in which form, and how little it takes to ask. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { RunningServer } from "../../src/compose/server.ts";
import { GRACE } from "../../src/http/answer.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Clock } from "../../src/runtime/runtime.ts";
import type { LoadBackend } from "../../src/warm/backend_cache.ts";
import { CHAT, CHAT_PATH, startProxy } from "../proxy/support.ts";
import { gate } from "../support/gate.ts";
import { copyModel, copyModelWithOtherWeights, MODELS } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { refusal } from "../support/upstream/upstream.ts";
import { lint, parseMetrics, scrape } from "./metrics_text.ts";
import { post, testServer } from "./support.ts";

const PROMPT = { model: "kjv-tiny", prompt: "In the beginning", max_tokens: 3 };

/** Scrapes until something is so: what is over is counted when its end has been seen, which is not when the client has it. */
async function scrapeUntil(
  server: { readonly url: string },
  isSo: (metrics: Awaited<ReturnType<typeof scrape>>) => boolean,
): ReturnType<typeof scrape> {
  for (;;) {
    const metrics = await scrape(server);
    if (isSo(metrics)) return metrics;
  }
}

describe("/metrics", () => {
  let server: RunningServer;
  before(async () => {
    server = await testServer({ cache: await temporaryFolder(), hub: false });
    for (const stream of [false, true, true]) {
      await (await post(server, "/v1/completions", { ...PROMPT, stream })).text();
      await (await post(server, "/v1/completions", { ...PROMPT, model: "kjv-tiny+fortunes", stream })).text();
    }
    await (await post(server, "/v1/completions", { ...PROMPT, model: "nobody" })).text();
    await (await fetch(`${server.url}/nowhere/${"x".repeat(50)}`)).text();
    await scrapeUntil(server, (metrics) => metrics.value("warmcache_inflight_streams") === 0);
  });
  after(() => server.stop());

  it("is in Prometheus's text format, with names that its linter likes", async () => {
    const { families } = await scrape(server);
    assert.ok(families.size > 30);
    assert.deepEqual(lint(families.values()), []);
  });

  it("has everything that an operator was promised", async () => {
    const { families } = await scrape(server);
    const ours = [
      "warm_models",
      "model_state",
      "model_load_seconds",
      "model_unload_seconds",
      "model_evictions_total",
      "model_age_at_eviction_seconds",
      "model_load_failures_total",
      "load_queue_seconds",
      "request_queue_seconds",
      "inflight",
      "evicted_bytes_returned_total",
      "cache_hits_total",
      "cache_lookups_total",
      "cache_entries",
      "cache_size_bytes",
      "cache_saved_dollars_total",
      "event_loop_lag_seconds",
    ];
    const routers = ["num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "lora_requests_info"];
    const wanted = [...ours.map((name) => `warmcache_${name}`), ...routers.map((name) => `vllm:${name}`)];
    for (const name of [...wanted, "process_cpu_seconds_total", "process_resident_memory_bytes"]) {
      assert.ok(families.has(name), name);
    }
  });

  it("counts requests by the pattern of their route, never by their path", async () => {
    const metrics = await scrape(server);
    const ok = { route: "/v1/completions", method: "POST", code: "200" };
    assert.equal(metrics.value("warmcache_requests_total", ok), 6);
    assert.equal(metrics.value("warmcache_requests_total", { ...ok, code: "404" }), 1);
    assert.equal(metrics.value("warmcache_requests_total", { route: "none", code: "404" }), 1);
    assert.equal(metrics.value("warmcache_request_errors_total", { error: "model_not_found" }), 1);
    assert.equal(metrics.value("warmcache_request_errors_total", { error: "unknown_url" }), 1);
    const hits = { route: "/v1/completions", cache: "hit" };
    assert.equal(metrics.value("warmcache_request_duration_seconds_count", hits), 4);
    assert.equal(metrics.value("warmcache_stream_begin_seconds_count", hits), 4);
  });

  it("counts how requests fared in the cache", async () => {
    const metrics = await scrape(server);
    const asked = { provider: "local", model: "kjv-tiny+fortunes" };
    assert.equal(metrics.value("warmcache_cache_lookups_total", { ...asked, outcome: "miss" }), 1);
    assert.equal(metrics.value("warmcache_cache_lookups_total", { ...asked, outcome: "hit" }), 2);
    assert.equal(metrics.value("warmcache_cache_hits_total", { cold_model: "false" }), 4);
    assert.equal(metrics.value("warmcache_cache_hits_total", { cold_model: "true" }), 0);
  });

  it("tells what is in memory, and for routers which adapters are", async () => {
    const metrics = await scrape(server);
    assert.equal(metrics.value("warmcache_warm_models"), 1);
    assert.equal(metrics.value("warmcache_model_state", { model: "kjv-tiny", state: "warm" }), 1);
    assert.equal(metrics.value("warmcache_model_state", { model: "kjv-tiny", state: "loading" }), 0);
    assert.ok(metrics.value("warmcache_model_memory_bytes", { model: "kjv-tiny", memory: "ram" })! > 1e6);
    assert.equal(metrics.value("warmcache_model_load_seconds_count", { model: "kjv-tiny" }), 1);
    assert.equal(metrics.value("warmcache_request_queue_seconds_count"), 2);
    const [info] = metrics.series("vllm:lora_requests_info");
    const adapters = { running_lora_adapters: "kjv-tiny+fortunes", waiting_lora_adapters: "" };
    assert.deepEqual(info!.labels, { max_lora: "16", ...adapters });
    assert.ok(Math.abs(info!.value - Date.now() / 1000) < 60);
    assert.equal(metrics.value("vllm:num_requests_running"), 0);
    assert.equal(metrics.value("vllm:num_requests_waiting"), 0);
  });

  it("tells what the cache holds, as it was when it was last asked", async () => {
    const metrics = await scrapeUntil(server, (metrics) => metrics.value("warmcache_cache_entries") !== undefined);
    assert.equal(metrics.value("warmcache_cache_entries"), 2);
    assert.equal(metrics.value("warmcache_cache_writes_total"), 2);
    assert.ok(metrics.value("warmcache_cache_saved_tokens_total")! > 0);
    assert.equal(metrics.value("warmcache_cache_failed_writes_total"), 0);
  });

  it("says which program runs where", async () => {
    const { labels } = (await scrape(server)).series("warmcache_build_info")[0]!;
    const { name, version } = await loadRuntime();
    assert.deepEqual([labels.runtime, labels.runtime_version], [name, version]);
  });

  it("belongs to one server: another in the same process counts for itself", async () => {
    await using other = await testServer({ cache: await temporaryFolder(), hub: false });
    assert.equal((await scrape(other)).value("warmcache_requests_total"), undefined);
  });
});

describe("the series of /metrics", () => {
  it("do not grow with models that are none, however many are asked for", async () => {
    await using server = await testServer({ cache: await temporaryFolder(), hub: false });
    const before = (await scrape(server)).families;
    for (let each = 0; each < 30; each++) {
      await (await post(server, "/v1/completions", { ...PROMPT, model: `none-${each}` })).text();
      await (await fetch(`${server.url}/v1/models/none-${each}`)).text();
      await (await fetch(`${server.url}/none-${each}`, { method: "DELETE" })).text();
    }
    const metrics = await scrape(server);
    for (const { samples } of metrics.families.values()) {
      assert.ok(samples.every(({ labels }) => !Object.values(labels).some((value) => value.includes("none-"))));
    }
    assert.deepEqual([...metrics.families.keys()], [...before.keys()]);
    assert.deepEqual(
      new Set(metrics.series("warmcache_requests_total").map(({ labels }) => labels.route)),
      new Set([
        "/metrics",
        "/v1/completions",
        "/v1/models/:name{.+}",
        "none",
      ]),
    );
  });

  it("are for models of a provider that have answered", async () => {
    await using proxy = await startProxy();
    for (const model of ["gpt-4o-mini", "gpt-4o-mini", "sk-a-key-by-mistake"]) {
      proxy.upstream.answer = () => model.startsWith("sk-") ? refusal(404, "no such model") : undefined;
      await (await proxy.post(CHAT_PATH, { ...CHAT, model })).text();
    }
    const metrics = await scrape(proxy.server);
    const lookups = metrics.series("warmcache_cache_lookups_total", { provider: "openai" });
    assert.deepEqual(lookups.map(({ labels: { model, outcome }, value }) => [model, outcome, value]), [
      ["gpt-4o-mini", "miss", 1],
      ["gpt-4o-mini", "hit", 1],
      ["other", "miss", 1],
    ]);
    assert.equal(metrics.value("warmcache_requests_total", { route: "/openai/*", code: "404" }), 1);
  });
});

describe("a model that comes and goes", () => {
  it("is counted: its load, the wait for it, its age when it went, and hits while it is cold", async () => {
    const models = await temporaryFolder();
    await copyModel(models, "one");
    await copyModelWithOtherWeights(models, "two");
    await using server = await testServer({
      cache: await temporaryFolder(),
      hub: false,
      models,
      maxLoadedModels: 1,
      loadTimeout: 300_000,
    });
    const ask = async (model: string): Promise<void> => {
      await (await post(server, "/v1/completions", { ...PROMPT, model })).text();
    };
    await ask("one");
    await ask("two");
    await ask("one");
    const metrics = await scrape(server);
    assert.equal(metrics.value("warmcache_cache_hits_total", { cold_model: "true" }), 1);
    assert.equal(metrics.value("warmcache_model_evictions_total", { reason: "room" }), 1);
    assert.equal(metrics.value("warmcache_model_evictions_total", { reason: "idle" }), 0);
    assert.equal(metrics.value("warmcache_model_age_at_eviction_seconds_count"), 1);
    assert.equal(metrics.value("warmcache_model_unload_seconds_count"), 1);
    assert.ok(metrics.value("warmcache_evicted_bytes_returned_total")! > 1e6);
    assert.equal(metrics.value("warmcache_load_queue_seconds_count"), 2);
  });

  it("is counted where it cannot be loaded", async () => {
    const load = (): Promise<never> => Promise.reject(new Error("it is broken"));
    await using server = await testServer({ cache: await temporaryFolder(), hub: false }, load);
    await (await post(server, "/v1/completions", PROMPT)).text();
    const metrics = await scrape(server);
    assert.equal(metrics.value("warmcache_model_load_failures_total", { model: "kjv-tiny" }), 1);
    assert.equal(metrics.value("warmcache_model_state", { model: "kjv-tiny", state: "cooldown" }), 1);
  });

  it("shows who waits for it", async () => {
    const runtime = await loadRuntime();
    const held = gate();
    await using server = await testServer({ cache: await temporaryFolder(), hub: false }, async (base, signal) => {
      await held.pass();
      return await loadOnnxBackend(runtime, base, { signal });
    });
    const asking = [post(server, "/v1/completions", PROMPT)];
    await held.reached;
    // Only the adapter that was asked for last is told.
    asking.push(post(server, "/v1/completions", { ...PROMPT, model: "kjv-tiny+fortunes" }));
    const metrics = await scrapeUntil(server, (metrics) => metrics.value("vllm:num_requests_waiting") === 2);
    assert.equal(metrics.value("vllm:num_requests_running"), 0);
    assert.equal(metrics.value("warmcache_waiting_requests"), 2);
    assert.equal(metrics.value("warmcache_inflight"), 3, "with the scrape itself");
    assert.equal(metrics.series("vllm:lora_requests_info")[0]!.labels.waiting_lora_adapters, "kjv-tiny+fortunes");
    held.open();
    for (const each of asking) assert.equal((await each).status, 200);
  });
});

describe("a stream", () => {
  it("is under way until its client leaves, which is no end like another", async () => {
    const runtime = await loadRuntime();
    const held = gate();
    const sleep: Clock["sleep"] = (duration, options) =>
      duration === GRACE ? Promise.resolve() : runtime.clock.sleep(duration, options);
    const load: LoadBackend = async (base, signal) => {
      await held.pass();
      return await loadOnnxBackend(runtime, base, { signal });
    };
    await using server = await testServer({ cache: await temporaryFolder(), hub: false }, load, { sleep });
    const { body } = await post(server, "/v1/completions", { ...PROMPT, stream: true });
    await held.reached;
    const during = await scrape(server);
    assert.equal(during.value("warmcache_inflight_streams"), 1);
    assert.equal(during.value("warmcache_requests_aborted_total"), 0);
    await body!.cancel();
    const metrics = await scrapeUntil(server, (metrics) => metrics.value("warmcache_inflight_streams") === 0);
    assert.equal(metrics.value("warmcache_requests_aborted_total"), 1);
    assert.equal(metrics.value("warmcache_inflight"), 1, "the scrape itself");
    held.open();
  });

  it("of a provider is under way until its last byte, from the cache or not", async () => {
    await using proxy = await startProxy();
    for (const cache of ["miss", "hit"]) {
      await (await proxy.post(CHAT_PATH, { ...CHAT, stream: true })).text();
      const labels = { route: "/openai/*", cache };
      const isCounted = (metrics: Awaited<ReturnType<typeof scrape>>): boolean =>
        metrics.value("warmcache_stream_begin_seconds_count", labels) === 1;
      const metrics = await scrapeUntil(proxy.server, isCounted);
      assert.equal(metrics.value("warmcache_inflight_streams"), 0);
    }
  });

  it("that nobody reads, since it was asked for by HEAD, is over", async () => {
    await using server = await testServer({ cache: await temporaryFolder(), hub: false, models: MODELS });
    await (await fetch(`${server.url}/v1/models`, { method: "HEAD" })).text();
    const metrics = await scrape(server);
    assert.equal(metrics.value("warmcache_inflight"), 1);
    assert.equal(metrics.value("warmcache_requests_total", { route: "/v1/models", method: "HEAD" }), 1);
  });
});

describe("a scrape", () => {
  it("needs a key of the scope status where there are keys", async () => {
    const apiKey = ["plain-key", { key: "models-key", scopes: ["models"] as const }];
    await using server = await testServer({ cache: await temporaryFolder(), hub: false, apiKey });
    const statusWith = async (key?: string): Promise<number> => {
      const headers = key === undefined ? undefined : { Authorization: `Bearer ${key}` };
      const response = await fetch(`${server.url}/metrics`, headers && { headers });
      await response.text();
      return response.status;
    };
    assert.deepEqual([await statusWith(), await statusWith("models-key"), await statusWith("plain-key")], [
      401,
      403,
      200,
    ]);
  });
});

describe("parseMetrics", () => {
  for (
    const [fault, text] of [
      ["a metric without help", "# TYPE a_total counter\na_total 1\n"],
      ["a metric in two pieces", "# HELP a x\n# TYPE a gauge\na 1\n# HELP a x\n# TYPE a gauge\na 2\n"],
      ["a series twice", '# HELP a x\n# TYPE a gauge\na{b="1"} 1\na{b="1"} 2\n'],
      ["a quote that is not escaped", '# HELP a x\n# TYPE a gauge\na{b="1"2"} 1\n'],
      [
        "buckets that do not add up",
        '# HELP a x\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
      ],
      ["a line of another metric", "# HELP a x\n# TYPE a gauge\nb 1\n"],
    ] as const
  ) {
    it(`refuses ${fault}`, () => {
      assert.throws(() => parseMetrics(text));
    });
  }
});
