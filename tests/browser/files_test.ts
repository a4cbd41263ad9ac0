/** Files in the browser's private file system, in real browsers: what all files promise, and what is theirs alone. */

import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import { temporaryFolder } from "../support/temporary.ts";
import { FILES_CONTRACT } from "../runtime/support/files_contract.ts";
import type * as Page from "./pages/files.ts";
import type { FilesCommands } from "./pages/files_worker.ts";
import { BROWSERS, requireBrowser, type RunningBrowser, type Tab } from "./support/browser.ts";
import { bundleForBrowser } from "./support/bundle.ts";
import { serveSite, type Site } from "./support/site.ts";

for (const name of BROWSERS) {
  describe(`files in the private file system, in ${name}`, () => {
    let site: Site;
    let browser: RunningBrowser | undefined;
    let directories = 0;

    before(async () => {
      const { files } = await bundleForBrowser({
        files: "tests/browser/pages/files.ts",
        files_worker: "tests/browser/pages/files_worker.ts",
      });
      site = await serveSite(files);
    });
    after(async () => {
      await browser?.close();
      await site.close();
    });

    /** Has a page, and a directory of its own. */
    function inPage(run: (tab: Tab<typeof Page>, directory: string) => Promise<void>) {
      return async (context: TestContext): Promise<void> => {
        browser ??= await requireBrowser(context, name);
        if (!browser) return;
        const tab = await browser.open<typeof Page>(`${site.origin}/files.html`);
        try {
          await run(tab, `files/test-${++directories}`);
        } finally {
          await tab.close();
        }
        assert.deepEqual(browser.complaints.splice(0), []);
      };
    }

    it(
      "keep what all files promise",
      inPage(async (tab, directory) => {
        await ask(tab, "open", directory);
        for (const promise of Object.keys(FILES_CONTRACT)) {
          await assert.doesNotReject(ask(tab, "contract", promise), promise);
        }
        assert.deepEqual(await ask(tab, "list"), []);
      }),
    );

    it(
      "stay when the Worker ends, the page is left, and the tab is closed",
      inPage(async (tab, directory) => {
        await ask(tab, "open", directory);
        for (const name of ["one", "two", "three"]) await ask(tab, "write", `/${name}`, `text of ${name}`);
        await ask(tab, "remove", "/two");
        await ask(tab, "rename", "/three", "/folder");
        await tab.call("restart");
        assert.equal(await ask(tab, "open", directory), 2);
        await tab.reload();
        assert.equal(await ask(tab, "open", directory), 2);
        await tab.close();
        const next = await browser!.open<typeof Page>(`${site.origin}/files.html`);
        await ask(next, "open", directory);
        assert.deepEqual(await ask(next, "list"), ["folder", "one"]);
        assert.equal(await ask(next, "read", "/folder"), "text of three");
        assert.equal(await ask(next, "read", "/one"), "text of one");
        await next.close();
      }),
    );

    it(
      "are one Worker's at a time: another waits until they are let go of, and says so when it takes too long",
      inPage(async (tab, directory) => {
        await ask(tab, "open", directory);
        await ask(tab, "write", "/file", "text");
        const other = await browser!.open<typeof Page>(`${site.origin}/files.html`);
        await assert.rejects(() => ask(other, "open", directory, 0), { name: "FileError", code: "EBUSY" });
        const opened = ask(other, "open", directory);
        await ask(tab, "close");
        assert.equal(await opened, 1);
        assert.equal(await ask(other, "read", "/file"), "text");
        await other.close();
      }),
    );

    it(
      "are whole after a Worker was killed among its changes, and none that it told of is lost",
      inPage(async (tab, directory) => {
        for (let round = 0; round < 4; round++) {
          await ask(tab, "open", directory);
          const told = await tab.call("killAmong", "changeForEver", 20 + round * 7);
          await ask(tab, "open", directory);
          const found = await ask(tab, "versions");
          for (const [path, version] of Object.entries(told)) {
            if (path === "/log") continue;
            assert.ok(found[path]! >= version, `round ${round}: ${path}: told ${version}, found ${found[path]}`);
          }
          await tab.call("restart");
        }
        // Slots are used again: neither killed Workers nor removed files leave any behind.
        assert.ok(await ask(tab, "slots", directory) < 24);
      }),
    );

    it(
      "keep every row that a database's Worker had committed when it was killed",
      inPage(async (tab, directory) => {
        for (let round = 0; round < 4; round++) {
          await ask(tab, "open", directory);
          const { row } = await tab.call("killAmong", "commitForEver", 30 + round * 50);
          await ask(tab, "open", directory);
          const { count, last, integrity, files } = await ask(tab, "rows");
          assert.equal(integrity, "ok");
          assert.ok(last >= row!, `round ${round}: told ${row}, found ${last}`);
          assert.equal(count, last);
          assert.deepEqual(files, ["database", "database-owner"]);
          await tab.call("restart");
        }
      }),
    );

    it(
      "have room for a few files that nobody announced, and for all that somebody did",
      inPage(async (tab, directory) => {
        await ask(tab, "open", directory);
        const { count, code } = await ask(tab, "makeUnprepared", "/unprepared-");
        assert.ok(count >= 4, `${count} files`);
        assert.equal(code, "EAGAIN");
        assert.equal(await ask(tab, "make", "/prepared-", 40), "none");
        assert.equal((await ask(tab, "list")).length, count + 40);
      }),
    );

    it(
      "are as they were before when a label is torn, and a slot without one is free",
      inPage(async (tab, directory) => {
        await ask(tab, "open", directory);
        for (const name of ["first", "second"]) await ask(tab, "write", `/${name}`, `text of ${name}`);
        await ask(tab, "rename", "/first", "/renamed");
        await ask(tab, "close");
        await ask(tab, "tear", directory, "/renamed", 1);
        await ask(tab, "open", directory);
        assert.deepEqual(await ask(tab, "list"), ["first", "second"]);
        assert.equal(await ask(tab, "read", "/first"), "text of first");
        await ask(tab, "close");
        await ask(tab, "tear", directory, "/second", 2);
        await ask(tab, "open", directory);
        assert.deepEqual(await ask(tab, "list"), ["first"]);
        await ask(tab, "write", "/third", "text");
        assert.equal(await ask(tab, "read", "/third"), "text");
      }),
    );

    it(
      "are the one that came later where a Worker died between giving a name and taking it from another",
      inPage(async (tab, directory) => {
        await ask(tab, "open", directory);
        for (const name of ["old", "new"]) await ask(tab, "write", `/${name}`, `the ${name} one`);
        const slots = await ask(tab, "slots", directory);
        await ask(tab, "close");
        await ask(tab, "halfRename", directory, "/new", "/old");
        await ask(tab, "open", directory);
        assert.deepEqual(await ask(tab, "list"), ["old"]);
        assert.equal(await ask(tab, "read", "/old"), "the new one");
        for (let number = 0; number < 10; number++) await ask(tab, "write", "/old", `number ${number}`);
        assert.equal(await ask(tab, "slots", directory), slots);
        await ask(tab, "close");
        await ask(tab, "open", directory);
        assert.equal(await ask(tab, "read", "/old"), "number 9");
      }),
    );

    it(
      "are left alone where a later version of this program has written them",
      inPage(async (tab, directory) => {
        await ask(tab, "open", directory);
        await ask(tab, "write", "/file", "text");
        await ask(tab, "close");
        await ask(tab, "setVersion", directory, "/file", 2);
        const message = /^Cannot open the files in test-\d+: its layout is version 2, this program knows 1$/;
        await assert.rejects(() => ask(tab, "open", directory), { name: "FileError", code: "ENOTSUP", message });
        await ask(tab, "setVersion", directory, "/file", 1);
        await ask(tab, "open", directory);
        assert.equal(await ask(tab, "read", "/file"), "text");
      }),
    );

    it("keep every row that was committed when the browser itself was killed", async (context) => {
      const profile = await temporaryFolder();
      const first = await requireBrowser(context, name, { profile });
      if (!first) return;
      let row: number | undefined;
      try {
        const tab = await first.open<typeof Page>(`${site.origin}/files.html`);
        await ask(tab, "open", "files/killed");
        ({ row } = await tab.call("waitAmong", "commitForEver", 150));
      } finally {
        await first.kill();
      }
      const second = (await requireBrowser(context, name, { profile }))!;
      try {
        const tab = await second.open<typeof Page>(`${site.origin}/files.html`);
        await ask(tab, "open", "files/killed");
        const { count, last, integrity } = await ask(tab, "rows");
        assert.deepEqual([integrity, count], ["ok", last]);
        assert.ok(last >= row!, `told ${row}, found ${last}`);
      } finally {
        await second.close();
      }
    });

    it("say that there is no room, keep what they have, and go on when there is room again", async (context) => {
      const small = await requireBrowser(context, name, { storageLimit: 12 * 1024 * 1024 });
      if (!small) return;
      try {
        const tab = await small.open<typeof Page>(`${site.origin}/files.html`);
        const directory = "files/small";
        await ask(tab, "open", directory);
        await ask(tab, "write", "/kept", "what is kept");
        const { written, code } = await ask(tab, "fill", "/large", 64 * 1024 * 1024);
        assert.equal(code, "ENOSPC");
        assert.ok(written > 1024 * 1024 && written < 13 * 1024 * 1024, `${written} bytes`);
        // Until not even an empty file has room; names still go to those that have it.
        await ask(tab, "fill", "/rest", 64 * 1024 * 1024);
        assert.equal(await ask(tab, "make", "/small-", 1000), "ENOSPC");
        await ask(tab, "rename", "/kept", "/renamed");
        assert.equal(await ask(tab, "read", "/renamed"), "what is kept");
        await tab.call("restart");
        await ask(tab, "open", directory);
        assert.equal(await ask(tab, "read", "/renamed"), "what is kept");
        for (const path of ["/large", "/rest"]) await ask(tab, "remove", path);
        assert.deepEqual(await ask(tab, "fill", "/again", 1024 * 1024), { written: 1024 * 1024, code: "none" });
        assert.deepEqual(small.complaints, []);
      } finally {
        await small.close();
      }
    });
  });
}

/** Has a page's Worker do something. */
function ask<Command extends keyof FilesCommands>(
  tab: Tab<typeof Page>,
  command: Command,
  ...args: Parameters<FilesCommands[Command]>
): Promise<Awaited<ReturnType<FilesCommands[Command]>>> {
  return tab.call("ask", command, ...args as never) as Promise<never>;
}
