/** A cache in a page, by itself: how it is opened, and that it does what caches do. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { cacheFiles, onStage } from "./caches.ts";
import { BROWSERS } from "./support/browser.ts";

for (const browserName of BROWSERS) {
  describe(`a cache in a page, in ${browserName}`, () => {
    it(
      "is kept in the site's private file system, in a directory by name",
      onStage(browserName, async ({ tab }) => {
        const page = await tab();
        assert.equal(await page.call("open", "cache", { directory: "/answers//of/./mine/" }), "opfs:answers/of/mine");
        await page.call("put", "cache", "a", "kept");
        await page.call("close", "cache");
        assert.equal(await page.call("open", "other", { directory: "answers/of/mine" }), "opfs:answers/of/mine");
        assert.equal(await page.call("get", "other", "a"), "kept");
        await page.call("close", "other");
      }),
    );

    it(
      "buys once, and knows what it saved",
      onStage(browserName, async ({ tab }) => {
        const page = await tab("cache");
        assert.equal(await page.call("ask", "cache", "a", { by: "first" }), "first");
        assert.equal(await page.call("ask", "cache", "a", { by: "second" }), "first");
        assert.equal(await page.call("ask", "cache", "a", { by: "another", model: "other model" }), "another");
        const { hits, misses, writes, store } = await page.call("stats", "cache");
        assert.deepEqual({ hits, misses, writes }, { hits: 1, misses: 2, writes: 2 });
        assert.deepEqual([store?.name, store?.location, store?.entries], ["sqlite", "opfs:cache", 2]);
      }),
    );

    it(
      "replays streams",
      onStage(browserName, async ({ tab }) => {
        const page = await tab("cache");
        const words = ["one ", "word ", "after another"];
        for (let time = 0; time < 2; time++) {
          assert.deepEqual((await page.call("askForStream", "cache", "a")).join(""), words.join(""));
        }
        assert.equal(await page.call("purchases"), 1);
        assert.equal(await page.call("get", "cache", "a"), words.join(""));
      }),
    );

    it(
      "can be had in a Worker of the page's own, together with the page",
      onStage(browserName, async ({ tab }) => {
        const page = await tab("cache");
        assert.deepEqual(await page.call("askInWorker", "cache", "a"), ["worker", "worker"]);
        assert.equal(await page.call("get", "cache", "a"), "worker");
        await page.call("close", "cache");
        assert.deepEqual(await page.call("askInWorker", "cache", "b"), ["worker", "worker"], "it may be alone, too");
      }),
    );

    it("takes a Worker of the bundle's own", async (context) => {
      const files = new Map(await cacheFiles());
      files.set("elsewhere.js", new TextEncoder().encode('import "./worker.js";'));
      await onStage(browserName, async ({ tab }) => {
        const page = await tab();
        assert.equal(await page.call("openWithWorker", "cache", "elsewhere"), "opfs:cache");
      }, { files })(context);
    });

    it(
      "refuses what means nothing in a browser",
      onStage(browserName, async ({ tab }) => {
        const page = await tab();
        const refusals: readonly [object, string][] = [
          [
            { directory: "../x" },
            'TypeError: Cannot open a cache: directory has to be a path in the site\'s private file system, such as "cache": ../x',
          ],
          [
            { directory: "" },
            "TypeError: Cannot open a cache: directory has to be a string that names one: an empty one",
          ],
          [{ locking: "shared" }, "TypeError: Cannot open a cache: locking means nothing in a browser"],
          [{ redis: {} }, "TypeError: Cannot open a cache: redis means nothing in a browser"],
          [
            { worker: "worker.js" },
            "TypeError: Cannot open a cache: worker has to be a function that starts one: string",
          ],
          [{ withoutFiles: "ask" }, 'TypeError: Cannot open a cache: withoutFiles must be "memory" or "throw": ask'],
          [
            { backend: "file" },
            "TypeError: Cannot open a cache in browser: it has no backend file (it has: memory, remote, sqlite)",
          ],
        ];
        for (const [options, refusal] of refusals) assert.equal(await page.call("openOddly", options), refusal);
        assert.match(await page.call("openOddly", { directoy: "x" }), /^TypeError: .*directoy/);
      }),
    );
  });
}
