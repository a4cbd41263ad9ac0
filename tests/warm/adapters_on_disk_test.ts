/** Adapters that come, change and go on disk while their base stays warm: real files, a real model. */

import assert from "node:assert/strict";
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { after, before, beforeEach, describe, it } from "node:test";
import type { NextToken } from "../../src/model/backend.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { BackendCache } from "../../src/warm/backend_cache.ts";
import { Identifier } from "../../src/warm/identity.ts";
import { parseModelName } from "../../src/warm/spec.ts";
import { copyModel, KJV_TINY } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { catalogueOver } from "./models_folder.ts";

const PROMPT = { text: "And" };

describe("a base that stays warm", () => {
  let adapters: string;
  let backends: BackendCache;
  let loads = 0;

  before(async () => {
    const folder = await temporaryFolder();
    adapters = `${await copyModel(folder, "one")}/adapters`;
    const runtime = await loadRuntime();
    const identifier = new Identifier({
      runtime,
      catalogue: await catalogueOver(folder),
      memoPath: `${folder}/digests.json`,
    });
    backends = new BackendCache({
      maxLoaded: 1,
      clock: runtime.clock,
      identify: (spec, options) => identifier.identify(spec, options),
      load: (base, signal) => {
        loads++;
        return loadOnnxBackend(runtime, base, { signal });
      },
    });
  });
  after(() => backends.evictAll());
  beforeEach(async () => {
    await rm(adapters, { recursive: true, force: true });
    await cp(`${KJV_TINY}/adapters`, adapters, { recursive: true });
  });

  const lease = (name: string) => backends.lease(parseModelName(name));
  const ask = async (name: string): Promise<NextToken> => {
    await using held = await lease(name);
    return await held.view.nextToken(PROMPT, { topK: 5 });
  };

  /** The example adapter with another scale. */
  async function retrain(name: string, alpha: number): Promise<void> {
    await cp(`${KJV_TINY}/adapters/fortunes`, `${adapters}/${name}`, { recursive: true });
    const path = `${adapters}/${name}/adapter_config.json`;
    const config = JSON.parse(await readFile(path, "utf8"));
    await writeFile(path, JSON.stringify({ ...config, lora_alpha: alpha }));
  }

  it("takes an adapter that is new", async () => {
    const base = await ask("one");
    await assert.rejects(ask("one+fresh"), { code: "model_not_found" });
    await retrain("fresh", 32);
    assert.notDeepEqual(await ask("one+fresh"), base);
    assert.notDeepEqual(await ask("one+fresh"), await ask("one+fortunes"));
    assert.deepEqual(await ask("one"), base);
    assert.equal(loads, 1);
  });

  it("takes one that was trained again as another, while leases of the old one go on as they were", async () => {
    await using old = await lease("one+fortunes");
    const before = await old.view.nextToken(PROMPT, { topK: 5 });
    await retrain("fortunes", 4);
    await using replaced = await lease("one+fortunes");
    assert.notEqual(replaced.identity, old.identity);
    assert.equal(replaced.backend, old.backend);
    const after = await replaced.view.nextToken(PROMPT, { topK: 5 });
    assert.notDeepEqual(after, before);
    assert.deepEqual(await old.view.nextToken(PROMPT, { topK: 5 }), before);
    assert.equal(loads, 1);
  });

  it("gives the old answers again when the old adapter is put back", async () => {
    const before = await ask("one+fortunes");
    await retrain("fortunes", 4);
    assert.notDeepEqual(await ask("one+fortunes"), before);
    await cp(`${KJV_TINY}/adapters/fortunes`, `${adapters}/fortunes`, { recursive: true });
    assert.deepEqual(await ask("one+fortunes"), before);
    assert.equal(loads, 1);
  });

  it("does not know one that was removed, but serves who has it", async () => {
    await using held = await lease("one+fortunes");
    const before = await held.view.nextToken(PROMPT, { topK: 5 });
    await rm(`${adapters}/fortunes`, { recursive: true });
    await assert.rejects(ask("one+fortunes"), { code: "model_not_found" });
    assert.deepEqual(await held.view.nextToken(PROMPT, { topK: 5 }), before);
    assert.equal(loads, 1);
  });

  it("goes on when one is broken, and takes it when it is mended", async () => {
    const before = [await ask("one"), await ask("one+fortunes")];
    const weights = `${adapters}/fortunes/adapter_model.safetensors`;
    await writeFile(weights, (await readFile(weights)).subarray(0, 1000));
    await assert.rejects(ask("one+fortunes"), { code: "model_load_failed", permanent: true });
    assert.deepEqual(await ask("one"), before[0]);
    await cp(`${KJV_TINY}/adapters/fortunes`, `${adapters}/fortunes`, { recursive: true });
    assert.deepEqual(await ask("one+fortunes"), before[1]);
    assert.equal(loads, 1);
  });
});
