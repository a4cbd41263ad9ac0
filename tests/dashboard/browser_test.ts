/// <reference lib="dom" />
/** The dashboard in a real Chromium: what is seen, what happens by itself, and what works with a keyboard alone. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { getJson, post } from "../server/support.ts";
import { requireChromium } from "../browser/support/chromium.ts";
import { faintTexts, unnamedParts } from "../browser/support/legible.ts";
import { type BusyServer, chatAnswer, startBusyServer } from "./busy_server.ts";

const CHAT = { model: "gpt-4o-mini", messages: [{ role: "user", content: "Will it rain?" }] };

/** A page that minds what it is shown: its complaints, and whom it asks. */
async function openPage(
  browser: Browser,
  { server }: BusyServer,
  options: BrowserContextOptions = {},
): Promise<Page & { readonly complaints: string[] }> {
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${server.url}/`)) complaints.push(`asked ${request.url()}`);
  });
  return Object.assign(page, { complaints });
}

/** Has a browser and a server with some answers in its cache; both are gone afterwards. */
function inBrowser(run: (browser: Browser, busy: BusyServer) => Promise<void>, options: object = {}) {
  return async (context: Parameters<typeof requireChromium>[0]): Promise<void> => {
    const browser = await requireChromium(context);
    if (browser === undefined) return;
    try {
      await using busy = await startBusyServer(options);
      busy.upstream.answer = ({ body }) => chatAnswer(body.model, "Yes, tomorrow.", [1000, 200]);
      await run(browser, busy);
    } finally {
      await browser.close();
    }
  };
}

describe("the dashboard in a browser", () => {
  it(
    "shows the numbers of /stats, and a load as it happens, without being loaded again",
    inBrowser(async (browser, busy) => {
      for (let time = 0; time < 4; time++) await busy.ask("/openai/v1/chat/completions", CHAT);
      const page = await openPage(browser, busy);
      await page.goto(busy.server.url);
      const { cache } = await getJson(busy.server, "/stats");
      const cell = (name: string): Promise<string> =>
        page.getByRole("row", { name }).getByRole("cell").nth(0).innerText();
      assert.equal(await page.locator(".figure").innerText(), "75.0\u2009%");
      assert.equal(await cell("Hits"), String(cache.hits));
      assert.equal(await cell("Lookups"), String(cache.lookups));
      assert.equal(await cell("Tokens saved"), "3,600");
      assert.equal(await cell("Dollars saved"), `$${(cache.saved.cost_microdollars / 1e6).toFixed(4)}`);

      await page.evaluate(() => document.body.dataset.mark = "still here");
      await page.locator("#live.is-live").waitFor();
      await busy.ask("/v1/completions", { model: "kjv-tiny", prompt: "And", max_tokens: 1 });
      await page.locator(".base.is-warm", { hasText: "kjv-tiny" }).waitFor();
      await page.locator("#news", { hasText: "kjv-tiny is warm after" }).waitFor();
      await page.locator(".happenings", { hasText: "kjv-tiny is warm" }).waitFor();
      assert.equal(await page.evaluate(() => document.body.dataset.mark), "still here");
      assert.deepEqual(page.complaints, []);
    }),
  );

  it(
    "stands still when told to",
    inBrowser(async (browser, busy) => {
      const page = await openPage(browser, busy);
      await page.goto(busy.server.url);
      await page.locator("#live.is-live").waitFor();
      const pause = page.getByRole("button", { name: "Pause" });
      await pause.click();
      const heard = page.waitForEvent("console", (message) => message.text() === "heard");
      await page.evaluate(() => {
        const events = new EventSource("/dashboard/events?after=0");
        events.addEventListener("base", ({ data }) => {
          if (!data.includes("is warm after")) return;
          events.close();
          console.log("heard");
        });
      });
      await busy.ask("/v1/completions", { model: "kjv-tiny", prompt: "And", max_tokens: 1 });
      await heard;
      assert.equal(await page.locator(".base").count(), 0);
      await page.getByRole("button", { name: "Go on" }).click();
      await page.locator(".base.is-warm").waitFor();
    }),
  );

  it(
    "takes the first day's steps away when something was asked, and the focus that was in them to the page",
    inBrowser(async (browser, busy) => {
      const page = await openPage(browser, busy);
      const following = page.waitForResponse("**/dashboard/events?*");
      await page.goto(busy.server.url);
      await following;
      const steps = page.getByRole("region", { name: "Nothing was asked yet" });
      await steps.getByRole("button", { name: "Copy" }).focus();
      await busy.ask("/openai/v1/chat/completions", CHAT);
      await steps.waitFor({ state: "detached" });
      assert.equal(await page.evaluate(() => document.activeElement!.id), "main");
      assert.deepEqual(page.complaints, []);
    }),
  );

  it(
    "works without a script",
    inBrowser(async (browser, busy) => {
      await busy.ask("/openai/v1/chat/completions", CHAT);
      const page = await openPage(browser, busy, { javaScriptEnabled: false });
      await page.goto(busy.server.url);
      assert.equal(await page.getByRole("button", { name: "Pause" }).count(), 0, "what would do nothing is not there");
      await page.getByLabel("Colours").selectOption("dark");
      await page.getByRole("button", { name: "Set" }).click();
      assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
      await page.getByRole("link", { name: "Requests" }).click();
      await page.getByLabel("Text in the request").fill("rain");
      await page.getByRole("button", { name: "Find" }).click();
      await page.getByRole("link", { name: /Will it rain/ }).click();
      assert.equal(await page.locator(".answer").innerText(), "Yes, tomorrow.");
      await page.getByRole("link", { name: "Explain a change to it" }).click();
      const request = page.getByLabel("Request", { exact: true });
      await request.fill((await request.inputValue()).replace("rain", "snow"));
      await page.getByRole("button", { name: "Explain" }).click();
      await page.getByText("It is not in the cache").waitFor();
      assert.equal(await page.locator("del").first().innerText(), "rain");
      assert.equal(await page.locator("ins").first().innerText(), "snow");
      assert.deepEqual(page.complaints, []);
    }),
  );

  it(
    "is used with a keyboard alone",
    inBrowser(async (browser, busy) => {
      const page = await openPage(browser, busy);
      await page.goto(busy.server.url);
      const focused = (): Promise<string> => page.evaluate(() => document.activeElement!.textContent!.trim());
      await page.keyboard.press("Tab");
      assert.equal(await focused(), "Skip to content");
      assert.ok((await page.locator(".skip").boundingBox())!.y >= 0, "it is seen");
      await page.keyboard.press("Enter");
      assert.equal(await page.evaluate(() => document.activeElement!.id), "main");
      await page.goto(busy.server.url);
      const order: string[] = [];
      for (let time = 0; time < 5; time++) {
        await page.keyboard.press("Tab");
        order.push(await focused());
      }
      assert.deepEqual(order, ["Skip to content", "warmcache", "Overview", "Requests", "Explain"]);
      const outline = await page.evaluate(() => getComputedStyle(document.activeElement!).outlineStyle);
      assert.equal(outline, "solid", "what has the focus is marked");
      await page.keyboard.press("Enter");
      await page.waitForURL("**/dashboard/explain");
      assert.equal(await page.locator("h1").innerText(), "Explain a request");
      assert.equal(await page.locator("[aria-current=page]").innerText(), "Explain");
    }),
  );

  it(
    "copies the first command",
    inBrowser(async (browser, busy) => {
      const page = await openPage(browser, busy, { permissions: ["clipboard-read", "clipboard-write"] });
      await page.goto(busy.server.url);
      await page.getByRole("button", { name: "Copy" }).click();
      await page.getByRole("button", { name: "Copied" }).waitFor();
      const command = await page.evaluate(() => navigator.clipboard.readText());
      assert.ok(command.startsWith(`curl ${busy.server.url}/v1/completions`));
    }),
  );

  it(
    "logs in with a key, and out",
    inBrowser(async (browser, busy) => {
      const page = await openPage(browser, busy);
      await page.goto(`${busy.server.url}/dashboard/explain`);
      assert.equal(new URL(page.url()).pathname, "/login");
      await page.getByLabel("API key").fill("wrong");
      await page.keyboard.press("Enter");
      await page.getByRole("alert").waitFor();
      await page.getByLabel("API key").fill("the key");
      await page.keyboard.press("Enter");
      await page.waitForURL("**/dashboard/explain");
      await page.getByRole("link", { name: "Overview" }).click();
      await page.locator("#live.is-live").waitFor();
      await page.getByLabel("Colours").selectOption("dark");
      await page.locator("html[data-theme=dark]").waitFor();
      await page.getByRole("button", { name: /Log out/ }).click();
      await page.waitForURL("**/login");
      await page.goto(busy.server.url);
      assert.equal(new URL(page.url()).pathname, "/login");
      // Chromium itself complains of the 401 that the wrong key got.
      assert.deepEqual(page.complaints.filter((text) => !text.includes("401")), []);
    }, { apiKey: "alice=the key" }),
  );
});

describe("every page", () => {
  for (const [colorScheme, width] of [["light", 1440], ["dark", 390]] as const) {
    it(
      `is legible, named and no wider than a screen of ${width} px, in ${colorScheme} colours`,
      inBrowser(async (browser, busy) => {
        const page = await openPage(browser, busy, { colorScheme, viewport: { width, height: 900 } });
        const check = async (name: string): Promise<void> => {
          assert.deepEqual(await page.evaluate(faintTexts), [], `${name}: contrast`);
          assert.deepEqual(await page.evaluate(unnamedParts, ["main", "header", "nav"]), [], `${name}: names`);
          assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width, `${name}: width`);
        };
        await page.goto(busy.server.url);
        await check("empty overview");
        await post(busy.server, "/openai/v1/chat/completions", CHAT).then((answer) => answer.body!.cancel());
        const long = { ...CHAT, model: "a-very-long-model-name-without-any-place-to-break-it-".repeat(4) };
        for (let time = 0; time < 2; time++) await busy.ask("/openai/v1/chat/completions", long);
        await busy.ask("/v1/completions", { model: "kjv-tiny+fortunes", prompt: "And", max_tokens: 1 });
        await busy.ask("/v1/completions", { model: "no-such-model", prompt: "And", max_tokens: 1 });
        await page.goto(busy.server.url);
        await check("overview");
        await page.goto(`${busy.server.url}/dashboard/requests`);
        await check("requests");
        await page.getByRole("link", { name: /gpt-4o-mini/ }).click();
        await check("entry");
        await page.getByRole("link", { name: "Explain a change to it" }).click();
        const request = page.getByLabel("Request", { exact: true });
        await request.fill((await request.inputValue()).replace("{", '{ "temperature": 1,'));
        await page.getByRole("button", { name: "Explain" }).click();
        await page.locator(".nearest").waitFor();
        await check("explain");
        await request.fill("{");
        await page.getByRole("button", { name: "Explain" }).click();
        await page.getByRole("alert").waitFor();
        await check("problem");
      }),
    );
  }
});
