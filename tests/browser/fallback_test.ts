/** Pages that cannot have files: answers are kept in memory, and somebody is told. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { cacheFiles, type CacheTab, onStage } from "./caches.ts";
import type * as Page from "./pages/tabs.ts";
import { BROWSERS } from "./support/browser.ts";

/** A cache that works all the same, for as long as its page lives. */
async function keepsInMemory(tab: CacheTab, location: string, why: string): Promise<void> {
  const message = `Cannot keep a cache in opfs:lacking: ${why}`;
  assert.equal(location, `memory (${message})`);
  assert.deepEqual(await tab.call("reported"), [`kept_in_memory: ${message}`]);
  assert.equal(await tab.call("ask", "lacking", "a", { by: "first" }), "first");
  assert.equal(await tab.call("ask", "lacking", "a", { by: "second" }), "first");
  assert.equal((await tab.call("stats", "lacking")).hits, 1);
  await assert.rejects(() => tab.call("take", "lacking", "model", "file"), {
    name: "TypeError",
    message: /has no files/,
  });
  await tab.call("close", "lacking");
}

for (const browserName of BROWSERS) {
  describe(`a page without files, in ${browserName}`, () => {
    it(
      "is one that is not secure",
      onStage(browserName, async ({ browser, site }) => {
        const tab = await browser.open<typeof Page>(`${site.insecureOrigin}/tabs.html`);
        const location = await tab.call("open", "lacking");
        await keepsInMemory(tab, location, "this page is not secure: it takes https or localhost");
      }),
    );

    for (
      const [what, why] of [
        ["Worker", "there are no Workers here"],
        ["BroadcastChannel", "this browser has no BroadcastChannel"],
        ["locks", "this browser has no Web Locks"],
        ["getDirectory", "this browser has no private file system (OPFS)"],
      ] as const
    ) {
      it(
        `is one without ${what}`,
        onStage(browserName, async ({ tab }) => {
          const page = await tab();
          await page.call("lack", what);
          await keepsInMemory(page, await page.call("open", "lacking"), why);
        }),
      );
    }

    it(
      "is one whose Workers cannot open them",
      onStage(browserName, async ({ tab }) => {
        const page = await tab();
        const location = await page.call("openWithWorker", "lacking", "lacking_worker");
        await keepsInMemory(page, location, "its private file system has no files for Workers");
      }),
    );

    it("is one that cannot find its Worker", async (context) => {
      const files = new Map(await cacheFiles());
      files.delete("worker.js");
      await onStage(browserName, async ({ tab }) => {
        const page = await tab();
        const location = await page.call("open", "lacking");
        await keepsInMemory(page, location, "its Worker cannot be started: its module cannot be loaded");
        // Browsers say so themselves.
      }, { files, complaints: /./ })(context);
    });

    it(
      "is refused where files are asked for",
      onStage(browserName, async ({ tab }) => {
        const page = await tab();
        await page.call("lack", "locks");
        await assert.rejects(() => page.call("open", "lacking", { withoutFiles: "throw" }), {
          name: "CacheError",
          code: "unavailable",
          message: "Cannot keep a cache in opfs:lacking: this browser has no Web Locks",
        });
        assert.deepEqual(await page.call("reported"), []);
      }),
    );

    it(
      "keeps in memory what is asked to be there, and says nothing",
      onStage(browserName, async ({ tab }) => {
        const page = await tab();
        assert.equal(await page.call("open", "memory", { backend: "memory" }), "memory");
        assert.deepEqual(await page.call("reported"), []);
      }),
    );
  });
}

describe("a private window", () => {
  it(
    "of Chromium has files until it is closed",
    onStage("chromium", async ({ tab }) => {
      const [one, other] = [await tab("private"), await tab("private")];
      await one.call("put", "private", "a", "kept");
      await one.close();
      assert.equal(await other.call("get", "private", "a"), "kept");
    }, { private: true }),
  );

  it(
    "of Firefox has none",
    onStage("firefox", async ({ tab }) => {
      const page = await tab();
      const location = await page.call("open", "lacking");
      assert.match(location, /^memory \(Cannot keep a cache in opfs:lacking: /);
      assert.equal(await page.call("ask", "lacking", "a", { by: "first" }), "first");
      assert.equal(await page.call("ask", "lacking", "a", { by: "second" }), "first");
    }, { private: true }),
  );
});
