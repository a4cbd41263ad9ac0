/**
 * The models of a page, in memory and with the Worker's end in this process: what becomes of files that do not come, come
 * otherwise than was promised, or are not waited for. `tests/browser/warm_test.ts` has the same in pages and on OPFS.
 */

import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Runtime, WorkerHandle } from "../../src/runtime/runtime.ts";
import { keepInMemory } from "../../src/warm/shelf/keeper.ts";
import { Fetcher, lendingTo } from "../../src/warm/shelf/page_end.ts";
import { knownPlace, type ModelPlace } from "../../src/warm/shelf/place.ts";
import { ModelShelf } from "../../src/warm/shelf/shelf.ts";
import { serveFetches } from "../../src/warm/shelf/worker_end.ts";
import { exampleFiles, FILES, type ModelSite, serveModels } from "../browser/warm_site.ts";

const GRAPH = "models/tiny/onnx/model.onnx";
const CONFIG = "models/tiny/config.json";

let site: ModelSite;
before(async () => void (site = await serveModels()));
after(() => site.close());
beforeEach(async () => {
  site.requests.length = 0;
  site.mishaps.clear();
  site.dates = false;
  for (const [path, bytes] of await exampleFiles()) site.files.set(path, bytes);
});

/** A machine on which waiting for the next attempt takes no time. */
async function hastyRuntime(): Promise<Runtime> {
  const runtime = await loadRuntime();
  const sleep: Runtime["clock"]["sleep"] = (duration, options = {}) =>
    runtime.clock.sleep(options.background ? duration : 1, options);
  return { ...runtime, clock: { ...runtime.clock, sleep } };
}

/** A Worker's end in this process, and the page's handle to it. */
function startWorker(runtime: Runtime): WorkerHandle & { readonly isEnded: () => boolean } {
  let isEnded = false;
  let toWorker: (message: unknown) => void = () => {};
  let toPage: (message: unknown) => void = () => {};
  const later = (hear: () => (message: unknown) => void) => (message: unknown): void =>
    queueMicrotask(() => isEnded || hear()(message));
  serveFetches({ post: later(() => toPage), onMessage: (handler) => void (toWorker = handler) }, runtime);
  return {
    post: later(() => toWorker),
    onMessage: (handler) => void (toPage = handler),
    onFailure: () => {},
    terminate: () => void (isEnded = true),
    isEnded: () => isEnded,
  };
}

/** A shelf with the example model, and what one sees of it from outside. */
async function openShelf(place: ModelPlace = site.folder) {
  const runtime = await hastyRuntime();
  const workers: ReturnType<typeof startWorker>[] = [];
  const warnings: string[] = [];
  const fetcher = new Fetcher(() => {
    workers.push(startWorker(runtime));
    return workers.at(-1)!;
  });
  const keeper = keepInMemory();
  const places = new Map([["tiny", knownPlace("tiny", place, undefined)]]);
  const heard = { warn: (message: string): void => void warnings.push(message) };
  const shelf = new ModelShelf({ runtime, places, keeper, fetcher, warn: (message) => heard.warn(message) });
  return { shelf, fetcher, keeper, workers, warnings, heard };
}

/** The same length, other bytes. */
function changed(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => byte ^ 1);
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

