/** Pieces of pages, without a server: what they say, and that nothing from outside becomes markup. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { answerTexts } from "../../src/cache/answer/answer_text.ts";
import { lastWords } from "../../src/cache/request/last_words.ts";
import { barChart, gauge } from "../../src/http/dashboard/chart.ts";
import { explainPage } from "../../src/http/dashboard/explain_page.ts";
import { requestList } from "../../src/http/dashboard/explorer.ts";
import { happeningsSection } from "../../src/http/dashboard/happenings.ts";
import { markup } from "../../src/http/dashboard/html.ts";
import { jsonView, SHOWN_JSON } from "../../src/http/dashboard/json_view.ts";
import { page, pageResponse } from "../../src/http/dashboard/page.ts";
import { SCRIPT } from "../../src/http/dashboard/script.ts";
import { STYLE } from "../../src/http/dashboard/style.ts";
import { modelsSection, requestsSection } from "../../src/http/dashboard/tables.ts";
import { warmSection, whyOf } from "../../src/http/dashboard/warm.ts";
import { ModelError } from "../../src/model/error.ts";
import type { LoadedModel } from "../../src/warm/backend_cache.ts";

const HOSTILE = `</script><img src=x onerror="alert('1')">&'`;
const NOW = Date.UTC(2026, 10, 22, 12);

const MODEL: LoadedModel = {
  kind: "onnx",
  base: "kjv-tiny",
  adapter: null,
  dtype: "fp32",
  device: "wasm",
  identity: "0123456789abcdef",
  adapters: [],
  state: "warm",
  pinned: false,
  leases: 0,
  load_seconds: 2.5,
  last_used: new Date(NOW - 12_000).toISOString(),
  bytes: 50_000_000,
  gpu_bytes: 0,
  predicted_bytes: 60_000_000,
  keep_alive_until: null,
  cooldown_until: null,
  last_error: null,
};

async function textOf(piece: unknown): Promise<string> {
  return String(await piece).replaceAll("\u00a0", " ");
}

describe("whyOf", () => {
  const why = async (model: Partial<LoadedModel>, etaSeconds: number | null = null): Promise<string> => {
    return await textOf(whyOf({ ...MODEL, ...model }, { since: undefined, etaSeconds }, NOW));
  };

  it("says who uses a base, else until when it stays", async () => {
    assert.equal(await why({ leases: 2 }), "In use by 2 requests.");
    assert.equal(await why({ leases: 1, pinned: true }), "In use by 1 request, and pinned.");
    assert.equal(await why({}), "Idle for 12 s; it stays until its room is needed.");
    assert.equal(await why({ pinned: true }), "Pinned: it stays however long nobody uses it. Idle for 12 s.");
    assert.equal(
      await why({ keep_alive_until: new Date(NOW + 90_000).toISOString() }),
      "Idle for 12 s; it goes in 1 min 30 s, at 12:01:30 UTC, unless it is used, and sooner if its room is needed.",
    );
  });

  it("says how far one is on its way in or out", async () => {
    assert.equal(
      await why({ state: "loading", leases: 1 }, 3),
      "It is loading, about 3.0 s left; 1 request waits for it.",
    );
    assert.equal(await why({ state: "loading" }), "It is loading; nobody waits for it now.");
    assert.equal(await why({ state: "draining", leases: 2 }), "It takes no more requests; 2 requests still use it.");
    assert.equal(await why({ state: "draining" }), "It takes no more requests; its memory is being given back.");
  });

  it("says why one rests, and until when", async () => {
    const failed = { state: "cooldown", last_error: "no graph" } as const;
    assert.equal(
      await why({ ...failed, cooldown_until: new Date(NOW + 8000).toISOString() }),
      'Its load failed; it may be tried again in 8 s, at 12:00:08 UTC. <span class="error">no graph</span>',
    );
    assert.match(await why(failed), /^Its load failed, and will until its files change\./);
  });
});

describe("warmSection", () => {
  const room = { known: () => ({ since: NOW - 60_000, etaSeconds: undefined }), waiting: 0, device: undefined };

  it("shows bytes against their limits", async () => {
    const text = await textOf(
      warmSection({ ...room, models: [MODEL], maxLoaded: 2, maxRamBytes: 200_000_000, maxGpuBytes: Infinity }, NOW),
    );
    assert.match(text, /aria-label="1 of 2 places taken"/);
    assert.match(text, /aria-label="Memory: 50.0 MB, of 200.0 MB"/);
    assert.match(text, /<rect class="fill" x="0" y="0" width="247"/, "a quarter of 1000, less the gap");
    assert.match(text, /50\.0 MB; 60\.0 MB predicted/);
    assert.ok(!text.includes("GPU memory"), "of what there is none nothing is said");
  });

  it("has something to say when nothing is warm", async () => {
    const text = await textOf(
      warmSection({ ...room, models: [], maxLoaded: 2, maxRamBytes: Infinity, maxGpuBytes: Infinity }, NOW),
    );
    assert.match(text, /No model is in memory\./);
    assert.match(text, /no limit is set/);
  });

  it("draws no bar of memory where there is no limit, for it would always be full", async () => {
    const text = await textOf(
      warmSection({ ...room, models: [MODEL], maxLoaded: 2, maxRamBytes: Infinity, maxGpuBytes: Infinity }, NOW),
    );
    assert.match(text, /50\.0 MB<\/strong> <span class="faint">no limit is set/);
    assert.doesNotMatch(text, /aria-label="Memory:/);
  });
});

describe("what comes from outside", () => {
  it("is text, wherever it stands", async () => {
    const error = new ModelError("model_load_failed", HOSTILE);
    const failed = { ...MODEL, base: HOSTILE, state: "cooldown", last_error: HOSTILE, adapters: [HOSTILE] } as const;
    const request = {
      key: HOSTILE,
      model: HOSTILE,
      namespace: HOSTILE,
      provider: HOSTILE,
      endpoint: HOSTILE,
      identity: HOSTILE,
      body: { model: HOSTILE, messages: [{ role: "user", content: HOSTILE }] },
    };
    const record = {
      id: HOSTILE,
      time: NOW,
      method: "POST",
      status: 500,
      errorCode: HOSTILE,
      firstByteTime: 1,
      duration: 1,
      isStream: true,
      isAborted: false,
      model: HOSTILE,
      provider: HOSTILE,
    };
    const records = [record];
    const near = {
      key: HOSTILE,
      namespace: HOSTILE,
      provider: HOSTILE,
      endpoint: HOSTILE,
      identity: null,
      differences: [{ path: HOSTILE, kind: "changed", stored: `"a${HOSTILE}"`, asked: `"b${HOSTILE}"` }],
      differenceCount: 9,
      similarity: 0.5,
    } as const;
    const scope = { provider: HOSTILE, endpoint: HOSTILE, namespace: HOSTILE, identity: HOSTILE };
    const wanted = { model: HOSTILE, namespace: HOSTILE, text: HOSTILE, from: 0 };
    const explanation = { key: HOSTILE, samples: 0, failures: null, nearest: [near], text: "" };
    const room = { known: () => ({ since: 0, etaSeconds: 1 }), waiting: 1, device: HOSTILE };
    const limits = { maxLoaded: 1, maxRamBytes: 1, maxGpuBytes: 1 };
    const counts = { lookups: 1, hits: 1, hitRate: 1, saved: {}, spentMicrodollars: 0, bypassed: 1 };
    const pieces = [
      warmSection({ ...room, ...limits, models: [failed, { ...MODEL, base: HOSTILE }] }, NOW),
      happeningsSection([
        { number: 1, time: NOW, event: { type: "load_failed", base: HOSTILE, identity: "i", error, retryAt: null } },
      ]),
      requestsSection({ slowest: records, dearest: records, latest: records }),
      modelsSection({ [HOSTILE]: counts as never }, true),
      requestList(wanted, { requests: [request], hasMore: true, isCut: true }, [HOSTILE]),
      explainPage({ request: HOSTILE, scope }, { explanation }),
      explainPage({ request: HOSTILE, scope }, { problem: HOSTILE }),
      jsonView(request, HOSTILE),
      barChart({ summary: HOSTILE, bars: [{ label: HOSTILE, value: 1 }], ends: [HOSTILE, HOSTILE], top: HOSTILE }),
      gauge(HOSTILE, [{ label: HOSTILE, value: 1, look: "fill" }], 1),
      page({
        title: HOSTILE,
        path: HOSTILE,
        theme: "auto",
        session: HOSTILE,
        version: HOSTILE,
        assets: { style: "s", script: "j", icon: "i" },
      }, markup``),
    ];
    for (const [index, piece] of pieces.entries()) {
      const text = await textOf(piece);
      assert.ok(text.includes("&lt;img"), `piece ${index} shows it`);
      assert.ok(!text.includes("<img"), `piece ${index} has it as markup`);
      assert.ok(!/="[^"]*onerror="/.test(text), `piece ${index} lets it out of an attribute`);
    }
  });
});

describe("page", () => {
  it("comes with a policy under which nothing foreign runs, and keeps to it", async () => {
    const assets = { style: "/s.css", script: "/s.js", icon: "/i.svg" };
    const frame = { title: "T", path: "/", theme: "dark", session: undefined, version: "1", assets } as const;
    const response = await pageResponse(page(frame, barChart({ summary: "", bars: [], ends: ["", ""], top: "" })));
    const policy = response.headers.get("Content-Security-Policy")!;
    for (const word of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]) {
      assert.ok(policy.includes(word), word);
    }
    assert.ok(!policy.includes("unsafe"));
    const text = await response.text();
    assert.match(text, /<html lang="en" data-theme="dark">/);
    assert.doesNotMatch(text, /\sstyle="|<style|\son\w+="|<script>|https?:\/\//);
    assert.doesNotMatch(STYLE, /url\(|@import|https?:/);
    assert.doesNotMatch(SCRIPT, /innerHTML\s*=[^=]|eval|https?:/);
  });
});

describe("barChart", () => {
  const heights = (text: string, name: string): number[] => {
    return [...text.matchAll(new RegExp(`class="${name}"[^>]* height="([\\d.]+)"`, "g"))].map(([, height]) =>
      Number(height)
    );
  };

  it("fills the part of each bar that was answered, and shows the smallest amount", async () => {
    const bars = [{ label: "", value: 100, part: 50 }, { label: "", value: 0.001 }, { label: "", value: 0 }];
    const text = await textOf(barChart({ summary: "s", bars, ends: ["a", "b"], top: "100" }));
    assert.deepEqual(heights(text, "rest"), [100, 1.5]);
    assert.deepEqual(heights(text, "fill"), [50, 1.5]);
    assert.deepEqual(heights(text, "none"), [1]);
  });

  it("draws nothing where there is nothing", async () => {
    const text = await textOf(
      barChart({ summary: "s", bars: [{ label: "", value: 0 }], ends: ["a", "b"], top: "100" }),
    );
    assert.deepEqual(heights(text, "fill"), []);
    assert.ok(!text.includes(">100<"), "no scale without a height");
  });
});

describe("jsonView", () => {
  it("tells names from texts and numbers", async () => {
    const text = await textOf(jsonView({ a: "b: 1", c: [1.5, true, null] }, "label"));
    assert.match(text, /<b>&quot;a&quot;<\/b>: <i>&quot;b: 1&quot;<\/i>/);
    assert.match(text, /<u>1\.5<\/u>,\s+<u>true<\/u>,\s+<u>null<\/u>/);
  });

  it("shows the beginning of what is long, and says so", async () => {
    const text = await textOf(jsonView({ a: "x".repeat(2 * SHOWN_JSON) }, "label"));
    assert.ok(text.length < 1.1 * SHOWN_JSON);
    assert.match(text, /The first 60\.0 kB of 120\.0 kB/);
  });
});

describe("answerTexts", () => {
  const cases: readonly (readonly [string, unknown, readonly string[]])[] = [
    ["chat completions", { choices: [{ message: { content: "a" } }, { message: { content: [{ text: "b" }] } }] }, [
      "a",
      "b",
    ]],
    [
      "tool calls",
      { choices: [{ message: { content: null, tool_calls: [{ function: { name: "f", arguments: "{}" } }] } }] },
      ["f({})"],
    ],
    ["completions", { choices: [{ text: "a" }] }, ["a"]],
    ["messages", { content: [{ type: "thinking", thinking: "hm" }, { type: "text", text: "a" }] }, ["hm\na"]],
    ["tool use", { content: [{ type: "tool_use", name: "f", input: { a: 1 } }] }, ['f({"a":1})']],
    ["Gemini", { candidates: [{ content: { parts: [{ text: "a" }, { functionCall: { name: "f", args: {} } }] } }] }, [
      "a\nf({})",
    ]],
    ["responses", { output: [{ type: "message", content: [{ type: "output_text", text: "a" }] }] }, ["a"]],
    ["embeddings", { data: [{ embedding: [1, 2, 3] }] }, ["1 vector of 3 numbers"]],
    ["what is none of these", { anything: 1 }, []],
    ["no object", "text", []],
    ["hostile shapes", { choices: [null, 1, { message: 2 }, { message: { tool_calls: [null] } }] }, ["({})"]],
  ];
  for (const [name, answer, texts] of cases) {
    it(`reads ${name}`, () => assert.deepEqual(answerTexts(answer), texts));
  }
});

describe("lastWords", () => {
  it("are what is asked last, on one line", () => {
    assert.equal(lastWords({ messages: [{ content: "first" }, { content: "and\n  last" }] }), "and last");
    assert.equal(lastWords({ input: "a text" }), "a text");
    assert.equal(
      lastWords({ messages: [{ content: [{ type: "text", text: "a" }, { type: "text", text: "b" }] }] }),
      "a b",
    );
    assert.equal(lastWords({ contents: [{ parts: [{ text: "gemini" }] }] }), "gemini");
    assert.equal(lastWords({ model: "m" }), '{"model":"m"}');
    assert.equal(lastWords({ prompt: "x".repeat(5000) }).length, 160);
  });
});
