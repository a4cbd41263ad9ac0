/** A full disk: what was bought is returned, what was stored stays, and somebody is told. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { onStage } from "./caches.ts";
import { BROWSERS } from "./support/browser.ts";

const MEBIBYTE = 1024 * 1024;
/** Chromium sets aside up to twice what a file has, and a megabyte at least. */
const QUOTA = 40 * MEBIBYTE;
const LENGTH = MEBIBYTE / 2;
/** More than that. */
const UNLIMITED = { maxBytes: 1024 * MEBIBYTE };

for (const browserName of BROWSERS) {
  describe(`a cache that has no more room, in ${browserName}`, () => {
    it(
      "returns what it cannot keep, keeps what it has, and says so",
      onStage(browserName, async ({ tab }) => {
        const [leader, other] = [await tab(), await tab()];
        for (const each of [leader, other]) await each.call("open", "full", UNLIMITED);
        await leader.call("put", "full", "before", "kept");
        const stored = await other.call("fill", "full", LENGTH, 200);
        assert.ok(stored > 10 && stored < 200, `${stored} answers found room`);
        assert.equal(
          await other.call("askLong", "full", "too much", LENGTH),
          LENGTH,
          "what was bought is there",
        );
        const reports = await other.call("reported");
        assert.ok(reports.length > 0);
        for (const report of reports) assert.match(report, /^write_failed: CacheError: Cannot .*opfs:full: /);
        assert.ok((await other.call("stats", "full")).failedWrites > 0);
        for (const each of [leader, other]) {
          assert.equal(await each.call("get", "full", "before"), "kept");
          assert.deepEqual(await each.call("missingLong", "full", stored, LENGTH), []);
        }
        assert.equal((await leader.call("verify", "full")).ok, true);
      }, { storageLimit: QUOTA }),
    );

    it(
      "keeps to a limit of its own before",
      onStage(browserName, async ({ tab }) => {
        const page = await tab();
        await page.call("open", "limited", { maxBytes: 4 * MEBIBYTE });
        assert.equal(await page.call("fill", "limited", LENGTH / 4, 100), 100, "the least recently used give way");
        assert.deepEqual(await page.call("reported"), []);
        await page.call("whenWithin", "limited", 4 * MEBIBYTE);
      }, { storageLimit: QUOTA }),
    );
  });
}

describe("a cache that was told of no limit", () => {
  // Chromium says 10 GiB whatever there is.
  it(
    "keeps to half of what Firefox says there is, and so has always room",
    onStage("firefox", async ({ tab }) => {
      const page = await tab("half");
      assert.equal(await page.call("fill", "half", LENGTH, 70), 70, "the least recently used give way");
      assert.deepEqual(await page.call("reported"), []);
      await page.call("whenWithin", "half", QUOTA / 2);
    }, { storageLimit: QUOTA }),
  );
});
