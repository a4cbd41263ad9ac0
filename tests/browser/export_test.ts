/** A database made in a browser is one anywhere, and the other way round. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { Buffer } from "node:buffer";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { openCache } from "../../mod.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { databaseName } from "../../src/store/sqlite/names.ts";
import { requirePart } from "../support/parts.ts";
import { temporaryFolder } from "../support/temporary.ts";
import type * as Page from "./pages/export.ts";
import { BROWSERS, requireBrowser, type RunningBrowser, type Tab } from "./support/browser.ts";
import { bundleForBrowser } from "./support/bundle.ts";
import { answerOf, ANSWERS, requestOf } from "./support/exported_answers.ts";
import { serveSite, type Site } from "./support/site.ts";

const { model } = requestOf(0);
const FILE = databaseName(model, (await loadRuntime()).sha256);

for (const name of BROWSERS) {
  describe(`a database, in and out of ${name}`, () => {
    let site: Site;
    let browser: RunningBrowser | undefined;
    before(async () => {
      const { files } = await bundleForBrowser({
        export: "tests/browser/pages/export.ts",
        worker: "src/store/opfs/worker.ts",
      });
      site = await serveSite(files);
    });
    after(async () => {
      await browser?.close();
      await site.close();
    });

    function inPage(run: (tab: Tab<typeof Page>, context: TestContext) => Promise<void>) {
      return async (context: TestContext): Promise<void> => {
        browser ??= await requireBrowser(context, name);
        if (!browser) return;
        const tab = await browser.open<typeof Page>(`${site.origin}/export.html`);
        try {
          await run(tab, context);
        } finally {
          await tab.close();
        }
        assert.deepEqual(browser.complaints.splice(0), []);
      };
    }

    it(
      "made there opens here, with every answer, and to SQLite's own shell it is sound",
      inPage(async (tab, context) => {
        await tab.call("open", "made-there");
        assert.equal(await tab.call("ask", 0, ANSWERS), ANSWERS);
        const { base64, type } = await tab.call("take", model);
        assert.equal(type, "application/vnd.sqlite3");
        // The page goes on with it.
        assert.equal(await tab.call("ask", 0, ANSWERS + 5), 5);
        const directory = await temporaryFolder();
        await writeFile(join(directory, FILE), Buffer.from(base64, "base64"));
        if (requirePart(context, "sqlite3")) {
          const say = (sql: string): string =>
            execFileSync("sqlite3", ["-readonly", join(directory, FILE), sql], { encoding: "utf8" }).trim();
          assert.equal(say("PRAGMA integrity_check"), "ok");
          assert.equal(say("SELECT count(*) FROM entry"), String(ANSWERS));
        }
        await askHere(directory);
      }),
    );

    it(
      "made here opens there, and comes back with what was added there",
      inPage(async (tab) => {
        const directory = await temporaryFolder();
        await fillHere(directory);
        const made = (await readFile(join(directory, FILE))).toString("base64");
        await tab.call("open", "made-here");
        assert.equal(await tab.call("put", made), model);
        assert.equal(await tab.call("ask", 0, ANSWERS + 10), 10);
        await tab.call("close");
        await tab.call("open", "made-here");
        assert.equal(await tab.call("ask", 0, ANSWERS + 10), 0);
        const { base64 } = await tab.call("take", model);
        await writeFile(join(directory, FILE), Buffer.from(base64, "base64"));
        await askHere(directory, ANSWERS + 10);
      }),
    );

    it(
      "takes the place of one that is there only when told to",
      inPage(async (tab) => {
        const directory = await temporaryFolder();
        await fillHere(directory);
        const made = (await readFile(join(directory, FILE))).toString("base64");
        await tab.call("open", "taken");
        assert.equal(await tab.call("ask", ANSWERS, ANSWERS + 1), 1);
        await assert.rejects(() => tab.call("put", made), { name: "CacheError", code: "unavailable" });
        assert.equal(await tab.call("ask", ANSWERS, ANSWERS + 1), 0);
        assert.equal(await tab.call("put", made, true), model);
        assert.equal(await tab.call("ask", 0, ANSWERS + 1), 1);
      }),
    );

    it(
      "that is none, or broken, changes nothing",
      inPage(async (tab) => {
        const directory = await temporaryFolder();
        await fillHere(directory);
        const bytes = await readFile(join(directory, FILE));
        await tab.call("open", "broken");
        assert.equal(await tab.call("ask", 0, 3), 3);
        const none = Buffer.from("this is no database").toString("base64");
        await assert.rejects(() => tab.call("put", none, true), { name: "CacheError", code: "foreign_file" });
        const broken = Buffer.from(bytes).fill(0xaa, 4096, 40_000).toString("base64");
        await assert.rejects(() => tab.call("put", broken, true), { name: "CacheError", code: "corrupt" });
        assert.equal(await tab.call("ask", 0, 3), 0);
        await assert.rejects(() => tab.call("take", "another model"), { name: "CacheError", code: "unavailable" });
      }),
    );
  });
}

async function fillHere(directory: string): Promise<void> {
  const cache = await openCache({ directory });
  for (let number = 0; number < ANSWERS; number++) {
    await cache.wrap(requestOf(number), () => Promise.resolve(answerOf(number)));
  }
  await cache.close();
}

/** Expects all answers to be there. */
async function askHere(directory: string, count: number = ANSWERS): Promise<void> {
  const cache = await openCache({ directory });
  for (let number = 0; number < count; number++) {
    const answer = await cache.wrap(requestOf(number), () => Promise.reject(new Error(`bought again: ${number}`)));
    assert.deepEqual(answer, answerOf(number));
  }
  assert.equal((await cache.verify()).ok, true);
  await cache.close();
}
