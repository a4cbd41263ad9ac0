/** Packs that are none, or not whole, or made to deceive: refused with what to do, and nothing lost. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { FileError } from "../../../src/runtime/runtime.ts";
import { exportStore } from "../../../src/store/pack/export_store.ts";
import { importStore } from "../../../src/store/pack/import_store.ts";
import { mergePacks } from "../../../src/store/pack/merge_packs.ts";
import { openPackStore } from "../../../src/store/pack/pack_store.ts";
import { verifyPack } from "../../../src/store/pack/verify_pack.ts";
import { onSmallDisk } from "../../support/small_disk.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { openSqliteStore } from "../../../src/store/sqlite/sqlite_store.ts";
import {
  answerOf,
  filesIn,
  machine,
  memoryStore,
  MODEL,
  packOf,
  packWith,
  put,
  requestOf,
  shardIn,
  storeWith,
  texts,
  tools,
  toolsOn,
} from "./fixture.ts";

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Rewrites a pack's manifest. */
async function manifestOf(pack: string, change: (text: string) => string): Promise<void> {
  const path = join(pack, "manifest.json");
  await writeFile(path, change(await readFile(path, "utf8")));
}

/** Rewrites the only shard of a pack of plain text, and has the manifest believe it. */
async function forge(pack: string, change: (text: string) => string): Promise<void> {
  const path = await shardIn(pack);
  const old = await readFile(path);
  const text = Buffer.from(change(old.toString("utf8")));
  const [before, after] = [sha256(old), sha256(text)];
  await rm(path);
  await writeFile(path.replace(before.slice(0, 16), after.slice(0, 16)), text);
  await manifestOf(
    pack,
    (manifest) =>
      manifest.replaceAll(before, after).replaceAll(before.slice(0, 16), after.slice(0, 16))
        .replaceAll(`:${old.length},`, `:${text.length},`),
  );
}

/** Changes a line and gives it the SHA-256 of what it says then. */
function resealed(line: string, change: (line: string) => string): string {
  const changed = change(line).replace(/"sha256":"[0-9a-f]{64}",/, "");
  const digest = sha256(Buffer.from(changed));
  return changed.replace(/,("sketch"|"type":"answer")/, `,"sha256":"${digest}",$1`);
}

/** Every way to read a pack refuses it, and a cache that it was to be put into is empty. */
async function refused(pack: string, code: string, message: RegExp): Promise<void> {
  const expected = { name: "CacheError", code, message };
  const store = memoryStore();
  await assert.rejects(importStore(tools, pack, store), expected);
  assert.equal((await store.size()).entries, 0);
  await assert.rejects(mergePacks(tools, [pack], join(await temporaryFolder(), "target")), expected);
}

describe("a pack that is none", () => {
  it("nothing there, an empty folder, a file, another folder", async () => {
    const folder = await temporaryFolder();
    await refused(join(folder, "nowhere"), "unavailable", /nothing is there/);
    await refused(folder, "foreign_file", /it is empty, so it is no pack; give the folder that an export has made/);
    await writeFile(join(folder, "file"), "");
    await refused(join(folder, "file"), "foreign_file", /a pack is a folder/);
    await refused(folder, "foreign_file", /it has no manifest\.json/);
  });

  it("an empty manifest, and one that is something else", async () => {
    const folder = await temporaryFolder();
    for (const text of ["", "{", "null", "[]", "{}", '{"format":"another"}', '{"format":"warmcache-pack"}']) {
      await writeFile(join(folder, "manifest.json"), text);
      await refused(folder, "foreign_file", /so it is no pack/);
    }
  });

  it("is not written over", async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, "thesis.txt"), "years of work");
    const store = await storeWith({ a: [answerOf("a")] });
    await assert.rejects(exportStore(tools, store, folder), {
      code: "foreign_file",
      message: /such as thesis\.txt; give an empty/,
    });
    await writeFile(join(folder, "manifest.json"), '{"name":"an app"}');
    await assert.rejects(exportStore(tools, store, folder), { code: "foreign_file" });
    assert.deepEqual(Object.keys(await filesIn(folder)), ["manifest.json", "thesis.txt"]);
  });
});