/** Lets what is under way get as far as the site. */
async function untilAsked(count: number): Promise<void> {
  while (site.requests.length < count) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe("a shelf of models", () => {
  it("says why a file, or a list of files, is asked for again, and when", async () => {
    site.mishaps.set("files.json", [{ status: 503 }]);
    site.mishaps.set("config.json", [{ status: 500 }]);
    const { shelf, warnings } = await openShelf();
    await shelf.blob(CONFIG);
    assert.equal(warnings.length, 2);
    assert.match(
      warnings[0]!,
      /^Cannot ask what is at .*files\.json so far: the site answers 503; tried again in 1\.\d s$/,
    );
    assert.match(warnings[1]!, /^Cannot fetch .*config\.json so far: the site answers 500; tried again in 1\.\d s$/);
  });

  it("never joins two versions of a file that have one date", async () => {
    site.dates = true;
    site.mishaps.set("onnx/model.onnx", [{ breakAfter: 3_000_000 }]);
    const { shelf, heard } = await openShelf({ url: site.folder, files: FILES });
    const now = changed(site.files.get("onnx/model.onnx")!);
    // While it is waited for the next attempt.
    heard.warn = () => void site.files.set("onnx/model.onnx", now);
    const came = new Uint8Array(await (await shelf.blob(GRAPH)).arrayBuffer());
    assert.ok(isSame(came, now));
  });

  for (const problem of ["holds other bytes", "is longer", "is shorter", "is gone"]) {
    it(`asks its place again when a file there ${problem}: the model is another one by now`, async () => {
      const { shelf } = await openShelf();
      const { sha256 } = await shelf.digestFile(CONFIG);
      const bytes = site.files.get("config.json")!;
      if (problem === "is gone") site.files.delete("config.json");
      else if (problem === "is longer") site.files.set("config.json", new Uint8Array([...bytes, 10]));
      else if (problem === "is shorter") site.files.set("config.json", bytes.slice(0, -1));
      else site.files.set("config.json", changed(bytes));
      await assert.rejects(shelf.blob(CONFIG), {
        name: "ModelError",
        code: "identity_changed",
        message: /^Cannot fetch .*config\.json: .*; what its place has by now is another model$/,
      });
      if (problem === "is gone") return void assert.equal(await shelf.files.stat(CONFIG), undefined);
      assert.notEqual((await shelf.digestFile(CONFIG)).sha256, sha256);
      await shelf.blob(CONFIG);
    });
  }

  it("does not give what was under way to who asks after its place has something else", async () => {
    const { shelf, fetcher } = await openShelf();
    site.mishaps.set("onnx/model.onnx", [{ stopAfter: 3_000_000 }]);
    const before = shelf.blob(GRAPH);
    await untilAsked(2);
    const now = changed(site.files.get("onnx/model.onnx")!);
    site.files.set("onnx/model.onnx", now);
    await shelf.renew("tiny");
    const came = await shelf.blob(GRAPH, AbortSignal.timeout(5000));
    assert.ok(isSame(new Uint8Array(await came.arrayBuffer()), now));
    fetcher.close();
    await assert.rejects(before, { code: "model_load_failed" });
  });

  it("stops fetching the others when one of several files does not come", async () => {
    const { shelf, workers } = await openShelf();
    site.mishaps.set("onnx/model.onnx", [{ stopAfter: 3_000_000 }]);
    site.mishaps.set("config.json", [{ status: 418 }]);
    await assert.rejects(shelf.fetch([GRAPH, CONFIG]), { message: /config\.json: the site answers 418$/ });
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.deepEqual(workers.map((worker) => worker.isEnded()), [true]);
  });

  it("begins nothing any more once it is closed", async () => {
    const { shelf, fetcher, workers } = await openShelf();
    for (const path of FILES) site.mishaps.set(path, [{ stopAfter: 3 }]);
    const all = FILES.map((path) => shelf.blob(`models/tiny/${path}`));
    for (const each of all) each.catch(() => {});
    await untilAsked(5);
    fetcher.close();
    for (const each of all) await assert.rejects(each, { code: "model_load_failed", message: /closed/ });
    assert.deepEqual(workers.map((worker) => worker.isEnded()), [true]);
    assert.equal(site.requests.length, 5);
  });

  it("stops fetching what a Worker wanted that was ended", async () => {
    const { shelf, workers } = await openShelf();
    site.mishaps.set("onnx/model.onnx", [{ stopAfter: 3_000_000 }]);
    let borrow: (message: unknown) => void = () => {};
    const worker = lendingTo({
      post: () => {},
      onMessage: (handler) => void (borrow = handler),
      onFailure: () => {},
      terminate: () => {},
    }, (path, signal) => shelf.blob(path, signal));
    worker.onMessage(() => {});
    borrow({ type: "borrow", id: 1, paths: [GRAPH] });
    await untilAsked(2);
    worker.terminate();
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.deepEqual(workers.map((each) => each.isEnded()), [true]);
  });
});
