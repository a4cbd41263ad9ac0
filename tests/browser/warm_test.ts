/**
 * Models in a page, in each browser: fetched once, kept, run in a Worker on the CPU, and answering as they do on a server.
 * `warm_gpu_test.ts` has them on a GPU that the CPU plays.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openBackends } from "../../src/compose/warm.ts";
import { testServer } from "../server/support.ts";
import { MODELS, referenceCases } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import type * as Strict from "./pages/warm_strict.ts";
import { type BrowserName, BROWSERS } from "./support/browser.ts";
import { serveSite } from "./support/site.ts";
import { bundleWarm } from "./warm_bundle.ts";
import { type WarmPage, warmPages } from "./warm_pages.ts";
import { FILES, listing, type ModelSite } from "./warm_site.ts";

type StrictPage = typeof Strict;

/** Largest difference from PyTorch's numbers. */
const TOLERANCE = 2e-3;
const VIEWS = [["base", 1], ["fortunes", 1], ["fortunes_scaled_0.5", 0.5], ["fortunes_scaled_2", 2]] as const;
const GREEDY = { prompt: "In the beginning God", max_tokens: 8, temperature: 0 };
const WEIGHTS = 7_663_616;
/** What onnxruntime and the model's site need, and nothing else. */
const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src http:; img-src data:";