describe("a pack that is not whole", () => {
  it("its shard cut in half", async () => {
    for (const compression of ["zstd", "none"] as const) {
      const pack = await packWith({ a: [answerOf("a")] }, { compression });
      const shard = await shardIn(pack);
      await truncate(shard, (await readFile(shard)).length >> 1);
      await refused(pack, "corrupt", /it was cut off, or is another; take it anew from where it was made/);
      await assert.rejects(openPackStore(tools, pack), { code: "corrupt" });
      const { isSound, problems } = await verifyPack(tools, pack);
      assert.deepEqual([isSound, problems.length, problems[0]!.shard], [false, 1, shard.slice(pack.length + 1)]);
    }
  });

  it("cut in half, and declared to be so", async () => {
    const pack = await packWith({ a: [answerOf("a".repeat(400) + Math.PI)], b: [answerOf("b")] });
    const shard = await shardIn(pack);
    const [whole, half] = [await readFile(shard), (await readFile(shard)).subarray(0, 60)];
    await writeFile(shard.replace(sha256(whole).slice(0, 16), sha256(half).slice(0, 16)), half);
    await manifestOf(
      pack,
      (text) =>
        text.replaceAll(sha256(whole), sha256(half)).replaceAll(sha256(whole).slice(0, 16), sha256(half).slice(0, 16))
          .replace(`"bytes":${whole.length}`, '"bytes":60'),
    );
    await refused(pack, "corrupt", /it ends in the middle/);
  });

  it("a shard missing", async () => {
    const pack = await packWith({ a: [answerOf("a")] });
    await rm(await shardIn(pack));
    await refused(pack, "corrupt", /the manifest names it, and it is missing/);
    await assert.rejects(openPackStore(tools, pack), { code: "corrupt" });
  });

  it("two manifests", async () => {
    const pack = await packWith({ a: [answerOf("a")] });
    await writeFile(join(pack, "manifest (1).json"), "{}");
    await refused(
      pack,
      "corrupt",
      /two manifests, manifest\.json and manifest \(1\)\.json: remove the one that is not/,
    );
  });

  it("conflicts that git has left", async () => {
    const pack = await packWith({ a: [answerOf("a")] });
    await manifestOf(pack, (text) => `<<<<<<< ours\n${text}=======\n${text}>>>>>>> theirs\n`);
    await refused(pack, "foreign_file", /git has left conflicts in it: merge both sides' packs/);
  });

  it("an export that was interrupted", async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, ".partial"));
    await refused(folder, "corrupt", /its export was interrupted: run the export again/);
    await exportStore(tools, await storeWith({ a: [answerOf("a")] }), folder);
    assert.equal((await verifyPack(tools, folder)).isSound, true);
  });
});

describe("a pack of a newer version", () => {
  it("is refused, and not written over", async () => {
    const store = await storeWith({ a: [answerOf("a")] });
    const { directory } = await packOf(store);
    await manifestOf(directory, (text) => text.replace('"version":1', '"version":2'));
    const files = await filesIn(directory);
    await refused(directory, "newer_schema", /version 2, this program knows 1; use the newer program/);
    await assert.rejects(exportStore(tools, store, directory), { code: "newer_schema" });
    await assert.rejects(openPackStore(tools, directory), { code: "newer_schema" });
    await assert.rejects(verifyPack(tools, directory), { code: "newer_schema" });
    assert.deepEqual(await filesIn(directory), files);
  });
});

