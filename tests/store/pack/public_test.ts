/** Packs as programs use them: from the options of a cache, from an open one, or from its store. */

import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { openCache } from "../../../src/compose/open_cache.ts";
import { exportPack, importPack, mergePacks, openPack, verifyPack } from "../../../src/compose/packs.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { filesIn, MODEL } from "./fixture.ts";

const ask = (content: string) => ({ model: MODEL, messages: [{ role: "user", content }] });
const answer = (text: string) => ({
  id: "1",
  model: MODEL,
  choices: [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }],
  usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 },
});
const never = (): never => assert.fail("nothing may be called");

describe("exportPack and importPack", () => {
  it("take a cache's answers from one directory to another: nothing is bought again", async () => {
    const [from, to, pack] = await Promise.all([temporaryFolder(), temporaryFolder(), temporaryFolder()]);
    const cache = await openCache({ directory: from });
    await cache.wrap(ask("a"), () => Promise.resolve(answer("a")));
    const embeddings = { model: "e", input: ["x", "y"] };
    const vectors = {
      object: "list",
      model: "e",
      data: [0, 1].map((index) => ({ object: "embedding", index, embedding: [0.5, index] })),
    };
    await cache.wrapEmbeddings(embeddings, () => Promise.resolve(vectors));
    const open = await exportPack(cache, join(pack, "open"));
    await cache.close();
    const closed = await exportPack({ directory: from }, join(pack, "closed"));
    assert.deepEqual([open.requests, open.foreignKeys, open.sha256], [3, 0, closed.sha256]);
    assert.deepEqual(await filesIn(join(pack, "open")), await filesIn(join(pack, "closed")));
    assert.deepEqual((await importPack(join(pack, "open"), { directory: to, backend: "file" })).added, 3);
    const copy = await openCache({ directory: to, backend: "file", mode: "replay" });
    assert.deepEqual(await copy.wrap(ask("a"), never), answer("a"));
    assert.deepEqual(
      (await copy.wrapEmbeddings<typeof vectors>(embeddings, never)).data.map(({ embedding }) => embedding),
      [[0.5, 0], [
        0.5,
        1,
      ]],
    );
    await copy.close();
    const merged = await mergePacks([join(pack, "open"), join(pack, "closed")], join(pack, "merged"));
    assert.equal(merged.sha256, open.sha256);
    assert.equal((await verifyPack(merged.directory)).isSound, true);
    const replay = await openCache({ backend: await openPack(merged.directory), mode: "replay" });
    assert.deepEqual(await replay.wrap(ask("a"), never), answer("a"));
    await replay.close();
  });

  it("refuse options that they do not know, and values that make no sense", async () => {
    const cases: Record<string, () => Promise<unknown>> = {
      "unknown option": () => exportPack({}, "x", { compress: "none" } as object),
      "compression has to be": () => exportPack({}, "x", { compression: "gzip" as "zstd" }),
      "its folder has to be named": () => importPack(undefined as unknown as string, {}),
      "an empty one": () => mergePacks(["a", ""], "b"),
    };
    for (const [message, call] of Object.entries(cases)) {
      await assert.rejects(call, { name: "TypeError", message: new RegExp(message) });
    }
  });

  it("do not export a cache that is off, which would be a pack of nothing", async () => {
    process.env.NO_CACHE = "1";
    try {
      await assert.rejects(exportPack({}, join(await temporaryFolder(), "x")), {
        code: "unavailable",
        message: /NO_CACHE is set/,
      });
    } finally {
      delete process.env.NO_CACHE;
    }
  });
});