for (const name of BROWSERS) {
  describe(`models in a page, in ${name}`, () => {
    const inPage = warmPages(name);

    it(
      "say what PyTorch says, base and adapter",
      inPage(async ({ tab, directory, models, browser: { complaints } }) => {
        assert.equal(await tab.call("open", { "kjv-tiny": models.folder }, { directory }), `opfs:${directory}`);
        const cases = await referenceCases();
        for (const [view, scale] of VIEWS) {
          const model = view === "base" ? "kjv-tiny" : "kjv-tiny+fortunes";
          const questions = cases.map(({ prompt, completion }) => ({ prompt, completion }));
          for (const [at, said] of (await tab.call("say", model, scale, questions)).entries()) {
            const { token_logprobs, completion_logprob, next_top10_logprobs, ...exact } = cases[at]![view];
            const { token_logprobs: a, completion_logprob: b, next_top10_logprobs: c, ...rest } = said;
            assert.deepEqual(rest, exactly(exact));
            assertClose(a, token_logprobs);
            assertClose([b], [completion_logprob]);
            assertClose(c, next_top10_logprobs);
          }
        }
        const { events, loaded } = await tab.call("seen");
        assert.deepEqual([events, loaded], [["loading", "loaded"], ["kjv-tiny warm"]], "one session for all views");
        assert.deepEqual(complaints, []);
      }),
    );

    it(
      "are the same models as on a server, by their identity",
      inPage(async ({ tab, directory, models }) => {
        await tab.call("open", { "kjv-tiny": models.folder }, { directory });
        const server = await openBackends({ models: MODELS, hub: false, cache: await temporaryFolder() });
        for (const model of ["kjv-tiny", "kjv-tiny+fortunes"]) {
          const here = await server.identify({ ...parsed(model), device: "wasm" });
          const there = await tab.call("identify", model);
          assert.deepEqual(there, { identity: here.identity, base: here.base.identity, device: "wasm" });
        }
        await server.close();
        const unlike = await Promise.all(["kjv-tiny", "kjv-tiny+fortunes"].map((model) => tab.call("identify", model)));
        assert.equal(unlike[0]!.base, unlike[1]!.base);
        assert.notEqual(unlike[0]!.identity, unlike[1]!.identity);
      }),
    );

    it(
      "answer under the key that a server looks for",
      inPage(async ({ tab, directory, models, site }) => {
        const server = await testServer({ cache: await temporaryFolder(), hub: false, corsOrigins: [site.origin] });
        try {
          const body = { model: "kjv-tiny+fortunes", prompt: "The first law of", max_tokens: 8, temperature: 0 };
          await tab.call("open", { "kjv-tiny": models.folder }, { directory, answers: { remote: server.url } });
          const { answer, outcome } = await tab.call("complete", body);
          assert.equal(outcome, "miss");
          await tab.call("close");
          const response = await fetch(`${server.url}/v1/completions`, {
            method: "POST",
            headers: { "Content-Type": "application/json" },
            body: JSON.stringify(body),
          });
          assert.match(response.headers.get("Cache-Status")!, /; hit/);
          assert.deepEqual(await response.json(), answer);
        } finally {
          await server.stop();
        }
      }),
    );

    it(
      "are fetched once: the next time the page needs its own site alone",
      inPage(async ({ tab, directory, models }) => {
        await tab.call("open", { "kjv-tiny": models.folder }, { directory });
        const { answer } = await tab.call("complete", { model: "kjv-tiny+fortunes", ...GREEDY });
        assert.deepEqual(fetched(models), ["files.json", ...FILES].sort());
        models.requests.length = 0;
        await tab.reload();
        await tab.call("open", { "kjv-tiny": models.folder }, { directory });
        const again = await tab.call("complete", { model: "kjv-tiny+fortunes", ...GREEDY });
        assert.equal(again.outcome, "miss");
        assert.deepEqual(again.answer.choices, answer.choices);
        assert.deepEqual(fetched(models), []);
        const kept = await tab.call("kept", directory);
        const whole = listing(models.files).files.map(({ sha256, size }) => [`blobs/${sha256}`, size]);
        const found = Object.entries(kept).filter(([path]) => path.startsWith("blobs/"));
        assert.deepEqual(found.sort(), whole.sort());
        assert.deepEqual(Object.keys(kept).filter((path) => path.startsWith("partial/")), []);
      }),
    );

    it(
      "are not loaded, nor fetched, for an answer that the cache has",
      inPage(async ({ tab, directory, models }) => {
        await tab.call("open", { "kjv-tiny": models.folder }, { directory, answers: "sqlite" });
        const body = { model: "kjv-tiny", ...GREEDY, user: directory };
        const bought = await tab.call("complete", { ...body, prompt: `${directory} said` });
        assert.equal(bought.outcome, "miss");
        await tab.call("remove", "kjv-tiny");
        await tab.reload();
        models.requests.length = 0;
        await tab.call("open", { "kjv-tiny": models.folder }, { directory, answers: "sqlite" });
        const { answer, outcome } = await tab.call("complete", { ...body, prompt: `${directory} said` });
        assert.equal(outcome, "hit");
        assert.deepEqual(answer, bought.answer);
        const { events, loaded } = await tab.call("seen");
        assert.deepEqual([events, loaded], [[], []]);
        // What the files are, their list says.
        assert.deepEqual(fetched(models), ["files.json"]);
      }),
    );

    it(
      "leave, and their Workers end, when their room is needed or their time is over",
      inPage(async ({ tab, directory, models }) => {
        const places = { "kjv-tiny": models.folder, "another": models.folder };
        await tab.call("open", places, { directory, maxLoadedModels: 1 });
        await tab.call("complete", { model: "kjv-tiny", ...GREEDY });
        assert.equal(await tab.call("workers"), 1);
        // The same content under another name is the same model.
        await tab.call("complete", { model: "another", ...GREEDY });
        assert.deepEqual((await tab.call("seen")).events, ["loading", "loaded"]);
        await tab.call("complete", { model: "kjv-tiny", ...GREEDY, max_tokens: 7, keep_alive: 0 });
        await tab.call("untilEvent", "evicted");
        const { events, loaded } = await tab.call("seen");
        assert.deepEqual(events, ["loading", "loaded", "draining", "evicted"]);
        assert.deepEqual(loaded, []);
        assert.equal(await tab.call("workers"), 0);
        assert.equal(await tab.call("touch", "kjv-tiny", true), "not_warm");
      }),
    );

    it(
      "run in a Worker of the page's own, with onnxruntime's .wasm from where the page says",
      inPage(async ({ tab, directory, models, site }) => {
        const own = { ownWorker: true, onnxruntime: "elsewhere" };
        const before = site.asked.length;
        await tab.call("open", { "kjv-tiny": models.folder }, { directory, ...own });
        const { answer } = await tab.call("complete", { model: "kjv-tiny", ...GREEDY });
        assert.equal(answer.usage.completion_tokens, 8);
        const asked = site.asked.slice(before);
        assert.ok(asked.includes("own_model_worker.js"));
        assert.ok(!asked.includes("browser_model_worker.js"));
        assert.deepEqual(asked.filter((path) => path.endsWith(".wasm")), ["elsewhere/ort-wasm-simd-threaded.wasm"]);
      }),
    );

    it(
      "do without what a strict Content Security Policy forbids",
      inPage(async ({ models, directory, browser }) => {
        const headers = { "Content-Security-Policy": POLICY };
        const site = await serveSite(await bundleWarm(), { headers });
        try {
          const tab = await browser.open<StrictPage>(`${site.origin}/warm_strict.html`);
          await tab.call("open", { "kjv-tiny": models.folder }, { directory });
          const { answer } = await tab.call("complete", { model: "kjv-tiny", ...GREEDY });
          assert.equal(answer.usage.completion_tokens, 8);
          await tab.call("suite", { suite: [{ kind: "delta_kl", prompts: ["Computers are"] }] });
          assert.deepEqual(await tab.call("forbidden"), []);
          await tab.call("close");
          await tab.close();
        } finally {
          await site.close();
        }
      }),
    );

    it(
      "are there without an adapter that cannot be had",
      inPage(async ({ tab, directory, models }) => {
        await tab.call("open", { "kjv-tiny": models.folder }, { directory });
        await tab.call("identify", "kjv-tiny+fortunes");
        const weights = "adapters/fortunes/adapter_model.safetensors";
        models.mishaps.set(weights, Array.from({ length: 9 }, () => ({ status: 403 })));
        const { answer } = await tab.call("complete", { model: "kjv-tiny", ...GREEDY });
        assert.equal(answer.usage.completion_tokens, 8);
        await assert.rejects(() => tab.call("complete", { model: "kjv-tiny+fortunes", ...GREEDY }), {
          message: /adapter_model\.safetensors: the site answers 403/,
        });
        models.mishaps.clear();
        const adapted = await tab.call("complete", { model: "kjv-tiny+fortunes", ...GREEDY });
        assert.notDeepEqual(adapted.answer.choices, answer.choices);
      }),
    );

    it(
      "are compared by suites of probes",
      inPage(async ({ tab, directory, models }) => {
        await tab.call("open", { "kjv-tiny": models.folder }, { directory });
        const spec = {
          version: 1,
          suite: [{ name: "change", kind: "delta_kl", prompts: ["The programmer", "Computers are"] }],
        };
        const server = await openBackends({ models: MODELS, hub: false, cache: await temporaryFolder() });
        const here = await server.runSuite({ base: "kjv-tiny", ft: "kjv-tiny+fortunes", spec });
        await server.close();
        const there = await tab.call("suite", spec) as typeof here;
        assert.equal(there.probes[0]!.verdict, here.probes[0]!.verdict);
        assertClose([there.probes[0]!.raw!], [here.probes[0]!.raw!]);
      }),
    );

    it(
      "speak in chunks, hold conversations as servers do, and refuse fields that are spelled wrong",
      inPage(async ({ tab, directory, models }) => {
        await tab.call("open", { "kjv-tiny": models.folder }, { directory });
        const { answer } = await tab.call("complete", { model: "kjv-tiny", ...GREEDY });
        await tab.call("open", { "kjv-tiny": models.folder }, { directory });
        const { text, chunks } = await tab.call("stream", { model: "kjv-tiny", ...GREEDY });
        assert.equal(text, answer.choices[0]!.text);
        assert.ok(chunks > 8, `${chunks} chunks`);
        await assert.rejects(() => tab.call("complete", { model: "kjv-tiny", ...GREEDY, max_token: 3 }), {
          name: "ApiError",
          message: "Unknown parameter: 'max_token'; did you mean 'max_tokens'?",
        });
        for (const directory of ["", "../out", "a//b"]) {
          await assert.rejects(() => tab.call("open", {}, { directory }), {
            name: "TypeError",
            message: `Cannot open backends: directory is no path of folders, or false: ${directory}`,
          });
        }
        await assert.rejects(() => tab.call("complete", { model: "nobody", ...GREEDY }), {
          name: "ModelError",
          code: "model_not_found",
        });
      }),
    );
  });

  describe(`fetching models, in ${name}`, () => {
    const inPage = warmPages(name);

    it(
      "goes on where a connection broke",
      inPage(async ({ tab, directory, models }) => {
        models.mishaps.set("onnx/model.onnx", [{ breakAfter: 3_000_000 }, { status: 503 }]);
        await tab.call("open", { "kjv-tiny": models.folder }, { directory });
        const identity = await tab.call("pull", "kjv-tiny");
        const [first, ...others] = ranges(models, "onnx/model.onnx");
        assert.equal(first, undefined);
        assert.equal(others.length, 2);
        for (const range of others) assert.match(range!, /^bytes=[1-9]\d*-$/);
        assert.equal(identity, (await tab.call("identify", "kjv-tiny")).identity);
      }),
    );

    for (const known of [true, false]) {
      it(
        `goes on after the page was closed in the middle, where content is ${known ? "" : "not "}known before`,
        inPage(async ({ tab, directory, models }) => {
          const place = known ? models.folder : { url: models.folder, files: FILES };
          models.mishaps.set("onnx/model.onnx", [{ stopAfter: 3_000_000 }]);
          await tab.call("open", { "kjv-tiny": place }, { directory });
          await assert.rejects(() => tab.call("pull", "kjv-tiny", { breakAfter: 2_000_000 }), { message: "enough" });
          await tab.reload();
          models.requests.length = 0;
          await tab.call("open", { "kjv-tiny": place }, { directory });
          await tab.call("pull", "kjv-tiny");
          assert.equal(ranges(models, "onnx/model.onnx").length, 1);
          assert.match(ranges(models, "onnx/model.onnx")[0]!, /^bytes=[1-9]\d*-$/);
          const { answer } = await tab.call("complete", { model: "kjv-tiny", ...GREEDY });
          assert.equal(answer.usage.completion_tokens, 8);
        }),
      );
    }

    it(
      "begins anew where a site says too little to go on safely",
      inPage(async ({ tab, directory, models }) => {
        models.exposes = false;
        models.mishaps.set("onnx/model.onnx", [{ breakAfter: 3_000_000 }]);
        await tab.call("open", { "kjv-tiny": { url: models.folder, files: FILES } }, { directory });
        await tab.call("pull", "kjv-tiny");
        assert.deepEqual(ranges(models, "onnx/model.onnx").map((range) => range === undefined), [true, false, true]);
      }),
    );

    it(
      "takes the whole file from a site that knows no ranges",
      inPage(async ({ tab, directory, models }) => {
        models.mishaps.set("onnx/model.onnx", [{ breakAfter: 3_000_000 }, "no ranges"]);
        await tab.call("open", { "kjv-tiny": models.folder }, { directory });
        await tab.call("pull", "kjv-tiny");
        assert.equal(ranges(models, "onnx/model.onnx").length, 2);
      }),
    );

    it(
      "refuses bytes that are not the ones that were promised, and keeps none of them",
      inPage(async ({ tab, directory, models }) => {
        models.mishaps.set("onnx/model.onnx", ["wrong bytes", "wrong bytes"]);
        await tab.call("open", { "kjv-tiny": models.folder }, { directory });
        await assert.rejects(() => tab.call("pull", "kjv-tiny"), {
          name: "ModelError",
          code: "model_load_failed",
          message: /^Cannot fetch .*onnx\/model\.onnx: what came has another checksum than was promised/,
        });
        const kept = await tab.call("kept", directory);
        assert.deepEqual(Object.values(kept).filter((size) => size >= WEIGHTS), []);
        await tab.call("pull", "kjv-tiny");
      }),
    );

    it(
      "uses what is here until it is told to ask, and then what is new, in the model's Worker too",
      inPage(async ({ tab, directory, models }) => {
        const [reference] = await referenceCases();
        const { prompt, completion, fortunes, fortunes_scaled_2: twice } = reference!;
        const ask = () => tab.call("say", "kjv-tiny+fortunes", 1, [{ prompt, completion }]);
        await tab.call("open", { "kjv-tiny": models.folder }, { directory });
        assert.equal((await ask())[0]!.greedy_text, fortunes.greedy_text);
        const before = await tab.call("identify", "kjv-tiny+fortunes");
        const config = new TextDecoder().decode(models.files.get("adapters/fortunes/adapter_config.json"));
        const stronger = JSON.stringify({ ...JSON.parse(config), lora_alpha: 32 });
        models.files.set("adapters/fortunes/adapter_config.json", new TextEncoder().encode(stronger));
        assert.deepEqual(await tab.call("identify", "kjv-tiny+fortunes"), before);
        const identity = await tab.call("pull", "kjv-tiny+fortunes");
        assert.notEqual(identity, before.identity);
        const [said] = await ask();
        assert.equal(said!.greedy_text, twice.greedy_text);
        assertClose([said!.completion_logprob], [twice.completion_logprob]);
        assert.equal(ranges(models, "onnx/model.onnx").length, 1);
        assert.deepEqual((await tab.call("seen")).events, ["loading", "loaded"]);
      }),
    );

    it(
      "takes what a site has by now in place of what it no longer has",
      inPage(async ({ tab, directory, models }) => {
        await tab.call("open", { "kjv-tiny": models.folder }, { directory });
        const before = await tab.call("identify", "kjv-tiny");
        const config = new TextDecoder().decode(models.files.get("config.json"));
        models.files.set("config.json", new TextEncoder().encode(`${config}\n`));
        const { answer } = await tab.call("complete", { model: "kjv-tiny", ...GREEDY });
        const { identity } = await tab.call("identify", "kjv-tiny");
        assert.notEqual(identity, before.identity);
        assert.equal(answer.system_fingerprint, `wc_${identity.slice(0, 16)}`);
      }),
    );

    it(
      "goes on at once after it was given up",
      inPage(async ({ tab, directory, models }) => {
        await tab.call("open", { "kjv-tiny": models.folder }, { directory });
        for (let turn = 0; turn < 5; turn++) {
          models.mishaps.set("onnx/model.onnx", [{ stopAfter: 1_000_000 }]);
          const breakAfter = 500_000 + turn * 1_000_000;
          await assert.rejects(() => tab.call("pull", "kjv-tiny", { breakAfter }), { message: "enough" });
        }
        await tab.call("pull", "kjv-tiny");
        const [first, ...others] = ranges(models, "onnx/model.onnx");
        assert.equal(first, undefined);
        for (const range of others) assert.match(range!, /^bytes=[1-9]\d*-$/);
      }),
    );

    it(
      "fetches anew what was damaged where it was kept",
      inPage(async ({ tab, directory, models }) => {
        await tab.call("open", { "kjv-tiny": models.folder }, { directory });
        const { answer } = await tab.call("complete", { model: "kjv-tiny", ...GREEDY });
        for (const path of ["onnx/model.onnx", "config.json"]) {
          const { sha256 } = listing(models.files).files.find((file) => file.path === path)!;
          await tab.call("close");
          await tab.call("damage", directory, `blobs/${sha256}`);
          await tab.call("open", { "kjv-tiny": models.folder }, { directory });
          const again = await tab.call("complete", { model: "kjv-tiny", ...GREEDY });
          assert.deepEqual(again.answer.choices, answer.choices);
          assert.equal(ranges(models, path).length, 2);
        }
      }),
    );

    it(
      "keeps nothing of a model that is removed, half of it neither",
      inPage(async ({ tab, directory, models }) => {
        const places = { "kjv-tiny": models.folder, "other": { url: models.folder, files: ["config.json"] } };
        models.mishaps.set("onnx/model.onnx", [{ stopAfter: 3_000_000 }]);
        await tab.call("open", places, { directory });
        await assert.rejects(() => tab.call("pull", "kjv-tiny", { breakAfter: 2_000_000 }), { message: "enough" });
        await tab.call("remove", "kjv-tiny");
        assert.deepEqual(await tab.call("kept", directory), {});
      }),
    );

    it(
      "says what a site answers that has no such file",
      inPage(async ({ tab, directory, models }) => {
        models.mishaps.set("onnx/model.onnx", [{ status: 404 }]);
        await tab.call("open", { "kjv-tiny": models.folder, "nothing": `${models.folder}nothing/` }, { directory });
        await assert.rejects(() => tab.call("complete", { model: "kjv-tiny", ...GREEDY }), {
          code: "model_load_failed",
          message: /^Cannot fetch .*onnx\/model\.onnx: the site answers 404$/,
        });
        await assert.rejects(() => tab.call("complete", { model: "nothing", ...GREEDY }), {
          code: "model_load_failed",
          message: /^Cannot tell what is at .*nothing\/files\.json: the site answers 404$/,
        });
        const listed = await tab.call("list");
        assert.deepEqual(listed.map(({ id }) => id), ["kjv-tiny", "kjv-tiny+fortunes", "nothing"]);
        assert.match(listed[2]!.problem!, /the site answers 404/);
      }),
    );

    it(
      "takes a model from a hub, its large files from where the hub sends for them",
      inPage(async ({ tab, directory, models }) => {
        await tab.call("open", { "test/kjv-tiny": { hub: models.hub, token: "hf_secret" } }, { directory });
        const { answer } = await tab.call("complete", { model: "test/kjv-tiny+fortunes", ...GREEDY });
        assert.equal(answer.model, "test/kjv-tiny+fortunes");
        const graph = models.requests.filter(({ path }) => path === "onnx/model.onnx");
        assert.deepEqual(graph.map(({ host }) => host), ["site", "content"]);
        assert.equal(graph[0]!.authorization, "Bearer hf_secret");
        assert.equal(graph[1]!.authorization, undefined, "the token is for the hub alone");
      }),
    );

    it(
      "fetches for two tabs once",
      inPage(async ({ tab, directory, models, site, browser }) => {
        const other = await browser.open<WarmPage>(`${site.origin}/warm.html`);
        const both = [tab, other];
        await Promise.all(both.map((each) => each.call("open", { "kjv-tiny": models.folder }, { directory })));
        await Promise.all(both.map((each) => each.call("pull", "kjv-tiny")));
        assert.equal(ranges(models, "onnx/model.onnx").length, 1);
        const answers = await Promise.all(both.map((each) => each.call("complete", { model: "kjv-tiny", ...GREEDY })));
        assert.deepEqual(answers[0]!.answer.choices, answers[1]!.answer.choices);
        await other.close();
      }),
    );

    it(
      "tells how far it is",
      inPage(async ({ tab, directory, models }) => {
        await tab.call("open", { "kjv-tiny": models.folder }, { directory });
        await tab.call("pull", "kjv-tiny+fortunes");
        const { progress } = await tab.call("seen");
        const { model, files } = progress.at(-1)!;
        assert.equal(model, "kjv-tiny");
        const { files: expected } = listing(models.files);
        const byPath = (one: { path: string }, other: { path: string }): number => one.path < other.path ? -1 : 1;
        assert.deepEqual(
          [...files].sort(byPath),
          expected.map(({ path, size }) => ({ path, received: size, size })).sort(byPath),
        );
      }),
    );

    it(
      "keeps models in memory where that is wanted, or there is nothing else",
      inPage(async ({ tab, models, site, browser }) => {
        assert.equal(await tab.call("open", { "kjv-tiny": models.folder }, { directory: false }), "memory");
        const { answer } = await tab.call("complete", { model: "kjv-tiny+fortunes", ...GREEDY });
        const insecure = await browser.open<WarmPage>(`${site.insecureOrigin}/warm.html`);
        assert.equal(await insecure.call("open", { "kjv-tiny": models.folder }, {}), "memory");
        models.mishaps.set("onnx/model.onnx", [{ breakAfter: 3_000_000 }]);
        const there = await insecure.call("complete", { model: "kjv-tiny+fortunes", ...GREEDY });
        assert.deepEqual(there.answer.choices, answer.choices);
        await insecure.close();
      }),
    );
  });

  describe(`a browser without room, ${name}`, () => {
    const inPage = warmPages(name, { storageLimit: limitOf(name) });

    it(
      "says so, and keeps what came",
      inPage(async ({ tab, directory, models }) => {
        await tab.call("fill", name === "firefox" ? 8_000_000 : 0);
        await tab.call("open", { "kjv-tiny": models.folder }, { directory });
        await assert.rejects(() => tab.call("pull", "kjv-tiny"), {
          code: "model_load_failed",
          message: /the browser has no more room for this site; what came of it is kept for another time$/,
        });
        const came = Object.entries(await tab.call("kept", directory)).filter(([path]) => path.startsWith("partial/"));
        assert.ok(came.some(([, size]) => size > 0 && size < WEIGHTS));
      }),
    );
  });
}

