/** Whatever bit is flipped in a stored row, the answer is the right one or none, and nothing is thrown. */

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { before, describe, it } from "node:test";
import { temporaryFolder } from "../../support/temporary.ts";
import { databaseIn, entryOf, find, keyOf, MODEL, openStore, requestOf, texts } from "./fixture.ts";

const TEXT = "In the beginning was the word, and the word was cached; and the word was found again. ".repeat(3);

async function filled(directory: string): Promise<{ path: string; bytes: Buffer }> {
  const store = await openStore(directory);
  for (const word of ["before", "a", "after"]) {
    await store.put(MODEL, requestOf(word), [entryOf(TEXT + word)], "append");
  }
  await store.close();
  const path = await databaseIn(directory);
  return { path, bytes: await readFile(path) };
}

/** Where the row of "a" lies in the file: SQLite fills pages from their end, so from where "after" ends to its own end. */
function rowOf(path: string, bytes: Buffer): { start: number; end: number } {
  const native = new DatabaseSync(path);
  const select = native.prepare("SELECT body FROM entry WHERE key = ?");
  const [start, end] = ["after", "a"].map((word) => {
    const body = select.get(keyOf(word))!.body as Uint8Array;
    return bytes.indexOf(body) + body.byteLength;
  });
  native.close();
  return { start: start!, end: end! };
}

describe("a flipped bit", () => {
  let folder: string;
  before(async () => {
    folder = await temporaryFolder();
  });

  it("anywhere in a row makes it a miss, never another answer", async () => {
    const directory = join(folder, "row");
    const { path, bytes } = await filled(directory);
    const { start, end } = rowOf(path, bytes);
    assert.ok(end - start > 200);
    let flagged = 0;
    for (let position = start; position < end; position++) {
      const flipped = Buffer.from(bytes);
      flipped[position]! ^= 1 << (position % 8);
      await writeFile(path, flipped);
      const store = await openStore(directory);
      const found = await find(store, "a");
      assert.equal(found.entries.length, 0, `byte ${position - start} of the row`);
      if (found.corrupt || found.stale) flagged++;
      assert.deepEqual(await texts(store, "nowhere"), []);
      for (const word of ["before", "after"]) {
        const texts_ = (await find(store, word)).entries.map((entry) => new TextDecoder().decode(entry.bytes()));
        assert.deepEqual(texts_.filter((text) => text !== TEXT + word), []);
      }
      await store.close();
    }
    assert.equal(flagged, end - start);
  });

  it("in any field as SQL sees it is noticed", async () => {
    const directory = join(folder, "fields");
    const { path } = await filled(directory);
    const changes = [
      "media_type = 'application/jsom'",
      "outcome = 'length'",
      "model_asked = 'gpt-4o-minj'",
      "model_answered = NULL",
      "fingerprint = 'fp_0'",
      "prompt_tokens = 13",
      "completion_tokens = NULL",
      "cost_microdollars = 57.5",
      "latency = 789.250000001",
      "created = created + 1",
      "expires = 9e15",
      "codec = 'plain'",
      "dictionary = 1",
      "size = size + 1",
      "checksum = x'0000000000000000'",
      "checksum = x''",
      "body = x'00'",
      "schema_version = 2",
    ];
    for (const change of changes) {
      const native = new DatabaseSync(path);
      native.exec("SAVEPOINT s");
      native.prepare(`UPDATE entry SET ${change} WHERE key = ?`).run(keyOf("a"));
      native.exec("RELEASE s");
      native.close();
      const store = await openStore(directory);
      assert.deepEqual(await find(store, "a"), { entries: [], stale: false, expired: false, corrupt: true }, change);
      await store.put(MODEL, requestOf("a"), [entryOf(TEXT + "a")], "append");
      assert.deepEqual(await texts(store, "a"), [TEXT + "a"]);
      await store.close();
    }
  });

  it("in an index that points to another's row is noticed", async () => {
    const directory = join(folder, "swapped");
    const { path } = await filled(directory);
    const native = new DatabaseSync(path);
    // Two rows change places under their keys' index entries: what a misplaced page would look like.
    native.exec(`
      CREATE TABLE copy AS SELECT * FROM entry;
      UPDATE entry SET body = (SELECT body FROM copy WHERE rowid = 3 - entry.rowid) WHERE rowid IN (1, 2);
      UPDATE entry SET checksum = (SELECT checksum FROM copy WHERE rowid = 3 - entry.rowid) WHERE rowid IN (1, 2);
      DROP TABLE copy;
    `);
    native.close();
    const store = await openStore(directory);
    for (const word of ["before", "a"]) assert.equal((await find(store, word)).corrupt, true);
    assert.deepEqual(await texts(store, "after"), [TEXT + "after"]);
    await store.close();
  });
});
