/** What removes files while a store writes, as `git clean` and `git checkout` do, costs no acknowledged answer. */

import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { describe, it } from "node:test";
import type { Runtime } from "../../../src/runtime/runtime.ts";
import type { Store } from "../../../src/store/store.ts";
import { nextTurn } from "../../../src/store/file/turns.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { binIn, entryOf, folderIn, keyOf, machine, MODEL, openFiles, requestOf, texts } from "./fixture.ts";

const put = async (store: Store, text: string, word = "a"): Promise<void> =>
  await store.put(MODEL, requestOf(word), [entryOf(text)], "append");

/** The machine; `meddle` runs once, before the first bin is put in its place. */
function meddling(runtime: Runtime, meddle: () => Promise<void>): Runtime {
  let done = false;
  return {
    ...runtime,
    files: {
      ...runtime.files,
      async replace(path, bytes, options) {
        if (!done && !path.endsWith("model.json")) {
          done = true;
          await meddle();
        }
        await runtime.files.replace(path, bytes, options);
      },
    },
  };
}

for (const [title, rangeLocks] of [["", machine.rangeLocks], [" (whole file)", undefined]] as const) {
  const runtime = { ...machine, rangeLocks };

  describe(`a lock that is removed while it is held${title}`, () => {
    it("lets another put in between, and both are there, once", async () => {
      const directory = await temporaryFolder();
      const written = Promise.withResolvers<void>();
      // He who finds no lock leaves time for a write that was begun before.
      const clock = { ...machine.clock, sleep: () => written.promise };
      const other = await openFiles(directory, { runtime: { ...runtime, clock } });
      await put(other, "first");
      const { files } = runtime;
      let his: Promise<void> | undefined;
      const replace: typeof files.replace = async (...args) => {
        if (!his) {
          await rm(`${folderIn(directory)}/lock`);
          his = put(other, "his");
          // Until he has the lock.
          while (!files.exists(`${folderIn(directory)}/lock`)) await nextTurn(machine.clock);
        }
        await files.replace(...args);
        written.resolve();
      };
      const store = await openFiles(directory, { runtime: { ...runtime, files: { ...files, replace } } });
      await put(store, "mine");
      await his;
      assert.deepEqual(await texts(store, "a", 9), ["first", "mine", "his"]);
      for (const each of [store, other]) await each.close();
    });

    it("has what was overwritten since be put once more before it is said to be there", async () => {
      const directory = await temporaryFolder();
      const other = await openFiles(directory, { runtime });
      await put(other, "first");
      const path = binIn(directory, "a");
      const before = await machine.files.read(path);
      const { files } = runtime;
      let meddled = false;
      const replace: typeof files.replace = async (path, bytes, options) => {
        await files.replace(path, bytes, options);
        if (meddled) return;
        meddled = true;
        await rm(`${folderIn(directory)}/lock`);
        await files.replace(path, before);
      };
      const store = await openFiles(directory, { runtime: { ...runtime, files: { ...files, replace } } });
      await put(store, "mine");
      assert.deepEqual(await texts(store, "a", 9), ["first", "mine"]);
      for (const each of [store, other]) await each.close();
    });

    it("each time makes a put fail in the end, and says why", async () => {
      const directory = await temporaryFolder();
      const { files } = runtime;
      const replace: typeof files.replace = async (path, ...rest) => {
        await files.replace(path, ...rest);
        for (const each of [path, `${folderIn(directory)}/lock`]) files.remove(each);
      };
      const clock = { ...machine.clock, sleep: () => Promise.resolve() };
      const store = await openFiles(directory, { runtime: { ...runtime, clock, files: { ...files, replace } } });
      await assert.rejects(put(store, "mine"), {
        name: "CacheError",
        code: "locked",
        message: `Cannot write to ${folderIn(directory)}: somebody removes its lock again and again; ` +
          "have nobody do that while this process runs",
      });
      await store.close();
    });

    it("has a removal count what it removed once", async () => {
      const directory = await temporaryFolder();
      let removals = 0;
      const meddler: Runtime = {
        ...runtime,
        files: {
          ...runtime.files,
          remove(path) {
            runtime.files.remove(path);
            if (path !== binIn(directory, "a") || removals++ > 0) return;
            runtime.files.remove(`${folderIn(directory)}/lock`);
          },
        },
      };
      const store = await openFiles(directory, { runtime: meddler });
      await put(store, "one");
      await put(store, "two");
      assert.equal((await store.remove({ keys: [keyOf("a")] })).entries, 2);
      assert.deepEqual(await texts(store, "a"), []);
      await store.close();
    });
  });

  describe(`a folder that is removed while something is written to it${title}`, () => {
    for (const which of ["of its bin", "of its model", "of the store"]) {
      it(`${which} is made anew, and has the answer`, async () => {
        const directory = await temporaryFolder();
        const path = { "of its bin": dirname(binIn(directory, "a")), "of its model": folderIn(directory) }[which];
        const meddle = () => rm(path ?? directory, { recursive: true });
        const store = await openFiles(directory, { runtime: meddling(runtime, meddle) });
        await Promise.all([put(store, "one"), put(store, "two")]);
        assert.deepEqual(await texts(store, "a", 9), ["one", "two"]);
        const other = await openFiles(directory);
        await put(other, "three");
        assert.deepEqual(await texts(store, "a", 9), ["one", "two", "three"]);
        for (const each of [store, other]) await each.close();
      });
    }
  });
}

describe("a file that is changed while a store runs", () => {
  it("is read as it is now, older or not, whatever was known of it", async () => {
    const directory = await temporaryFolder();
    const store = await openFiles(directory);
    const path = binIn(directory, "a");
    await put(store, "old");
    const old = await machine.files.read(path);
    await store.put(MODEL, requestOf("a"), [entryOf("new")], "replace");
    assert.deepEqual(await texts(store, "a"), ["new"]);
    await writeFile(path, old);
    assert.deepEqual(await texts(store, "a"), ["old"]);
    await rm(dirname(path), { recursive: true });
    assert.deepEqual(await texts(store, "a"), []);
    await store.close();
  });
});