/** What was asked for. */
function fetched(models: ModelSite): string[] {
  return models.requests.map(({ path }) => path).sort();
}

/** From where on a file was asked for, each time. */
function ranges(models: ModelSite, path: string): (string | undefined)[] {
  return models.requests.filter((request) => request.path === path).map(({ range }) => range);
}

/** Firefox allows a site no less than 10 MiB, of which the page takes most itself. */
function limitOf(name: BrowserName): number {
  return name === "firefox" ? 10 * 2 ** 20 : 4_000_000;
}

function parsed(model: string): { base: string; adapter?: string } {
  const [base, adapter] = model.split("+");
  return { base: base!, ...adapter !== undefined && { adapter } };
}

function exactly({ greedy_ids, greedy_text, finish_reason, next_top10_ids }: {
  readonly greedy_ids: readonly number[];
  readonly greedy_text: string;
  readonly finish_reason: string;
  readonly next_top10_ids: readonly number[];
}): object {
  return { greedy_ids, greedy_text, finish_reason, next_top10_ids };
}

function assertClose(actual: readonly number[], expected: readonly number[]): void {
  assert.equal(actual.length, expected.length);
  for (const [at, number] of actual.entries()) {
    assert.ok(Math.abs(number - expected[at]!) < TOLERANCE, `${number} is not ${expected[at]} at ${at}`);
  }
}
