/** Tabs that share a cache: who buys, who keeps the files, and what becomes of answers when tabs come and go. */

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { temporaryFolder } from "../support/temporary.ts";
import { cacheFiles, onStage } from "./caches.ts";
import type * as Page from "./pages/tabs.ts";
import { BROWSERS, requireBrowser } from "./support/browser.ts";
import { serveSite } from "./support/site.ts";

const NAMES = Array.from({ length: 40 }, (_, index) => `question ${index}`);

for (const browserName of BROWSERS) {
  describe(`tabs that share a cache, in ${browserName}`, () => {
    it(
      "find what others have bought, whichever of them keeps the files",
      onStage(browserName, async ({ tab }) => {
        const [first, second] = [await tab("shared"), await tab("shared")];
        assert.equal(await first.call("ask", "shared", "a", { by: "first" }), "first");
        assert.equal(await second.call("ask", "shared", "a", { by: "second" }), "first");
        assert.equal(await second.call("ask", "shared", "b", { by: "second" }), "second");
        assert.equal(await first.call("ask", "shared", "b", { by: "first" }), "second");
        const late = await tab("shared");
        assert.equal(await late.call("get", "shared", "a"), "first");
        assert.equal(await late.call("listAll", "shared"), 2);
        assert.deepEqual(await late.call("verify", "shared"), { ok: true, entries: 2 });
      }),
    );

    it(
      "buy once what several of them ask for at the same time",
      onStage(browserName, async ({ tab }) => {
        const tabs = [await tab("racing"), await tab("racing"), await tab("racing")];
        for (const [index, buyer] of tabs.entries()) {
          const question = `asked first by ${index}`;
          const buying = buyer.call("ask", "racing", question, { by: `${index}`, hold: true });
          await buyer.call("whenHeld", 1);
          const waiting = tabs.filter((each) => each !== buyer).map((each) => each.call("ask", "racing", question));
          await buyer.call("release");
          assert.deepEqual(await Promise.all([buying, ...waiting]), [`${index}`, `${index}`, `${index}`]);
        }
        for (const each of tabs) assert.equal(await each.call("purchases"), 1);
      }),
    );

    it(
      "buy each of many once between them",
      onStage(browserName, async ({ tab }) => {
        const tabs = [await tab("many"), await tab("many"), await tab("many")];
        const answers = await Promise.all(
          tabs.map((each, index) => each.call("askMany", "many", NAMES, { by: `${index}` })),
        );
        assert.deepEqual(answers[1], answers[0]);
        assert.deepEqual(answers[2], answers[0]);
        const purchases = await Promise.all(tabs.map((each) => each.call("purchases")));
        assert.equal(purchases.reduce((sum, each) => sum + each), NAMES.length);
        assert.deepEqual(await tabs[0]!.call("verify", "many"), { ok: true, entries: NAMES.length });
      }),
    );

    it(
      "lose nothing that was acknowledged, and store nothing twice, when the one that keeps the files is closed",
      onStage(browserName, async ({ tab }) => {
        const [leader, other] = [await tab("closed"), await tab("closed")];
        await leader.call("keepPutting", "closed", "leader ");
        await other.call("keepPutting", "closed", "other ");
        await other.call("whenAcknowledged", 20);
        const atLeast = await leader.call("whenAcknowledged", 20);
        await leader.close();
        const before = await other.call("whenAcknowledged", 0);
        await other.call("whenAcknowledged", before + 20);
        const count = await other.call("stopPutting");
        assert.deepEqual(await other.call("missing", "closed", "leader ", atLeast), []);
        assert.deepEqual(await other.call("missing", "closed", "other ", count), []);
        const { ok, entries } = await other.call("verify", "closed");
        assert.equal(ok, true);
        assert.equal(entries, await other.call("listAll", "closed"), "each request has one answer");
        assert.deepEqual(await other.call("reported"), []);
      }),
    );

    it(
      "go on waiting for a purchase when the one that keeps the files is closed",
      onStage(browserName, async ({ tab }) => {
        const [leader, buyer, waiting] = [await tab("claimed"), await tab("claimed"), await tab("claimed")];
        const buying = buyer.call("ask", "claimed", "a", { by: "buyer", hold: true });
        await buyer.call("whenHeld", 1);
        await leader.close();
        const asked = waiting.call("ask", "claimed", "a", { by: "another" });
        // By now it has been refused a claim, by whoever leads.
        await waiting.call("ask", "claimed", "b");
        await buyer.call("release");
        assert.deepEqual(await Promise.all([buying, asked]), ["buyer", "buyer"]);
      }),
    );

    it(
      "take over from one that closes its cache and lives on, and has it again later",
      onStage(browserName, async ({ tab }) => {
        const [leader, other] = [await tab("left"), await tab("left")];
        await leader.call("put", "left", "a", "kept");
        await leader.call("close", "left");
        await assert.rejects(() => leader.call("get", "left", "a"), { name: "CacheError", code: "closed" });
        assert.equal(await other.call("get", "left", "a"), "kept");
        await other.call("put", "left", "b", "kept too");
        await leader.call("open", "left");
        assert.equal(await leader.call("get", "left", "b"), "kept too");
        await other.close();
        assert.equal(await leader.call("get", "left", "a"), "kept");
      }),
    );

    it(
      "take over from one that is loaded anew",
      onStage(browserName, async ({ tab }) => {
        const [leader, other] = [await tab("reloaded"), await tab("reloaded")];
        await leader.call("put", "reloaded", "a", "kept");
        await leader.reload();
        await leader.call("open", "reloaded");
        assert.equal(await leader.call("get", "reloaded", "a"), "kept");
        assert.equal(await other.call("get", "reloaded", "a"), "kept");
      }),
    );

    it(
      "find everything again when all of them were closed",
      onStage(browserName, async ({ tab }) => {
        const tabs = [await tab("reopened"), await tab("reopened"), await tab("reopened")];
        const counts: number[] = [];
        for (const [index, each] of tabs.entries()) await each.call("keepPutting", "reopened", `${index} `);
        for (const each of tabs) counts.push(await each.call("whenAcknowledged", 10));
        await Promise.all(tabs.map((each) => each.close()));
        const again = await tab("reopened");
        for (const [index, count] of counts.entries()) {
          assert.deepEqual(await again.call("missing", "reopened", `${index} `, count), []);
        }
        assert.equal((await again.call("verify", "reopened")).ok, true);
      }),
    );

    it(
      "go on without one that stands still, and store what they bought once it moves",
      onStage(browserName, async ({ tab }) => {
        const [leader, other] = [await tab(), await tab()];
        await leader.call("openFreezable", "frozen");
        await other.call("openFreezable", "frozen");
        await leader.call("put", "frozen", "a", "kept");
        await leader.call("freeze", "frozen", 3000);
        assert.equal(await other.call("ask", "frozen", "a", { by: "another" }), "another", "it is not there just now");
        assert.equal(await other.call("ask", "frozen", "b", { by: "other" }), "other");
        assert.deepEqual(new Set(await other.call("reported")), new Set(["lookup_failed"]));
        await leader.call("whenStored", "frozen", "b");
        assert.equal(await leader.call("get", "frozen", "a"), "kept", "what is there first is served");
        assert.equal(await other.call("get", "frozen", "b"), "other");
      }),
    );

    it(
      "have several caches, each with its own keeper",
      onStage(browserName, async ({ tab }) => {
        const [one, other] = [await tab("x"), await tab("y")];
        await one.call("open", "y");
        await other.call("open", "x");
        for (const name of ["x", "y"]) await one.call("put", name, "a", `in ${name}`);
        for (const name of ["x", "y"]) assert.equal(await other.call("get", name, "a"), `in ${name}`);
        await one.close();
        for (const name of ["x", "y"]) assert.equal(await other.call("get", name, "a"), `in ${name}`);
      }),
    );

    it(
      "may have a cache twice, and either may be closed",
      onStage(browserName, async ({ tab }) => {
        const page = await tab("twice");
        await page.call("open", "again", { directory: "./twice/" });
        await page.call("put", "twice", "a", "kept");
        assert.equal(await page.call("get", "again", "a"), "kept");
        await page.call("close", "twice");
        assert.equal(await page.call("get", "again", "a"), "kept");
        await page.call("close", "again");
      }),
    );

    it(
      "add up their statistics",
      onStage(browserName, async ({ tab }) => {
        const [one, other] = [await tab("counted"), await tab("counted")];
        await one.call("ask", "counted", "a");
        await one.call("ask", "counted", "a");
        await other.call("ask", "counted", "a");
        await other.call("close", "counted");
        const { lookups, allTime } = await one.call("stats", "counted");
        assert.equal(lookups, 2);
        assert.equal(allTime!.lookups, 3);
        assert.equal(allTime!.hits, 2);
        assert.equal(allTime!.writes, 1);
      }),
    );

    it(
      "take a database out and in by way of the one that keeps the files",
      onStage(browserName, async ({ tab }) => {
        const [leader, other] = [await tab("exported"), await tab("exported")];
        await leader.call("put", "exported", "a", "kept");
        const { bytes, begins } = await other.call("take", "exported", "model", "file");
        assert.equal(begins, "SQLite format 3");
        assert.equal(bytes % 4096, 0);
        assert.equal(await leader.call("get", "exported", "a"), "kept", "the cache goes on");
        await other.call("open", "imported");
        assert.equal(await other.call("give", "imported", "file"), "model");
        assert.equal(await other.call("get", "imported", "a"), "kept");
        await other.call("put", "exported", "b", "newer");
        await assert.rejects(() => other.call("give", "exported", "file"), { code: "unavailable" });
        assert.equal(await other.call("get", "exported", "b"), "newer");
        await other.call("give", "exported", "file", true);
        assert.equal(await leader.call("get", "exported", "b"), null);
        assert.equal(await leader.call("get", "exported", "a"), "kept");
        await assert.rejects(() => other.call("take", "exported", "no such model", "file"), { code: "unavailable" });
        await assert.rejects(() => other.call("give", "exported", "no database"), { code: "foreign_file" });
        assert.deepEqual(await leader.call("verify", "exported"), { ok: true, entries: 1 });
      }),
    );

    it("find what was acknowledged when the whole browser was killed", async (context) => {
      const profile = await temporaryFolder();
      const browser = await requireBrowser(context, browserName, { profile });
      if (browser === undefined) return;
      const site = await serveSite(await cacheFiles());
      after(() => site.close());
      const tab = await browser.open<typeof Page>(`${site.origin}/tabs.html`);
      await tab.call("open", "killed");
      await tab.call("keepPutting", "killed", "");
      const count = await tab.call("whenAcknowledged", 50);
      await browser.kill();
      const again = (await requireBrowser(context, browserName, { profile }))!;
      try {
        const tab = await again.open<typeof Page>(`${site.origin}/tabs.html`);
        await tab.call("open", "killed");
        assert.deepEqual(await tab.call("missing", "killed", "", count), []);
        assert.equal((await tab.call("verify", "killed")).ok, true);
      } finally {
        await again.close();
      }
    });
  });
}

describe("tabs that share a cache, in chromium alone", () => {
  it(
    "lose nothing when the one that keeps the files crashes",
    onStage("chromium", async ({ tab }) => {
      const [leader, other] = [await tab("crashed"), await tab("crashed")];
      await leader.call("keepPutting", "crashed", "");
      const count = await leader.call("whenAcknowledged", 20);
      await leader.crash!();
      assert.deepEqual(await other.call("missing", "crashed", "", count), []);
      assert.equal((await other.call("verify", "crashed")).ok, true);
    }),
  );
});
