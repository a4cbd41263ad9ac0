/// <reference lib="dom" />
/** `examples/playground`, served by its command and used in a real Chromium, with a real model in the page. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, it, type TestContext } from "node:test";
import type { Browser, BrowserContextOptions } from "playwright-core";
import { canDrive } from "../browser/support/browser.ts";
import { requireChromium } from "../browser/support/chromium.ts";
import { faintTexts, unnamedParts } from "../browser/support/legible.ts";
import { INSECURE_HOST } from "../browser/support/site.ts";
import { getJson, post, testServer } from "../server/support.ts";
import { referenceCases } from "../support/models.ts";
import { requireRuntime } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { openPlayground, type Playground, type PlaygroundPage, startPlayground } from "./playground.ts";

const PROMPT = "The first law of";
/** As many tokens as PyTorch was asked for. */
const GREEDY = { prompt: PROMPT, temperature: 0, tokens: 24 };
/** What only a model that is loaded needs. */
const OF_MODELS = /^\/models\/.*\.(onnx|safetensors)$|^\/ort-.*\.wasm$/;

/** The browser, and the playground by the flags it was started with: each once for all tests. */
let browser: Browser | undefined;
const playgrounds = new Map<string, Promise<Playground>>();

after(async () => {
  await browser?.close();
  for (const playground of playgrounds.values()) await (await playground).stop();
});

/** Has the playground in windows of its own. */
function inBrowser(
  run: (open: (options?: BrowserContextOptions) => Promise<PlaygroundPage>, url: string) => Promise<void>,
  flags: readonly string[] = [],
) {
  return async (context: TestContext): Promise<void> => {
    if (!canDrive(context)) return;
    const command = requireRuntime(context, "deno");
    if (command === undefined) return;
    const running = browser ??= await requireChromium(context);
    if (running === undefined) return;
    const key = flags.join(" ");
    if (!playgrounds.has(key)) playgrounds.set(key, startPlayground(command, flags));
    const { url } = await playgrounds.get(key)!;
    const opened: PlaygroundPage[] = [];
    try {
      await run(async (options) => {
        const page = await openPlayground(running, url, options);
        opened.push(page);
        return page;
      }, url);
    } finally {
      for (const { context } of opened) await context.close();
    }
  };
}

/** What PyTorch says that both sides go on with. */
async function expectedTexts(): Promise<{ base: string; adapter: string }> {
  const found = (await referenceCases()).find(({ prompt }) => prompt === PROMPT)!;
  return { base: found.base.greedy_text, adapter: found.fortunes.greedy_text };
}