describe("a pack that was made to deceive", () => {
  it("with a hash that is another", async () => {
    const pack = await packWith({ a: [answerOf("a")] });
    const shard = await shardIn(pack);
    const bytes = await readFile(shard);
    bytes[bytes.length >> 1]! ^= 1;
    await writeFile(shard, bytes);
    await refused(pack, "corrupt", /its SHA-256 is not the manifest's/);
    const store = await openPackStore(tools, pack);
    const [found] = await store.lookup(MODEL, [{ key: requestOf("a").key, samples: 1 }]);
    assert.deepEqual(found, { entries: [], stale: false, expired: false, corrupt: true });
    const other = await packWith({ a: [answerOf("a")] });
    await manifestOf(other, (text) => text.replace(/"sha256":"[0-9a-f]{4}/, '"sha256":"0000'));
    await refused(other, "corrupt", /is not the one in its name/);
  });

  it("with names that lead elsewhere", async () => {
    const outside = await packWith({ a: [answerOf("a")] }, { compression: "none" });
    const [shard] = (await shardIn(outside)).split("/").slice(-1);
    for (
      const name of [
        `../${shard}`,
        `/etc/${shard}`,
        `gpt-4o-mini-12345678/../${shard}`,
        "manifest.json",
        `..\\\\${shard}`,
        `a/b/${shard}`,
      ]
    ) {
      const pack = await packWith({ a: [answerOf("a")] }, { compression: "none" });
      await manifestOf(pack, (text) => text.replace(/"name":"[^"]*"/, `"name":"${name}"`));
      await refused(pack, "corrupt", /this is no name of a shard, and is not followed/);
    }
  });

  it("with a link in place of a shard, or of its folder", async () => {
    for (const isFolder of [false, true]) {
      const pack = await packWith({ a: [answerOf("a")] });
      const shard = await shardIn(pack);
      const path = isFolder ? dirname(shard) : shard;
      const elsewhere = join(await temporaryFolder(), "elsewhere");
      await rename(path, elsewhere);
      await symlink(elsewhere, path);
      await refused(pack, "corrupt", /it is a link, and may lead out of the pack/);
    }
  });

  it("that declares 10 GB: in the manifest, in a frame, or by going on and on", async () => {
    const inManifest = await packWith({ a: [answerOf("a")] });
    await manifestOf(inManifest, (text) => text.replace(/"textBytes":\d+/, '"textBytes":10000000000'));
    await refused(inManifest, "corrupt", /declares 10000000000 bytes, and 1073741824 is the most/);

    // A frame's header with a content size of 8 bytes, and one block.
    const header = Buffer.from("28b52ffd" + "e0" + "00e40b5402000000" + "010000", "hex");
    const inFrame = await packWith({ a: [answerOf("a")] });
    await replaceShard(inFrame, header);
    await refused(inFrame, "corrupt", /a frame of it declares 10000000000 bytes of text, and 131072 is the most/);

    const frame = Buffer.from(tools.zstd.compress(new Uint8Array(128 * 1024).fill(120)));
    const bomb = await packWith({ a: [answerOf("a")] });
    await replaceShard(bomb, Buffer.concat(Array.from({ length: 10 }, () => frame)));
    await refused(bomb, "corrupt", /it has more than the \d+ bytes of text that it may have/);
  });

  async function replaceShard(pack: string, content: Buffer): Promise<void> {
    const shard = await shardIn(pack);
    const old = await readFile(shard);
    await rm(shard);
    await writeFile(shard.replace(sha256(old).slice(0, 16), sha256(content).slice(0, 16)), content);
    await manifestOf(
      pack,
      (text) =>
        text.replaceAll(sha256(old), sha256(content)).replaceAll(sha256(old).slice(0, 16), sha256(content).slice(0, 16))
          .replace(`"bytes":${old.length}`, `"bytes":${content.length}`),
    );
  }

  it("with an answer under the key of another question", async () => {
    const pack = await packWith({ a: [answerOf("harmless")] }, { compression: "none" });
    const [key, other] = [requestOf("a").key, requestOf("b").key].map((key) => Buffer.from(key).toString("hex"));
    await forge(
      pack,
      (text) =>
        text.split("\n").map((line) =>
          line && resealed(line, (line) => line.replaceAll(`"key":"${key}"`, `"key":"${other}"`))
        )
          .join("\n"),
    );
    await refused(pack, "corrupt", /has not the key that its content gives it; if another program chose its keys, say/);
    const store = await openPackStore(tools, pack);
    assert.deepEqual(await texts(store, "b"), []);
    assert.equal((await verifyPack(tools, pack)).isSound, false);
    // Nothing but the key is wrong with it.
    assert.equal((await verifyPack(tools, pack, { foreignKeys: true })).isSound, true);
  });

  const edits: Record<string, readonly [RegExp, (text: string) => string]> = {
    "an answer's text changed": [
      /line 2: its SHA-256 is not that/,
      (text) => text.replace('"body":"first"', '"body":"worst"'),
    ],
    "an answer's cost changed": [
      /line 2: its SHA-256 is not that/,
      (text) => text.replace('"costMicrodollars":56.0625', '"costMicrodollars":56.0626'),
    ],
    "the answers in another order": [/line 2: it is out of its place/, (text) => {
      const [asked, first, second] = text.split("\n");
      return `${asked}\n${second}\n${first}\n`;
    }],
    "the request changed": [
      /line 1: its SHA-256 is not that/,
      (text) => text.replace('"provider":"openai"', '"provider":"opebai"'),
    ],
    "a member that nobody knows": [
      /line 1: it was changed, or is not canonical/,
      (text) => text.replace('"provider"', '"more":1,"provider"'),
    ],
    "a line that is no JSON": [/request 1: it is no JSON/, (text) => `x${text.slice(1)}`],
    "two requests of the same key": [/is out of order/, (text) => text + text],
    "bytes that are no UTF-8 any more": [
      /it was changed|not that of/,
      (text) => text.replace('"first"', '"f\ufffdrst"'),
    ],
  };
  for (const [what, [message, change]] of Object.entries(edits)) {
    it(`with ${what}`, async () => {
      const pack = await packWith({ a: [answerOf("first"), answerOf("second")] }, { compression: "none" });
      await forge(pack, change);
      const report = await verifyPack(tools, pack);
      assert.equal(report.isSound, false);
      assert.match(report.problems[0]!.message, message);
      const store = memoryStore();
      await assert.rejects(importStore(tools, pack, store), { code: "corrupt", message });
      const opened = await openPackStore(tools, pack);
      const found = await texts(opened, "a");
      assert.ok(found.every((text) => text === "first" || text === "second"), `no wrong answer: ${found}`);
    });
  }
});

describe("a disk that does not take it", () => {
  it("a folder that may not be written: says so, and what to do", async () => {
    const store = await storeWith({ a: [answerOf("a")] });
    const makeDirectory = (): never => {
      throw new FileError("Cannot make the directory: permission denied", "EACCES");
    };
    const refusing = await toolsOn({ files: { ...machine.files, makeDirectory } });
    await assert.rejects(exportStore(refusing, store, join(await temporaryFolder(), "pack")), {
      code: "unavailable",
      message: /give this process the right to read and write there/,
    });
    const folder = await temporaryFolder();
    await writeFile(join(folder, "file"), "");
    await assert.rejects(exportStore(tools, store, join(folder, "file", "pack")), { code: "unavailable" });
  });

  it("a folder that may not be read: says so, and what to do", async () => {
    const pack = await packWith({ a: [answerOf("a")] });
    const open = (): never => {
      throw new FileError("Cannot open the file: permission denied", "EACCES");
    };
    const refusing = await toolsOn({ files: { ...machine.files, open } });
    const store = memoryStore();
    await assert.rejects(importStore(refusing, pack, store), {
      code: "unavailable",
      message: /give this process the right/,
    });
    assert.equal((await store.size()).entries, 0);
  });

  it("full in the middle of an export: the pack is the one that it was, and the next export goes on", async (context) => {
    await onSmallDisk(context, join(await temporaryFolder(), "disk"), async (disk) => {
      const store = await storeWith({ a: [answerOf("a")] });
      const target = join(disk, "pack");
      await exportStore(tools, store, target);
      const files = await filesIn(target);
      const bytes = noise(60 * 20_000);
      for (let number = 0; number < 60; number++) {
        await put(
          store,
          `w${number}`,
          [answerOf(bytes.slice(number * 20_000, (number + 1) * 20_000))],
          `m${number % 6}`,
        );
      }
      await writeFile(join(disk, "filler"), noise(2_400_000));
      const expected = { code: "unavailable", message: /make room there, or use another directory/ };
      await assert.rejects(exportStore(tools, store, target), expected);
      const after = await filesIn(target);
      for (const [name, bytes] of Object.entries(files)) assert.equal(after[name], bytes);
      assert.equal((await verifyPack(tools, target)).isSound, true);
      assert.ok(!Object.keys(after).some((name) => name.startsWith(".partial")), "what is not finished takes no room");
      await rm(join(disk, "filler"));
      const report = await exportStore(tools, store, target);
      assert.equal(report.requests, 61);
      assert.ok(report.shardsKept > 1, `shards were kept: ${report.shardsKept}`);
      assert.deepEqual(await filesIn(target), await filesIn((await packOf(store)).directory));
    }, "3m");
  });

  it("full in the middle of an import: what came before is stored, and the next import goes on", async (context) => {
    const bytes = noise(100 * 20_000);
    const words = Array.from({ length: 100 }, (_, number) => `w${number}`);
    const contents = words.map((
      word,
      number,
    ) => [word, [answerOf(bytes.slice(number * 20_000, (number + 1) * 20_000))]]);
    const pack = await packWith(Object.fromEntries(contents));
    await onSmallDisk(context, join(await temporaryFolder(), "disk"), async (disk) => {
      await writeFile(join(disk, "filler"), noise(6_000_000));
      const open = async () => await openSqliteStore({ runtime: machine, directory: join(disk, "cache") });
      const full = await open();
      await assert.rejects(importStore(tools, pack, full), { code: "unavailable" });
      await full.close();
      await rm(join(disk, "filler"));
      const store = await open();
      const report = await importStore(tools, pack, store);
      assert.equal(report.added + report.present, 100);
      assert.ok(report.added > 0);
      const again = await packOf(store);
      assert.deepEqual(await filesIn(again.directory), await filesIn(pack));
      await store.close();
    }, "7m");
  });
});

/** Bytes that do not compress. */
function noise(length: number): Uint8Array {
  let state = length;
  return Uint8Array.from({ length }, () => (state = Math.imul(state, 1664525) + 1013904223 >>> 0) >>> 24);
}
