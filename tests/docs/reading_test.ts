/// <reference lib="dom" />
/** The manual in a real browser, from a disk: nothing is asked of anybody, search works, and it fits a phone. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, describe, it, type TestContext } from "node:test";
import { pathToFileURL } from "node:url";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { buildSite } from "../../docs/site/build.ts";
import { PLACES } from "../../docs/site/navigation.ts";
import { requireChromium } from "../browser/support/chromium.ts";
import { faintTexts, unnamedParts } from "../browser/support/legible.ts";
import { HERE } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { ROOT } from "./blocks.ts";

const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };

describe("the manual in a browser", { skip: HERE !== "deno" }, () => {
  let browser: Browser | undefined;
  let site: Promise<string> | undefined;

  after(() => browser?.close());

  /** A tab, and what it asked for that is not a file, or did not get. */
  async function read(
    context: TestContext,
    address: string,
    options: BrowserContextOptions = {},
  ): Promise<{ page: Page; wrong: string[] } | undefined> {
    browser ??= await requireChromium(context);
    if (browser === undefined) return undefined;
    const out = await (site ??= build());
    const page = await (await browser.newContext(options)).newPage();
    const wrong: string[] = [];
    page.on("request", (request) => !request.url().startsWith("file:") && wrong.push(request.url()));
    // What a page still wants when it is left, is given up.
    page.on("requestfailed", (request) => {
      if (request.failure()?.errorText !== "net::ERR_ABORTED") wrong.push(request.url());
    });
    page.on("pageerror", ({ message }) => wrong.push(message));
    await page.goto(`${pathToFileURL(out)}/${address}`);
    return { page, wrong };
  }

  async function build(): Promise<string> {
    const out = join(await temporaryFolder(), "site");
    await buildSite({ root: ROOT, out });
    return out;
  }

  it("fits a phone on every page, and asks for nothing from elsewhere", { timeout: 60_000 }, async (context) => {
    const opened = await read(context, "index.html", PHONE);
    if (opened === undefined) return;
    const { page, wrong } = opened;
    const base = page.url().replace(/index\.html$/, "");
    for (const { address } of PLACES) {
      await page.goto(`${base}${address}.html`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${address} is ${wide} pixels too wide`);
    }
    assert.deepEqual(wrong, []);
    await page.context().close();
  });

  it("finds by the words of prose and of code, without a network", async (context) => {
    const opened = await read(context, "recipes/evals.html");
    if (opened === undefined) return;
    const { page, wrong } = opened;
    await page.keyboard.press("/");
    for (const [query, found] of [["wrapSamples", /./], ["samples", /Samples/], ["retry after", /./]] as const) {
      await page.fill("#search input", query);
      await page.locator("#search li").first().waitFor();
      assert.match(await page.locator("#search").innerText(), found);
    }
    await page.fill("#search input", "the key of a request");
    await page.locator('#search a[aria-selected="true"] strong', { hasText: "The key of a request" }).waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL("**/key.html");
    assert.deepEqual(wrong, []);
    await page.context().close();
  });

  it("says so where it finds nothing", async (context) => {
    const opened = await read(context, "index.html");
    if (opened === undefined) return;
    const { page } = opened;
    await page.keyboard.press("Control+k");
    await page.fill("#search input", "xylophone");
    await page.getByText("Nothing about “xylophone”.").waitFor();
    await page.keyboard.press("Escape");
    await page.locator("#search").waitFor({ state: "hidden" });
    await page.context().close();
  });

  it("is light or dark as the system is, or as its reader says, who is not asked again", async (context) => {
    const opened = await read(context, "index.html", { colorScheme: "dark" });
    if (opened === undefined) return;
    const { page } = opened;
    const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    assert.equal(await paper(), "rgb(20, 18, 16)");
    await page.selectOption("#theme", "light");
    assert.equal(await paper(), "rgb(248, 247, 245)");
    await page.reload();
    assert.equal(await paper(), "rgb(248, 247, 245)");
    await page.context().close();
  });

  it("can be read and heard, in light and dark", async (context) => {
    for (const colorScheme of ["light", "dark"] as const) {
      const opened = await read(context, "start.html", { colorScheme });
      if (opened === undefined) return;
      assert.deepEqual(await opened.page.evaluate(faintTexts), []);
      assert.deepEqual(await opened.page.evaluate(unnamedParts, ["main", "header", "nav"]), []);
      await opened.page.context().close();
    }
  });

  it("has its contents behind a button on a phone", async (context) => {
    const opened = await read(context, "cache.html", PHONE);
    if (opened === undefined) return;
    const { page } = opened;
    assert.equal(await page.locator("#manual").isVisible(), false);
    await page.click(".menu");
    await page.click('#manual a[href="key.html"]');
    await page.waitForURL("**/key.html");
    await page.context().close();
  });

  it("reads without scripts", async (context) => {
    const opened = await read(context, "cache.html", { javaScriptEnabled: false });
    if (opened === undefined) return;
    const { page } = opened;
    assert.equal(await page.locator("#manual").isVisible(), true);
    assert.equal(await page.locator(".seek").isVisible(), false);
    assert.equal(await page.locator("article h1").innerText(), "The response cache, call by call");
    await page.context().close();
  });
});
