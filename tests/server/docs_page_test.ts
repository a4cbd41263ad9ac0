/// <reference lib="dom" />
/** `/docs`: the document as a page, as it is sent, and as a real Chromium shows it. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before, describe, it } from "node:test";
import type { BrowserContextOptions, Page } from "playwright-core";
import type { RunningServer } from "../../src/compose/server.ts";
import { quoted } from "../../src/http/curl.ts";
import { requireChromium } from "../browser/support/chromium.ts";
import type { OpenApi } from "../support/openapi.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { testServer } from "./support.ts";

let server: RunningServer;
let document: OpenApi;
before(async () => {
  const apiKey = { id: "root", key: "root", scopes: ["admin", "models"] } as const;
  server = await testServer({ cache: await temporaryFolder(), apiKey: [apiKey] });
  document = await (await fetch(`${server.url}/openapi.json`)).json();
});
after(() => server.stop());

async function page(query = ""): Promise<string> {
  return await (await fetch(`${server.url}/docs${query}`)).text();
}

/** What the reader sees of a page's HTML. */
function shown(html: string): string {
  const text = html.replaceAll(/<style>[^]*?<\/style>/g, "").replaceAll(/<[^>]*>/g, "");
  return text.replaceAll("&quot;", '"').replaceAll("&#39;", "'").replaceAll("&lt;", "<").replaceAll("&amp;", "&");
}

describe("/docs", () => {
  it("has every route and every schema of the document", async () => {
    const text = shown(await page());
    for (const path of Object.keys(document.paths)) assert.ok(text.includes(path), path);
    for (const name of Object.keys(document.components.schemas)) assert.ok(text.includes(name), name);
  });

  it("loads nothing and runs nothing, and its policy says so", async () => {
    const response = await fetch(`${server.url}/docs`);
    const html = await response.text();
    assert.doesNotMatch(html, /<script|<img|<link|<iframe|<object|\sstyle=|\son\w+=|javascript:|@import|url\(/i);
    const policy = response.headers.get("Content-Security-Policy")!;
    assert.match(policy, /^default-src 'none'; style-src 'sha256-[\w+/=]{44}'; /);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*/);
    assert.equal(response.headers.get("X-Content-Type-Options"), "nosniff");
  });

  it("finds routes by words, all of which they have", async () => {
    const text = shown(await page("?q=POST%20Admin%20pin"));
    assert.match(text, /3 of \d+ routes/);
    for (
      const [path, isThere] of [["/admin/models/pin", true], ["/admin/models", true], ["/v1/models", false]] as const
    ) {
      assert.equal(text.includes(path), isThere, path);
    }
    assert.match(shown(await page("?q=xyzzy")), /No route has “xyzzy” in it/);
  });

  it("shows what was searched for as text, whatever it is", async () => {
    for (const search of ['"><script>alert(1)</script>', "<b>", "'onfocus=x autofocus '", "&lt;", "\u0000"]) {
      const html = await page(`?q=${encodeURIComponent(search)}`);
      assert.doesNotMatch(html, /<script|<b>|"'?onfocus/);
    }
    assert.ok((await page(`?q=${"x".repeat(5000)}`)).length < (await page()).length + 2000);
  });

  it("needs no key", async () => {
    assert.equal((await fetch(`${server.url}/docs`, { method: "HEAD" })).status, 200);
  });

  it("has examples that a shell runs as they are written", async () => {
    const text = shown(await page("?q=/admin/models/load")).match(/curl [^]*?\n\s*-d '[^']*'/)![0];
    const command = `curl() { for each in "$@"; do printf '%s\\0' "$each"; done; }\n${text}`;
    const sent = execFileSync("sh", ["-c", command], { env: { WARMCACHE_API_KEY: "root" }, encoding: "utf8" }).split(
      "\0",
    );
    const value = (flag: string): string => sent[sent.indexOf(flag) + 1]!;
    const response = await fetch(sent[0]!, {
      method: "POST",
      headers: { Authorization: value("-H").split(": ")[1]!, "Content-Type": "application/json" },
      body: value("-d"),
    });
    assert.equal(response.status, 200);
    assert.equal((await response.json()).model.state, "warm");
  });
});

describe("quoted", () => {
  it("writes any text as one word of a shell", () => {
    for (const text of ["plain", "it's", "$HOME `ls` \\", '"', "a\nb", "", "!x;y&z", "-n"]) {
      assert.equal(
        execFileSync("sh", ["-c", `printf %s ${quoted(text)}`], { encoding: "utf8" }),
        text,
      );
    }
  });
});

describe("/docs in a browser", () => {
  /** Opens it with an eye on what the browser complains of and whom it asks. */
  function inBrowser(options: BrowserContextOptions, run: (page: Page) => Promise<void>) {
    return async (context: Parameters<typeof requireChromium>[0]): Promise<void> => {
      const browser = await requireChromium(context);
      if (browser === undefined) return;
      try {
        const page = await (await browser.newContext({ reducedMotion: "reduce", ...options })).newPage();
        const complaints: string[] = [];
        page.on("console", (message) => complaints.push(message.text()));
        page.on("pageerror", (error) => complaints.push(String(error)));
        const asked: string[] = [];
        page.on("request", (request) => asked.push(request.url()));
        await page.goto(`${server.url}/docs`);
        await run(page);
        assert.deepEqual(complaints, []);
        assert.ok(asked.every((url) => url.startsWith(`${server.url}/docs`)), asked.join());
      } finally {
        await browser.close();
      }
    };
  }
  const background = (page: Page): Promise<string> =>
    page.evaluate(() => getComputedStyle(globalThis.document.body).backgroundColor);

  it(
    "fits a phone",
    inBrowser({ viewport: { width: 360, height: 740 } }, async (page) => {
      await page.locator("#post_v1_completions > summary").click();
      const [wide, screen] = await page.evaluate(() => [globalThis.document.documentElement.scrollWidth, innerWidth]);
      assert.ok(wide! <= screen!, `${wide} on ${screen}`);
    }),
  );

  it(
    "is light or dark as its reader has it",
    inBrowser({ colorScheme: "light" }, async (page) => {
      assert.equal(await background(page), "rgb(251, 250, 248)");
      await page.emulateMedia({ colorScheme: "dark" });
      assert.equal(await background(page), "rgb(22, 23, 26)");
    }),
  );

  it(
    "unfolds with the keyboard, and a link to a schema unfolds that",
    inBrowser({}, async (page) => {
      await page.locator("#get_v1_models > summary").focus();
      await page.keyboard.press("Enter");
      await page.locator("#get_v1_models").getByRole("link", { name: "ModelList" }).click();
      await page.locator("#schema-ModelList").waitFor({ state: "visible" });
    }),
  );

  it(
    "searches without a script",
    inBrowser({}, async (page) => {
      await page.getByRole("searchbox").fill("load-status");
      await page.keyboard.press("Enter");
      await page.getByText("1 of").waitFor();
      assert.equal(await page.locator("details[open].card").count(), 1);
    }),
  );
});
