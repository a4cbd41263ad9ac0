/** What other programs, and people, may do to a store's files: never a wrong answer, and nothing that is lost. */

import assert from "node:assert/strict";
import { copyFile, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import type { Store } from "../../../src/store/store.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { binIn, entryOf, find, folderIn, MODEL, openFiles, requestOf, texts, treeOf } from "./fixture.ts";

const put = async (store: Store, word: string, text: string): Promise<void> =>
  await store.put(MODEL, requestOf(word), [entryOf(text)], "append");

/** A store with an answer to one request, and the path of its bin. */
async function filled(...answers: string[]): Promise<{ store: Store; directory: string; path: string }> {
  const directory = await temporaryFolder();
  const store = await openFiles(directory);
  for (const text of answers) await put(store, "a", text);
  return { store, directory, path: binIn(directory, "a") };
}

const HEAD = "<<<<<<< HEAD\n";

/** What git makes of two versions of a file: the lines between those that both begin and end with, of each. */
function conflictOf(ours: string, theirs: string, base?: string): string {
  const [mine, his] = [ours.split("\n"), theirs.split("\n")];
  const start = mine.findIndex((line, index) => line !== his[index]);
  const end = mine.toReversed().findIndex((line, index) => line !== his.at(-1 - index));
  const middle = (lines: string[]): string[] => lines.slice(start, lines.length - end);
  const before = base === undefined ? [] : ["||||||| 1234567", ...middle(base.split("\n"))];
  return [
    ...mine.slice(0, start),
    "<<<<<<< HEAD",
    ...middle(mine),
    ...before,
    "=======",
    ...middle(his),
    ">>>>>>> other",
    ...mine.slice(mine.length - end),
  ].join("\n");
}

describe("a bin that cannot be read", () => {
  const ways: Record<string, (text: string) => string> = {
    "cut off": (text) => text.slice(0, text.length >> 1),
    "empty": () => "",
    "with half a conflict of git": (text) => `${HEAD}${text}=======\n${text}`,
    "another kind of file": () => "\u0000\u0001PNG",
  };
  for (const [way, spoil] of Object.entries(ways)) {
    it(`${way} is a miss that says so, and is kept beside the next answer`, async () => {
      const { store, path } = await filled("one");
      const spoilt = spoil(await readFile(path, "utf8"));
      await writeFile(path, spoilt);
      const { entries, corrupt } = await find(store, "a");
      assert.deepEqual({ entries, corrupt }, { entries: [], corrupt: true });
      await put(store, "a", "two");
      assert.deepEqual(await texts(store, "a", 9), ["two"]);
      assert.equal((await find(store, "a")).corrupt, false);
      assert.equal(await readFile(`${path}.broken-1`, "utf8"), spoilt);
      await store.close();
    });
  }

  it("is kept each time, under another name", async () => {
    const { store, path } = await filled();
    await mkdir(dirname(path), { recursive: true });
    for (const time of [1, 2, 3]) {
      await writeFile(path, `spoilt ${time}`);
      await put(store, "a", `${time}`);
    }
    for (const time of [1, 2, 3]) assert.equal(await readFile(`${path}.broken-${time}`, "utf8"), `spoilt ${time}`);
    await store.close();
  });

  it("that is mended by hand is read again", async () => {
    const { store, path } = await filled("one");
    const whole = await readFile(path, "utf8");
    await writeFile(path, HEAD + whole);
    assert.deepEqual(await texts(store, "a"), []);
    await writeFile(path, whole.replaceAll("\n", "\r\n"));
    assert.deepEqual(await texts(store, "a"), ["one"]);
    await store.close();
  });

  it("hides nothing else, and is counted nowhere", async () => {
    const { store, path } = await filled("one");
    await put(store, "b", "two");
    await writeFile(path, HEAD);
    assert.deepEqual(await texts(store, "b"), ["two"]);
    assert.equal((await store.size()).entries, 1);
    assert.equal((await store.nearest(requestOf("a").sketch, 9)).length, 1);
    assert.equal((await Array.fromAsync(store.list())).length, 1);
    await store.close();
  });

  it("goes, with all that was kept of it, when its request or its model is removed", async () => {
    for (const selection of [{}, { model: MODEL }, { keys: [requestOf("a").key] }]) {
      const { store, directory, path } = await filled("one");
      await writeFile(path, HEAD);
      await put(store, "a", "two");
      await writeFile(path, HEAD);
      assert.deepEqual({ ...await store.remove(selection) }, { entries: 0, storedBytes: 0 });
      await store.close();
      const left = (await treeOf(directory)).filter((name) => !name.endsWith("/") && !/(lock|model\.json)$/.test(name));
      assert.deepEqual(left, []);
    }
  });

  it("stays where what is to go is told by something that cannot be read any more", async () => {
    const { store, path } = await filled("one");
    await writeFile(path, HEAD);
    await store.remove({ namespace: "tests" });
    await store.remove({ createdBefore: Infinity });
    assert.equal(await readFile(path, "utf8"), HEAD);
    await store.close();
  });
});

describe("a bin in which git has left conflicts", () => {
  /** What two stores made of the same bin, line by line, as git shows it. */
  async function conflict(style: "merge" | "diff3" = "merge"): Promise<{ store: Store; path: string }> {
    const { store, path } = await filled("base");
    const base = await readFile(path, "utf8");
    await put(store, "a", "ours");
    const ours = await readFile(path, "utf8");
    await writeFile(path, base);
    for (const text of ["theirs", "theirs, too"]) {
      await store.put(MODEL, requestOf("a"), [entryOf(text)], "append", { tags: ["their tag"] });
    }
    const theirs = await readFile(path, "utf8");
    await writeFile(path, conflictOf(ours, theirs, style === "diff3" ? base : undefined));
    return { store, path };
  }

  for (const style of ["merge", "diff3"] as const) {
    it(`has the answers of both, and the next put writes them without marks (${style})`, async () => {
      const { store, path } = await conflict(style);
      const { corrupt } = await find(store, "a", 9);
      assert.equal(corrupt, false);
      assert.deepEqual(await texts(store, "a", 9), ["base", "ours", "theirs", "theirs, too"]);
      assert.equal((await store.size()).entries, 4);
      await put(store, "a", "next");
      assert.deepEqual(await texts(store, "a", 9), ["base", "ours", "theirs", "theirs, too", "next"]);
      assert.doesNotMatch(await readFile(path, "utf8"), /[<=>]{7}/);
      await assert.rejects(stat(`${path}.broken-1`));
      await store.close();
    });
  }

  it("has the tags of both", async () => {
    const { store } = await conflict();
    assert.equal((await store.remove({ tag: "their tag" })).entries, 4);
    await store.close();
  });

  it("whose lines end as on Windows is read all the same", async () => {
    const { store, path } = await conflict();
    await writeFile(path, (await readFile(path, "utf8")).replaceAll("\n", "\r\n"));
    assert.equal((await texts(store, "a", 9)).length, 4);
    await store.close();
  });

  it("and an answer that was cut keeps what is whole, and itself beside the next", async () => {
    const { store, path } = await conflict();
    const text = (await readFile(path, "utf8")).replace('"ours"', '"mine"');
    await writeFile(path, text);
    const { corrupt } = await find(store, "a", 9);
    assert.equal(corrupt, true);
    assert.deepEqual(await texts(store, "a", 9), ["base", "theirs", "theirs, too"]);
    await put(store, "a", "next");
    assert.equal(await readFile(`${path}.broken-1`, "utf8"), text);
    await store.close();
  });

  it("of two requests is a miss", async () => {
    const { store, path } = await filled("one");
    const ours = await readFile(path, "utf8");
    await writeFile(path, conflictOf(ours, ours.replace(MODEL, "another")));
    const { entries, corrupt } = await find(store, "a");
    assert.deepEqual({ entries, corrupt }, { entries: [], corrupt: true });
    await store.close();
  });

  it("one of them by a newer version, is refused", async () => {
    const { store, path } = await filled("one");
    const ours = await readFile(path, "utf8");
    await writeFile(path, conflictOf(ours, ours.replace('"format": 1', '"format": 2')));
    await assert.rejects(find(store, "a"), { name: "CacheError", code: "newer_schema" });
    await store.close();
  });
});

describe("an answer that was edited", () => {
  it("is passed over, and the others are served", async () => {
    const { store, path } = await filled('{"content":"one"}', '{"content":"two"}', '{"content":"three"}');
    await writeFile(path, (await readFile(path, "utf8")).replace('"two"', '"2"'));
    const { entries, corrupt } = await find(store, "a", 9);
    assert.deepEqual(entries.map(({ sample }) => sample), [0, 1]);
    assert.equal(corrupt, true);
    assert.deepEqual(await texts(store, "a", 9), ['{"content":"one"}', '{"content":"three"}']);
    await store.close();
  });

  it("is kept beside what a put makes of the others", async () => {
    const { store, path } = await filled('{"content":"one"}', '{"content":"two"}');
    const edited = (await readFile(path, "utf8")).replace('"two"', '"2"');
    await writeFile(path, edited);
    await put(store, "a", '{"content":"three"}');
    assert.deepEqual(await texts(store, "a", 9), ['{"content":"one"}', '{"content":"three"}']);
    assert.equal(await readFile(`${path}.broken-1`, "utf8"), edited);
    await store.close();
  });

  it("is kept where another one is removed", async () => {
    const { store, path } = await filled('{"content":"one"}');
    await store.put(MODEL, requestOf("a"), [entryOf("cut", { outcome: "length" })], "append");
    const edited = (await readFile(path, "utf8")).replace('"one"', '"1"');
    await writeFile(path, edited);
    assert.equal((await store.remove({ outcome: "length" })).entries, 1);
    assert.equal(await readFile(`${path}.broken-1`, "utf8"), edited);
    await store.close();
  });
});

describe("a request that was edited", () => {
  it("takes no answer with it, is found by none of its words, and is mended by the next put", async () => {
    const { store, path } = await filled("one");
    await writeFile(path, (await readFile(path, "utf8")).replace('"tests"', '"production"'));
    assert.deepEqual(await texts(store, "a"), ["one"]);
    for (const namespace of ["tests", "production"]) assert.equal((await store.remove({ namespace })).entries, 0);
    assert.deepEqual(await Array.fromAsync(store.list()), []);
    assert.equal((await store.remove({ outcome: "stop" })).entries, 0);
    await put(store, "a", "two");
    assert.deepEqual(await texts(store, "a", 9), ["one", "two"]);
    assert.equal((await store.remove({ namespace: "tests" })).entries, 2);
    await store.close();
  });
});

describe("a file in the wrong place", () => {
  it("answers for no other request", async () => {
    const { store, directory, path } = await filled("one");
    const other = binIn(directory, "b");
    await mkdir(dirname(other), { recursive: true });
    await copyFile(path, other);
    const { entries, corrupt } = await find(store, "b");
    assert.deepEqual({ entries, corrupt }, { entries: [], corrupt: true });
    await put(store, "b", "two");
    assert.deepEqual(await texts(store, "b", 9), ["two"]);
    await store.close();
  });

  it("answers for no other model", async () => {
    const { store, directory } = await filled("one");
    await rename(folderIn(directory), folderIn(directory, "another"));
    assert.equal((await find(store, "a", 1, "another")).corrupt, true);
    await assert.rejects(store.put("another", requestOf("b"), [entryOf("x")], "append") as Promise<void>, {
      name: "CacheError",
      code: "foreign_file",
    });
    await store.close();
  });
});

describe("two models whose names have the same digest", () => {
  it("share no folder: who came second is refused, however soon he came", async () => {
    const store = await openFiles(await temporaryFolder());
    // Neither can be written in UTF-8, and both become the same there.
    const puts = ["\ud800", "\ud801"].map(async (model) =>
      await store.put(model, requestOf(model), [entryOf("x")], "append")
    );
    const [first, second] = await Promise.allSettled(puts);
    assert.equal(first!.status, "fulfilled");
    assert.equal((second as PromiseRejectedResult).reason.code, "foreign_file");
    await store.close();
  });
});

describe("a file of a newer version", () => {
  it("is refused when it is looked up, when it is put to, and where the folder says so", async () => {
    const { store, directory, path } = await filled("one");
    const newer = (await readFile(path, "utf8")).replace('"format": 1', '"format": 2');
    await writeFile(path, newer);
    const refused = { name: "CacheError", code: "newer_schema" };
    await assert.rejects(find(store, "a"), refused);
    await assert.rejects(put(store, "a", "two"), refused);
    assert.equal(await readFile(path, "utf8"), newer);
    await writeFile(join(folderIn(directory), "model.json"), JSON.stringify({ format: 2, model: MODEL }));
    await assert.rejects(put(store, "b", "two"), refused);
    await store.close();
  });
});

describe("model.json", () => {
  it("says whose folder it is, for people", async () => {
    const { store, directory } = await filled("one");
    const text = await readFile(join(folderIn(directory), "model.json"), "utf8");
    assert.equal(text, `{\n  "format": 1,\n  "model": "${MODEL}"\n}\n`);
    await store.close();
  });

  it("that is missing or spoilt is written anew, and missed by nobody", async () => {
    const { store, directory } = await filled("one");
    const path = join(folderIn(directory), "model.json");
    for (const spoil of [() => rm(path), () => writeFile(path, HEAD), () => writeFile(path, "null")]) {
      await spoil();
      assert.deepEqual(await texts(store, "a"), ["one"]);
      assert.equal((await store.size()).entries, 1);
      await put(store, "b", "x");
      assert.equal(JSON.parse(await readFile(path, "utf8")).model, MODEL);
      await store.remove({ keys: [requestOf("b").key] });
    }
    await store.close();
  });
});

describe("what is not ours", () => {
  it("is neither read nor changed nor removed", async () => {
    const { store, directory, path } = await filled("one");
    const strange = [
      "README.md",
      "notes/a.json",
      "gpt-4o-mini-0123/x.json",
      `${folderIn("", MODEL)}/notes.txt`,
      `${folderIn("", MODEL)}/zz/a.json`,
      `${folderIn("", MODEL)}/00/notes.json`,
      `${folderIn("", MODEL)}/00/${"1".repeat(64)}.json`,
      `${folderIn("", MODEL)}/${"1".repeat(64)}.json`,
    ].map((name) => join(directory, name));
    for (const name of strange) {
      await mkdir(dirname(name), { recursive: true });
      await writeFile(name, "mine");
    }
    await store.remove({ model: MODEL });
    await put(store, "a", "two");
    assert.equal((await store.size()).entries, 1);
    await store.remove({});
    for (const name of strange) assert.equal(await readFile(name, "utf8"), "mine");
    await assert.rejects(stat(path));
    await store.close();
  });
});

describe("a store that is thrown away while it is open", () => {
  it("is made anew by the next put", async () => {
    const { store, directory } = await filled("one");
    await rm(directory, { recursive: true });
    assert.deepEqual(await texts(store, "a"), []);
    await put(store, "a", "two");
    assert.deepEqual(await texts(store, "a"), ["two"]);
    await store.close();
  });
});
