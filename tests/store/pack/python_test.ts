/** The format is what its page says: docs/pack.py, which knows nothing else, reads packs and refuses what is wrong. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, it } from "node:test";
import { requirePart } from "../../support/parts.ts";
import { answerOf, memoryStore, MODEL, packOf, packWith, put, requestOf, shardIn } from "./fixture.ts";

const script = fileURLToPath(new URL("../../../docs/pack.py", import.meta.url));

function python(...args: string[]): { readonly status: number | null; readonly text: string } {
  const { status, stdout, stderr } = spawnSync("python3", ["-B", script, ...args], { encoding: "utf8" });
  return { status, text: stdout + stderr };
}

describe("docs/pack.py", () => {
  for (const compression of ["zstd", "none"] as const) {
    it(`reads packs (${compression})`, (context) => {
      if (!requirePart(context, "python3") || (compression === "zstd" && !requirePart(context, "zstd"))) return;
      return (async () => {
        const store = memoryStore();
        const everyByte = Uint8Array.from({ length: 256 }, (_, byte) => byte);
        await put(store, 'a\u2028é\u0000"', [answerOf("\u0007é\u2028\u{1f600}\\"), answerOf(everyByte)]);
        await put(store, "b", [answerOf("\ufeff{}", { costMicrodollars: 1e21, latency: 0.000001, created: 1e-7 })]);
        await put(store, "c", [answerOf("", { promptTokens: null })], "модель");
        const long = "long ".repeat(200_000);
        await put(store, long, [answerOf(long)]);
        const { directory } = await packOf(store, { compression });
        assert.deepEqual(python(directory), { status: 0, text: "4 requests, 5 samples\n" });
      })();
    });
  }

  it("refuses what is wrong", async (context) => {
    if (!requirePart(context, "python3")) return;
    const pack = await packWith({ a: [answerOf("a")] }, { compression: "none" });
    const shard = await shardIn(pack);
    const text = await readFile(shard, "utf8");
    await writeFile(shard, text.replace('"body":"a"', '"body":"b"'));
    const { status, text: said } = python(pack);
    assert.equal(status, 1);
    assert.match(said, /SHA-256 of gpt-4o-mini-[0-9a-f]{8}\/all-[0-9a-f]{16}\.jsonl is another/);
  });

  it("refuses a key that is not its request's", async (context) => {
    if (!requirePart(context, "python3")) return;
    const store = memoryStore();
    await store.put(MODEL, { ...requestOf("a"), key: new Uint8Array(32) }, [answerOf("a")], "append");
    const { directory } = await packOf(store, { compression: "none" });
    assert.match(python(directory).text, /not the key of its request/);
    assert.equal(python(directory, "--foreign-keys").status, 0);
  });
});
