/** Export and import: the same content makes the same bytes, wherever it was and in whatever order it came. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { exportStore } from "../../../src/store/pack/export_store.ts";
import { importStore } from "../../../src/store/pack/import_store.ts";
import { verifyPack } from "../../../src/store/pack/verify_pack.ts";
import { openFileStore } from "../../../src/store/file/file_store.ts";
import { openSqliteStore } from "../../../src/store/sqlite/sqlite_store.ts";
import type { NewEntry, RequestRecord, Store } from "../../../src/store/store.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import {
  answerOf,
  clockAt,
  filesIn,
  machine,
  memoryStore,
  MODEL,
  NOW,
  packOf,
  packWith,
  put,
  requestOf,
  shardIn,
  storeWith,
  texts,
  tools,
} from "./fixture.ts";

const runtime = { ...machine, clock: clockAt(NOW) };
const BACKENDS: Record<string, () => Promise<Store>> = {
  memory: () => Promise.resolve(memoryStore()),
  file: async () => await openFileStore({ runtime, directory: await temporaryFolder() }),
  sqlite: async () => await openSqliteStore({ runtime, directory: await temporaryFolder() }),
};

interface Put {
  readonly model: string;
  readonly request: RequestRecord;
  readonly entries: readonly NewEntry[];
  readonly tags: readonly string[];
}

const everyByte = Uint8Array.from({ length: 256 }, (_, byte) => byte);
const SSE = 'data: {"choices":[{"delta":{"content":"hé"}}]}\n\ndata: [DONE]\n\n';

/** One of everything that a cache holds. */
function everything(): Put[] {
  const puts: Put[] = [];
  for (let number = 0; number < 40; number++) {
    const model = ["gpt-4o", "модель/2", "_none"][number % 3]!;
    const request = requestOf(`question ${number}`, { namespace: number % 2 === 0 ? "" : "ns" }, model);
    puts.push({
      model,
      request,
      entries: [answerOf(`{"answer":${number}}`)],
      tags: number % 5 === 0 ? ["run", "b"] : [],
    });
  }
  const local = { provider: "local", endpoint: "/v1/embeddings", identity: "sha256:12" };
  const unsaid = { modelAnswered: null, fingerprint: null, promptTokens: null, costMicrodollars: null, latency: null };
  puts.push(
    {
      model: "gpt-4o",
      request: requestOf("stream", {}, "gpt-4o"),
      tags: [],
      entries: [answerOf(SSE, { mediaType: "text/event-stream" })],
    },
    {
      model: "e5",
      request: requestOf("embedding", local, "e5"),
      tags: [],
      entries: [answerOf(everyByte, { mediaType: "application/octet-stream" })],
    },
    {
      model: "e5",
      request: requestOf("empty", local, "e5"),
      tags: [],
      entries: [answerOf("", { ...unsaid, outcome: "empty" })],
    },
    {
      model: "e5",
      request: requestOf("mark", {}, "e5"),
      tags: [],
      entries: [answerOf("\ufeffwith a mark", { expires: NOW + 1000 })],
    },
    {
      model: "gpt-4o",
      request: requestOf("several", {}, "gpt-4o"),
      tags: ["run"],
      entries: ["c", "a", "b", "a"].map((text) => answerOf(text)),
    },
  );
  return puts;
}

async function putAll(store: Store, puts: readonly Put[]): Promise<void> {
  for (const { model, request, entries, tags } of puts) await store.put(model, request, entries, "append", { tags });
}

