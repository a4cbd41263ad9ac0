/** What a server says of settings that cannot work: at once, and what to do. */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { temporaryFolder } from "../support/temporary.ts";
import type { ServerOptions } from "../../src/compose/server.ts";
import type { LoadedModel } from "../../src/warm/backend_cache.ts";
import { copyModel, copyModelWithOtherWeights } from "../support/models.ts";
import { getJson, post, testServer } from "./support.ts";

describe("startServer", () => {
  it("says which address is taken", async () => {
    await using first = await testServer({ cache: await temporaryFolder() });
    const port = Number(new URL(first.url).port);
    const second = testServer({ port, cache: await temporaryFolder() });
    await assert.rejects(second, { message: new RegExp(`^Cannot listen on 127.0.0.1:${port}: the address is in use`) });
  });

  it("says why answers cannot be kept, and serves all the same", async () => {
    const file = join(await temporaryFolder(), "file");
    await writeFile(file, "");
    await using server = await testServer({ cache: file });
    assert.match(server.cacheProblem!, /file/);
    const response = await post(server, "/v1/completions", { model: "kjv-tiny", prompt: "In", max_tokens: 1 });
    assert.equal(response.status, 200);
    await response.body!.cancel();
  });

  it("finds no problem with a folder it can make", async () => {
    await using server = await testServer({ cache: join(await temporaryFolder(), "new") });
    assert.equal(server.cacheProblem, undefined);
    assert.deepEqual(server.models.map(({ id }) => id), ["kjv-tiny", "kjv-tiny+fortunes"]);
  });
});

describe("what is to be there before anybody asks", () => {
  /** A server with these options over the models `one` and `two`, once `/health` shows what it is to show. */
  async function until(options: ServerOptions, isSo: (models: ReadonlyMap<string, LoadedModel>) => boolean) {
    const models = await temporaryFolder();
    await copyModel(models, "one");
    await copyModelWithOtherWeights(models, "two");
    const log: string[] = [];
    const server = await testServer({
      models,
      cache: await temporaryFolder(),
      log: (level, message) => level === "error" && log.push(message),
      ...options,
    });
    const loaded = async (): Promise<Map<string, LoadedModel>> => {
      const { loaded_models } = await getJson(server, "/health");
      return new Map(loaded_models.map((model: LoadedModel) => [model.base, model]));
    };
    let shown;
    while (!isSo(shown = await loaded()));
    return { server, log, loaded, shown };
  }
  const isWarm = (model: LoadedModel | undefined): boolean => model?.state === "warm";

  it("is loaded once the server listens: pins first, then the others", async () => {
    const options = { preload: ["one"], pin: ["two"], keepAlive: "10m" };
    const { server, log, shown } = await until(options, (models) => isWarm(models.get("one")));
    await using _ = server;
    assert.deepEqual([...shown.keys()], ["two", "one"]);
    assert.equal(shown.get("two")!.pinned, true);
    assert.equal(shown.get("two")!.keep_alive_until, null);
    const { pinned, last_used, keep_alive_until } = shown.get("one")!;
    assert.equal(pinned, false);
    assert.equal(Date.parse(keep_alive_until!) - Date.parse(last_used), 600_000);
    assert.deepEqual(log, []);
  });

  it("is logged where it cannot be, and neither stops the server nor what comes after it", async () => {
    const options = { pin: ["nowhere"], preload: ["../one", "one+nothing", "two"] };
    const { server, log } = await until(options, (models) => isWarm(models.get("two")));
    await using _ = server;
    assert.deepEqual(log.map((line) => line.slice(0, line.indexOf(":"))), [
      "pinning nowhere failed",
      "preloading ../one failed",
      "preloading one+nothing failed",
    ]);
  });

  it("may be more than there is room for: what is too much is refused, and the pins stay", async () => {
    const options = { pin: ["one", "two"], maxLoadedModels: 1 };
    const { server, log, loaded } = await until(options, (models) => isWarm(models.get("one")));
    await using _ = server;
    while (log.length === 0) await loaded();
    assert.match(log[0]!, /^pinning two failed: Cannot load two: what is pinned \(one\) leaves too little/);
    assert.equal((await loaded()).get("one")!.pinned, true);
  });

  it("does not hold up the end of the server", async () => {
    const { server, log } = await until({ preload: ["one", "two"] }, (models) => models.has("one"));
    await server.stop();
    assert.deepEqual(log, []);
  });
});

describe("limits in bytes", () => {
  it("are kept, shown, and a model that can never fit is refused", async () => {
    await using server = await testServer({
      cache: await temporaryFolder(),
      maxRamBytes: 5_000_000,
      maxGpuBytes: 1_000_000,
    });
    const response = await post(server, "/v1/completions", { model: "kjv-tiny", prompt: "In", max_tokens: 1 });
    assert.equal(response.status, 503);
    assert.equal((await response.json()).error.code, "no_room");
    const { max_bytes, max_gpu_bytes, bytes, waiting_requests } = await getJson(server, "/health");
    assert.deepEqual([max_bytes, max_gpu_bytes, bytes, waiting_requests], [5_000_000, 1_000_000, 0, 0]);
  });

  it("are not shown where there are none", async () => {
    await using server = await testServer({ cache: await temporaryFolder() });
    const { max_bytes, max_gpu_bytes } = await getJson(server, "/health");
    assert.deepEqual([max_bytes, max_gpu_bytes], [null, null]);
  });

  it("and keep-alives that mean nothing are refused at once", async () => {
    const cache = await temporaryFolder();
    await assert.rejects(testServer({ cache, maxRamBytes: 0 }), RangeError);
    await assert.rejects(testServer({ cache, maxGpuBytes: 1.5 }), RangeError);
    await assert.rejects(testServer({ cache, keepAlive: "soon" }), RangeError);
  });
});
