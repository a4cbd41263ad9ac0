/** The kit that the tests in browsers are built on: what it promises them, in each browser. */

import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import { temporaryFolder } from "../support/temporary.ts";
import type * as Page from "./pages/kit.ts";
import { type BrowserOptions, BROWSERS, canDrive, requireBrowser, type RunningBrowser } from "./support/browser.ts";
import { bundleForBrowser, type SiteFiles } from "./support/bundle.ts";
import { serveSite, type Site, type SiteOptions } from "./support/site.ts";

type KitPage = typeof Page;

for (const name of BROWSERS) {
  describe(`the kit, in ${name}`, () => {
    let files: SiteFiles;
    before(async () => {
      ({ files } = await bundleForBrowser({
        kit: "tests/browser/pages/kit.ts",
        kit_worker: "tests/browser/pages/kit_worker.ts",
      }));
    });

    /** Has a browser and a site; both are gone afterwards. */
    function inBrowser(
      run: (browser: RunningBrowser, site: Site) => Promise<void>,
      { browser: browserOptions, site: siteOptions }: { browser?: BrowserOptions; site?: SiteOptions } = {},
    ) {
      return async (context: TestContext): Promise<void> => {
        const browser = await requireBrowser(context, name, browserOptions);
        if (browser === undefined) return;
        const site = await serveSite(files, siteOptions);
        try {
          await run(browser, site);
        } finally {
          await browser.close();
          await site.close();
        }
      };
    }

    it(
      "calls what a page exports, and brings home what it fails with",
      inBrowser(async (browser, site) => {
        const tab = await browser.open<KitPage>(`${site.origin}/kit.html`);
        assert.deepEqual(await tab.call("echo", { a: [1, "\u2028", null] }), { a: [1, "\u2028", null] });
        assert.equal(await tab.call("say", "log", "nothing"), undefined);
        await assert.rejects(() => tab.call("fail"), { name: "RangeError", message: "too far", code: "far" });
        assert.deepEqual(await tab.call("rights"), { secure: true, isolated: false });
        assert.deepEqual(await tab.call("compile", "zstd.wasm").then((names) => names.length), 3);
        assert.deepEqual(browser.complaints, []);
      }),
    );

    it(
      "collects what pages and their Workers complain of",
      inBrowser(async (browser, site) => {
        const tab = await browser.open<KitPage>(`${site.origin}/kit.html`);
        await tab.call("say", "log", "nothing");
        await tab.call("say", "error", "an error");
        await tab.call("say", "warn", "a warning");
        await tab.call("complainInWorker", "from the worker");
        await tab.call("failLater");
        await tab.call("echo", 1);
        for (let i = 0; i < 100 && browser.complaints.length < 4; i++) await tab.call("echo", 1);
        assert.deepEqual(browser.complaints.map((text) => text.split("\n")[0]).sort(), [
          "Error: nobody listens",
          "a warning",
          "an error",
          "from the worker",
        ]);
      }),
    );

    it(
      "has tabs that share what is stored, also when one was closed in the middle",
      inBrowser(async (browser, site) => {
        const [one, other] = [
          await browser.open<KitPage>(`${site.origin}/kit.html`),
          await browser.open<KitPage>(`${site.origin}/kit.html`),
        ];
        await one.call("write", "file", "kept");
        const waiting = one.call("wait");
        const [ended] = await Promise.allSettled([waiting, one.close()]);
        assert.equal(ended.status, "rejected");
        assert.equal(await other.call("read", "file"), "kept");
        await other.reload();
        assert.equal(await other.call("read", "file"), "kept");
      }),
    );

    it(
      "isolates pages where it is told to, and has an origin that nobody trusts",
      inBrowser(async (browser, site) => {
        const tab = await browser.open<KitPage>(`${site.origin}/kit.html`);
        assert.deepEqual(await tab.call("rights"), { secure: true, isolated: true });
        const insecure = await browser.open<KitPage>(`${site.insecureOrigin}/kit.html`);
        assert.deepEqual(await insecure.call("rights"), { secure: false, isolated: false });
      }, { site: { isolated: true } }),
    );

    it(
      "limits what a site may store",
      inBrowser(async (browser, site) => {
        const tab = await browser.open<KitPage>(`${site.origin}/kit.html`);
        // Firefox throws nothing: fewer bytes are written than were given.
        const shows = name === "chromium" ? "QuotaExceededError" : "a short write";
        assert.equal(await tab.call("fill", "file", 64 << 20), shows);
      }, { browser: { storageLimit: 16 << 20 } }),
    );

    it("kills a browser, whose profile keeps what was stored", async (context) => {
      if (!canDrive(context)) return;
      const profile = await temporaryFolder();
      const site = await serveSite(files);
      after(() => site.close());
      const first = await requireBrowser(context, name, { profile });
      if (first === undefined) return;
      const tab = await first.open<KitPage>(`${site.origin}/kit.html`);
      await tab.call("write", "file", "kept");
      await first.kill();
      const second = await requireBrowser(context, name, { profile });
      try {
        const tab = await second!.open<KitPage>(`${site.origin}/kit.html`);
        assert.equal(await tab.call("read", "file"), "kept");
      } finally {
        await second!.close();
      }
    });
  });
}

describe("the kit, in chromium alone", () => {
  it("crashes a tab, and the others live on", async (context) => {
    const browser = await requireBrowser(context, "chromium");
    if (browser === undefined) return;
    const { files } = await bundleForBrowser({ kit: "tests/browser/pages/kit.ts" });
    const site = await serveSite(files);
    try {
      const one = await browser.open<KitPage>(`${site.origin}/kit.html`);
      await one.crash!();
      const other = await browser.open<KitPage>(`${site.origin}/kit.html`);
      assert.equal(await other.call("echo", 1), 1);
    } finally {
      await browser.close();
      await site.close();
    }
  });
});