describe("exportStore", () => {
  it("makes the same bytes of the same content, whatever the backend and the order of the puts", async () => {
    const expected = await packOf(
      await (async () => {
        const store = memoryStore();
        await putAll(store, everything());
        return store;
      })(),
    );
    assert.equal(expected.requests, 45);
    assert.equal(expected.samples, 48);
    assert.equal(expected.foreignKeys, 0);
    const files = await filesIn(expected.directory);
    for (const [name, open] of Object.entries(BACKENDS)) {
      for (const puts of [everything(), everything().toReversed()]) {
        const store = await open();
        await putAll(store, puts);
        const report = await packOf(store);
        assert.deepEqual(await filesIn(report.directory), files, name);
        assert.equal(report.sha256, expected.sha256);
        await store.close();
      }
    }
  });

  it("keeps the order of the answers to one request: the first is served first", async () => {
    const pack = await packWith({ a: [answerOf("second", { created: NOW + 1 }), answerOf("first")] });
    const store = memoryStore();
    await importStore(tools, pack, store);
    assert.deepEqual(await texts(store, "a"), ["second", "first"]);
  });

  it("leaves nothing beside the pack", async () => {
    const pack = await packWith({ a: [answerOf("a")] });
    assert.match(
      Object.keys(await filesIn(pack)).join(" "),
      /^gpt-4o-mini-[0-9a-f]{8}\/all-[0-9a-f]{16}\.jsonl\.zst manifest\.json$/,
    );
  });

  it("of an empty store is a pack without shards", async () => {
    const { directory, requests } = await packOf(memoryStore());
    assert.equal(requests, 0);
    assert.deepEqual(Object.keys(await filesIn(directory)), ["manifest.json"]);
    assert.equal((await importStore(tools, directory, memoryStore())).added, 0);
  });

  it("takes one model, or one namespace, where that is said", async () => {
    const store = memoryStore();
    await putAll(store, everything());
    const ofModel = await packOf(store, { model: "e5" });
    assert.equal(ofModel.requests, 3);
    const ofNamespace = await packOf(store, { namespace: "ns" });
    assert.equal(ofNamespace.requests, 20);
  });

  it("writes plain text for git: a line for each request and each answer, readable", async () => {
    const pack = await packWith({ a: [answerOf('{"text":"grüezi"}')] }, { compression: "none" });
    const lines = (await readFile(await shardIn(pack), "utf8")).split("\n");
    assert.equal(lines.length, 3);
    assert.match(lines[0]!, /^\{"answerBytes":18,"body":"\{\\"messages\\":\[\{\\"content\\":\\"a\\"/);
    assert.match(lines[1]!, /^\{"body":"\{\\"text\\":\\"grüezi\\"\}","completionTokens":34,/);
  });

  it("replaces the pack that is there, and removes the shards that are no longer its", async () => {
    const store = await storeWith({ a: [answerOf("a")] });
    const { directory } = await packOf(store);
    const before = await shardIn(directory);
    await put(store, "b", [answerOf("b")]);
    const report = await exportStore(tools, store, directory);
    assert.equal(report.requests, 2);
    const names = Object.keys(await filesIn(directory));
    assert.equal(names.length, 2);
    assert.ok(!names.some((name) => before.endsWith(name)));
  });

  it("does not write shards again that are there", async () => {
    const store = await storeWith({ a: [answerOf("a")] });
    await put(store, "x", [answerOf("x")], "another");
    const { directory } = await packOf(store);
    await put(store, "b", [answerOf("b")]);
    const report = await exportStore(tools, store, directory);
    assert.deepEqual([report.shards, report.shardsKept], [2, 1]);
  });

  it("counts what it leaves out", async () => {
    const store = memoryStore(NOW + 5000);
    await put(store, "late", [answerOf("late", { expires: NOW + 1 })]);
    await put(store, "a", [answerOf("a")]);
    const { requests, left } = await packOf(store);
    assert.deepEqual({ requests, left }, { requests: 1, left: { expired: 1, stale: 0, corrupt: 0 } });
  });

  it("counts keys that are not those of the key's specification", async () => {
    const store = memoryStore();
    await store.put(MODEL, { ...requestOf("a"), key: new Uint8Array(32).fill(7) }, [answerOf("a")], "append");
    assert.equal((await packOf(store)).foreignKeys, 1);
  });

  it("tells how far it has come, and stops when it is told to, leaving the pack as it was", async () => {
    const store = await storeWith(
      Object.fromEntries(Array.from({ length: 600 }, (_, n) => [`w${n}`, [answerOf(`${n}`)]])),
    );
    const steps: unknown[] = [];
    const { directory } = await packOf(store, { onProgress: (progress) => void steps.push(progress) });
    assert.deepEqual(steps.at(-1), { done: 600, total: 600, unit: "samples" });
    assert.ok(steps.length > 1);
    const files = await filesIn(directory);
    await put(store, "more", [answerOf("more")]);
    const controller = new AbortController();
    const onProgress = (): void => controller.abort(new Error("enough"));
    const aborted = exportStore(tools, store, directory, { signal: controller.signal, onProgress });
    await assert.rejects(aborted, { message: "enough" });
    assert.deepEqual(await filesIn(directory), files);
  });

  it("cuts a model into shards by the first digits of the keys, when it is large", async () => {
    const store = memoryStore();
    let state = 1;
    const noise = (): string =>
      Array.from({ length: 1500 }, () => (state = Math.imul(state, 1664525) + 1013904223 >>> 0).toString(36)).join("");
    for (let number = 0; number < 500; number++) await put(store, `w${number}`, [answerOf(noise())]);
    const report = await packOf(store);
    assert.equal(report.shards, 16);
    const names = Object.keys(await filesIn(report.directory)).filter((name) => name.endsWith(".zst"));
    assert.deepEqual(names.map((name) => name.split("/")[1]![0]), [..."0123456789abcdef"]);
    assert.equal((await verifyPack(tools, report.directory)).isSound, true);
    const copy = memoryStore();
    await importStore(tools, report.directory, copy);
    assert.deepEqual(await filesIn((await packOf(copy)).directory), await filesIn(report.directory));
  });
});

describe("importStore", () => {
  for (const [name, open] of Object.entries(BACKENDS)) {
    it(`into ${name}, exported again, is the same pack`, async () => {
      const store = memoryStore();
      await putAll(store, everything());
      const { directory } = await packOf(store);
      const copy = await open();
      const report = await importStore({ ...tools, runtime }, directory, copy);
      assert.deepEqual(report, { requests: 45, samples: 48, added: 48, present: 0, expired: 0 });
      const again = join(await temporaryFolder(), "again");
      await exportStore(tools, copy, again);
      assert.deepEqual(await filesIn(again), await filesIn(directory));
      const repeated = await importStore({ ...tools, runtime }, directory, copy);
      assert.deepEqual([repeated.added, repeated.present], [0, 48]);
      await exportStore(tools, copy, again);
      assert.deepEqual(await filesIn(again), await filesIn(directory));
      await copy.close();
    });
  }

  it("leaves what is there in its place, and puts behind it what is missing", async () => {
    const pack = await packWith({ a: ["x", "y", "x"].map((text) => answerOf(text)) });
    const store = await storeWith({ a: [answerOf("mine"), answerOf("x")] });
    const report = await importStore(tools, pack, store);
    assert.deepEqual([report.added, report.present], [2, 1]);
    assert.deepEqual(await texts(store, "a"), ["mine", "x", "y", "x"]);
  });

  it("adds the tags to what is there", async () => {
    const tagged = memoryStore();
    await tagged.put(MODEL, requestOf("a"), [answerOf("a")], "append", { tags: ["run"] });
    const { directory } = await packOf(tagged);
    const store = await storeWith({ a: [answerOf("a")] });
    await importStore(tools, directory, store);
    assert.deepEqual((await Array.fromAsync(store.list()))[0]!.tags, ["run"]);
    assert.deepEqual(await texts(store, "a"), ["a"]);
  });

  it("leaves out what has expired since", async () => {
    const pack = await packWith({ a: [answerOf("a", { expires: NOW + 1000 })] });
    const store = memoryStore();
    const report = await importStore({ ...tools, runtime: { ...machine, clock: clockAt(NOW + 1000) } }, pack, store);
    assert.deepEqual([report.added, report.expired], [0, 1]);
    assert.equal((await store.size()).entries, 0);
  });

  it("goes on where it was when the store had refused something", async () => {
    const words = Array.from({ length: 100 }, (_, number) => `w${number}`);
    const pack = await packWith(Object.fromEntries(words.map((word) => [word, [answerOf(word)]])));
    const store = memoryStore();
    let left = 50;
    const failing = new Proxy(store, {
      get(_, name) {
        const value = Reflect.get(store, name);
        if (name === "put") {
          return (...args: Parameters<Store["put"]>) => {
            if (left-- <= 0) throw new Error("the disk is full");
            return store.put(...args);
          };
        }
        return typeof value === "function" ? value.bind(store) : value;
      },
    });
    await assert.rejects(importStore(tools, pack, failing), { message: "the disk is full" });
    assert.equal((await store.size()).entries, 50);
    const report = await importStore(tools, pack, store);
    assert.deepEqual([report.added, report.present], [50, 50]);
  });
});