describe("examples/playground", () => {
  it(
    "asks the base and the adapter in the page, marks where they part, and answers again without the model",
    inBrowser(async (open) => {
      const { page, ask, ended, side, textOf, verdictOf, asked, complaints } = await open();
      assert.match(await page.locator("#residence").innerText(), /^kjv-tiny is cold\..* 8\.1.MB first, to run on \w+/);
      await ask(GREEDY);
      assert.deepEqual(await ended(), ["done", "done"]);
      const expected = await expectedTexts();
      assert.deepEqual({ base: await textOf("base"), adapter: await textOf("adapter") }, expected);
      assert.equal(await verdictOf("base"), "Generated");
      assert.match(await page.locator("#residence").innerText(), /^kjv-tiny is warm on .*, with fortunes beside it/);
      assert.ok(asked.some((path) => OF_MODELS.test(path)));

      // Both say “ the”, then one “ law” and the other “ man”.
      assert.equal(await side("base").locator(".is-parting").innerText(), " law");
      assert.equal(await side("adapter").locator(".is-parting").innerText(), " man");
      assert.equal(await side("base").locator(".piece").first().getAttribute("class").then(isMarked), false);
      assert.ok(await side("adapter").locator(".is-different").count() > 5);
      assert.equal(await side("adapter").locator("h4").innerText(), "Token 2, where they part");
      assert.equal(await side("adapter").locator(".is-taken code").innerText(), "·man");
      assert.match(await page.locator("#news").innerText(), /^24 tokens and \d+ tokens; they part at token 2\.$/);

      // What was counted is written a second after it came about.
      const first = await page.locator("#saved").innerText();
      assert.match(first, /Answers from the cache\s+0 of 2/);

      asked.length = 0;
      await page.reload();
      await page.locator("html[data-ready]").waitFor();
      assert.equal(await page.locator("#prompt").inputValue(), PROMPT);
      await ask({});
      assert.deepEqual(await ended(), ["done", "done"]);
      assert.deepEqual({ base: await textOf("base"), adapter: await textOf("adapter") }, expected);
      for (const name of ["base", "adapter"] as const) {
        assert.equal(await verdictOf(name), "Hit");
        assert.match(await side(name).locator(".sub").innerText(), /^Saved \d+ tokens and [\d.]+.m?s · /);
      }
      assert.equal(await side("adapter").locator(".is-parting").innerText(), " man");
      assert.deepEqual(asked.filter((path) => OF_MODELS.test(path)), [], "no model was loaded");
      assert.match(await page.locator("#residence").innerText(), /^kjv-tiny is cold/);
      assert.deepEqual(complaints, []);
    }),
  );

  it(
    "keeps samples apart, and generates those that are missing",
    inBrowser(async (open) => {
      const { page, ask, ended, textOf, verdictOf } = await open();
      await ask({ prompt: PROMPT, temperature: 1, tokens: 12, seed: 3, samples: 1 });
      await ended();
      await ask({ samples: 3 });
      assert.deepEqual(await ended(), Array(6).fill("done"));
      assert.deepEqual(await Promise.all([0, 1, 2].map((at) => verdictOf("base", at))), [
        "Hit",
        "Generated",
        "Generated",
      ]);
      const texts = await Promise.all([0, 1, 2].map((at) => textOf("base", at)));
      assert.equal(new Set(texts).size, 3);

      const history = page.locator("#history li");
      assert.equal(await history.count(), 1);
      assert.match(await history.innerText(), /temperature 1 · 12 tokens · seed 3 · 3 samples$/);
      await page.locator("#samples").fill("1");
      await history.getByRole("button").click();
      await page.waitForFunction(() => document.querySelectorAll(".verdict.is-hit").length === 6);
      assert.deepEqual(await Promise.all([0, 1, 2].map((at) => textOf("base", at))), texts);

      await page.getByRole("button", { name: "Forget all" }).click();
      await page.getByText("Nothing yet.").waitFor();
    }),
  );

  it(
    "gives the database away, and a server answers from it",
    inBrowser(async (open) => {
      const { page, ask, ended, textOf } = await open();
      await ask(GREEDY);
      await ended();
      const download = page.waitForEvent("download");
      await page.getByRole("button", { name: "kjv-tiny+fortunes" }).click();
      const directory = await temporaryFolder();
      await (await download).saveAs(join(directory, (await download).suggestedFilename()));
      const server = await testServer({ cache: directory });
      try {
        const { prompt, temperature, tokens } = GREEDY;
        const request = { model: "kjv-tiny+fortunes", prompt, max_tokens: tokens, temperature, seed: 7, logprobs: 5 };
        const response = await post(server, "/v1/completions", request);
        assert.match(response.headers.get("Cache-Status")!, /^warmcache; hit/);
        assert.equal((await response.json()).choices[0].text, await textOf("adapter"));
        assert.deepEqual((await getJson(server, "/health")).loaded_models, []);
      } finally {
        await server.stop();
      }
    }),
  );

  it(
    "is used with the keyboard alone: asks, looks at tokens, stops",
    inBrowser(async (open) => {
      const { page, context, ended, side, complaints } = await open();
      const focused = (): Promise<string> => page.evaluate(() => document.activeElement!.id);
      for (const id of ["", "colours", "prompt", "temperature", "tokens", "seed", "samples", "where", "ask"]) {
        await page.keyboard.press("Tab");
        assert.equal(await focused(), id);
      }
      await page.locator("#temperature").fill("0");
      await page.locator("#prompt").fill(PROMPT);
      await page.keyboard.press("Control+Enter");
      assert.deepEqual(await ended(), ["done", "done"]);

      await side("base").locator(".pieces").focus();
      await page.keyboard.press("ArrowRight");
      assert.equal(await side("base").locator("h4").innerText(), "Token 3");
      await page.keyboard.press("Home");
      assert.equal(await side("base").locator(".is-taken code").innerText(), "·the");
      await page.keyboard.press("Escape");
      assert.equal(await side("base").locator("h4").innerText(), "Token 2, where they part");

      await page.getByLabel("Difference").focus();
      await page.keyboard.press("ArrowRight");
      assert.equal(await page.locator("#answers").getAttribute("data-show"), "probability");

      // A model that never comes, so that there is something to stop.
      await page.getByRole("button", { name: "Unload" }).click();
      await page.getByText("kjv-tiny is cold").waitFor();
      await context.route("**/*.wasm", () => {});
      await page.locator("#prompt").fill("And");
      await page.locator("#ask").focus();
      await page.keyboard.press("Enter");
      await page.locator("#stop").waitFor();
      assert.equal(await focused(), "stop");
      await page.keyboard.press("Escape");
      assert.deepEqual(await ended(), ["stopped", "stopped"]);
      assert.equal(await focused(), "ask");
      assert.deepEqual(complaints, []);
    }),
  );

  it(
    "says what it could not load, in the answers and in the status",
    inBrowser(async (open) => {
      const { page, context, ask, ended, side } = await open();
      await context.route("**/model.onnx", (route) => route.fulfill({ status: 404 }));
      await ask(GREEDY);
      assert.deepEqual(await ended(), ["failed", "failed"]);
      assert.match(await side("base").locator(".error").innerText(), /model\.onnx.*404/);
      assert.match(await page.locator("#residence").innerText(), /^kjv-tiny could not be loaded: .*404/);
      assert.match(await page.locator("#news").innerText(), /404/);
    }),
  );

  it(
    "keeps answers in memory where there is no private file system, and says so",
    inBrowser(async (open, url) => {
      const { page, ask, ended, verdictOf, complaints } = await open();
      complaints.length = 0;
      await page.goto(url.replace("127.0.0.1", INSECURE_HOST));
      await page.locator("html[data-ready]").waitFor();
      assert.match(await page.locator("#place").innerText(), /^Kept in memory, for as long as this page is open: /);
      await ask(GREEDY);
      assert.deepEqual(await ended(), ["done", "done"]);
      await ask({});
      assert.deepEqual(await ended(), ["done", "done"]);
      assert.equal(await verdictOf("base"), "Hit");
    }),
  );

  for (const [colorScheme, width] of [["light", 1280], ["dark", 390]] as const) {
    it(
      `is legible, named and no wider than a screen of ${width} px, in ${colorScheme} colours`,
      inBrowser(async (open) => {
        const { page, context, ask, ended } = await open({ colorScheme, viewport: { width, height: 900 } });
        const check = async (name: string): Promise<void> => {
          assert.deepEqual(await page.evaluate(faintTexts), [], `${name}: contrast`);
          assert.deepEqual(await page.evaluate(unnamedParts, ["main", "header", "form"]), [], `${name}: names`);
          assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, `${name}: width`);
        };
        await check("empty");
        await ask({ samples: 2, prompt: `${PROMPT} ${"a".repeat(60)}` });
        await ended();
        await check("generated");
        await ask({});
        await ended();
        await check("hit");
        await page.getByText("Probability").click();
        await check("probability");
        await page.getByRole("button", { name: "Unload" }).click();
        await page.getByText("kjv-tiny is cold").waitFor();
        await context.route("**/ort-*.wasm", (route) => route.fulfill({ status: 404 }));
        await ask({ prompt: "And", samples: 1 });
        assert.deepEqual(await ended(), ["failed", "failed"]);
        await check("failed");
      }),
    );
  }
});

