/** Pace, cancellation and the end of a Worker. */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import type { Backend } from "../../src/model/backend.ts";
import { ModelError } from "../../src/model/error.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { type FromWorker, WINDOW } from "../../src/model/worker/protocol.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Runtime, WorkerHandle } from "../../src/runtime/runtime.ts";
import { referenceCases, resolveBase } from "../support/models.ts";
import { greedy } from "./requests.ts";

const machine = await loadRuntime();
const { base: reference } = (await referenceCases())[0]!;
let backend: Backend;
let worker: WorkerHandle;
/** What the Worker has sent in answer to requests. */
let sent: FromWorker[] = [];

async function load(): Promise<void> {
  const runtime: Runtime = {
    ...machine,
    spawnWorker(url, name) {
      worker = machine.spawnWorker(url, name);
      const onMessage: WorkerHandle["onMessage"] = (handler) =>
        worker.onMessage((message) => {
          if ((message as FromWorker).type !== "pong") sent.push(message as FromWorker);
          handler(message);
        });
      return { ...worker, onMessage };
    },
  };
  backend = await loadOnnxBackend(runtime, await resolveBase());
}

before(load);
beforeEach(async () => {
  if (backend.memory.wasm === 0) await load();
  sent = [];
});
after(() => backend.close());

/** How many values of a call have left the Worker, asked after it did something else: what it may do, it has done. */
async function valuesOf(call: number): Promise<number> {
  for (let other = 0; other < 2 * WINDOW; other++) await backend.baseView().nextToken({ text: "God" }, { topK: 1 });
  return sent.filter((message) => message.call === call && message.type === "value").length;
}

function generation(maxTokens = 200) {
  return backend.baseView().generate(greedy({ maxTokens }))[Symbol.asyncIterator]();
}

const failed = (error: unknown): boolean => error instanceof ModelError && error.code === "worker_failed";

describe("generate", () => {
  it("stops within its window when the reader stops, and goes on when the reader does", async () => {
    const reader = generation();
    await reader.next();
    const call = sent[0]!.call;
    assert.equal(await valuesOf(call), WINDOW);
    for (let read = 1; read < 100; read++) await reader.next();
    assert.ok(await valuesOf(call) <= 100 + WINDOW);
    await reader.return!();
  });

  it("gives a slow reader every token", async () => {
    const ids: number[] = [];
    for await (const event of backend.baseView().generate(greedy({}))) {
      if (event.type === "token") ids.push(event.token.id);
      if (ids.length % 10 === 0) await valuesOf(0);
    }
    assert.deepEqual(ids, reference.greedy_ids);
  });

  it("ends its work when the reader breaks out", async () => {
    for await (const event of backend.baseView().generate(greedy({ maxTokens: 200 }))) {
      if (event.type === "token") break;
    }
    const values = await valuesOf(sent[0]!.call);
    assert.ok(values <= WINDOW);
    assert.equal(await valuesOf(sent[0]!.call), values);
  });

  it("ends at once when it is returned while a read is waiting", async () => {
    const reader = generation();
    const waiting = reader.next();
    assert.deepEqual(await reader.return!(), { done: true, value: undefined });
    assert.deepEqual(await waiting, { done: true, value: undefined });
    assert.deepEqual(await reader.next(), { done: true, value: undefined });
  });

  it("rejects with the signal's reason when it is aborted, once, and the Worker stops", async () => {
    const controller = new AbortController();
    const events = backend.baseView().generate(greedy({ maxTokens: 200 }), controller.signal);
    const reader = events[Symbol.asyncIterator]();
    await reader.next();
    controller.abort(new Error("client went away"));
    await assert.rejects(reader.next(), /client went away/);
    assert.deepEqual(await reader.next(), { done: true, value: undefined });
    assert.ok(await valuesOf(sent[0]!.call) <= WINDOW);
  });

  it("does nothing when it was aborted before, or is never read", async () => {
    const reader = backend.baseView().generate(greedy({}), AbortSignal.abort(new Error("too late")))
      [Symbol.asyncIterator]();
    await assert.rejects(reader.next(), /too late/);
    backend.baseView().generate(greedy({}));
    await backend.baseView().nextToken({ text: "God" }, { topK: 1 });
    assert.equal(new Set(sent.map(({ call }) => call)).size, 1);
  });

  it("lets other requests through while it runs", async () => {
    const order: string[] = [];
    const long = (async () => {
      for await (const event of backend.baseView().generate(greedy({ maxTokens: 200 }))) order.push(event.type);
    })();
    await backend.baseView().nextToken({ text: "God" }, { topK: 1 });
    order.push("other");
    await long;
    assert.ok(order.indexOf("other") < order.length - 100, `${order.indexOf("other")} of ${order.length}`);
  });
});

describe("scoring", () => {
  it("rejects with the signal's reason when it is aborted, and others go on", async () => {
    const controller = new AbortController();
    const aborted = backend.baseView().rollingLogprobs("In the beginning", controller.signal);
    const other = backend.baseView().rollingLogprobs("In the beginning");
    controller.abort(new Error("client went away"));
    await assert.rejects(aborted, /client went away/);
    assert.ok((await other).total < 0);
  });
});

describe("close", () => {
  it("fails what is running with worker_failed, and what comes later", async () => {
    const reader = generation();
    await reader.next();
    const scoring = backend.baseView().rollingLogprobs("In the beginning");
    const rejected = assert.rejects(scoring, failed);
    await backend.close();
    await rejected;
    await assert.rejects(async () => {
      while (!(await reader.next()).done);
    }, failed);
    await assert.rejects(backend.baseView().nextToken({ text: "God" }, { topK: 1 }), failed);
    assert.equal(await backend.closed, undefined);
    assert.equal(backend.memory.wasm, 0);
  });

  it("may be called twice", async () => {
    await backend.close();
    await backend.close();
  });
});

describe("a Worker that dies", () => {
  it("fails what is running with worker_failed, and closed resolves with the reason", async () => {
    const reader = generation();
    await reader.next();
    worker.post(null);
    await assert.rejects(async () => {
      while (!(await reader.next()).done);
    }, failed);
    assert.match((await backend.closed)!.message, /null/);
    await assert.rejects(backend.baseView().nextToken({ text: "God" }, { topK: 1 }), failed);
  });
});