describe("examples/playground --server", () => {
  it("asks the server at the page's own address, and marks what its cache had", async (context) => {
    if (!canDrive(context)) return;
    const server = await testServer({ cache: await temporaryFolder() });
    try {
      await inBrowser(async (open) => {
        const { page, ask, ended, textOf, verdictOf, asked, complaints } = await open();
        await page.getByLabel("Runs").selectOption("server");
        await ask(GREEDY);
        assert.deepEqual(await ended(), ["done", "done"]);
        assert.deepEqual({ base: await textOf("base"), adapter: await textOf("adapter") }, await expectedTexts());
        assert.equal(await verdictOf("base"), "Generated");
        await ask({});
        await ended();
        assert.equal(await verdictOf("adapter"), "Hit");
        assert.deepEqual(asked.filter((path) => OF_MODELS.test(path)), []);
        assert.deepEqual(complaints, []);
      }, ["--server", server.url])(context);
    } finally {
      await server.stop();
    }
  });

  it(
    "says that the server cannot be reached",
    inBrowser(async (open) => {
      const { page, ask, ended, side } = await open();
      await page.getByLabel("Runs").selectOption("server");
      await ask(GREEDY);
      assert.deepEqual(await ended(), ["failed", "failed"]);
      const said = /^Cannot ask the server for kjv-tiny: Cannot reach http:\/\/127\.0\.0\.1:1: /;
      assert.match(await side("base").locator(".error").innerText(), said);
    }, ["--server", "http://127.0.0.1:1"]),
  );
});

/** Whether a piece is marked as one that the other side has not. */
function isMarked(classes: string | null): boolean {
  return classes!.includes("is-different");
}
