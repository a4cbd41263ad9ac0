/** What `/health` says of devices: which one `auto` is, and why a model is on the CPU. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startServerOn } from "../../src/compose/server.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { FileError, type Runtime, type WorkerHandle } from "../../src/runtime/runtime.ts";
import { MODELS } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { getJson, post } from "./support.ts";

const runtime = await loadRuntime();
const denied: Runtime = {
  ...runtime,
  spawnProcess(): WorkerHandle {
    throw new FileError("Cannot start process: allow it with --allow-run", "EACCES");
  },
};

describe("/health on a machine whose GPU cannot be reached", () => {
  it("says that auto is wasm and why, for the machine and for each model on it", async () => {
    await using server = await startServerOn(denied, { port: 0, models: MODELS, cache: await temporaryFolder() });
    assert.equal((await getJson(server, "/health")).auto_device, null, "nobody has asked");
    await post(server, "/v1/completions", { model: "kjv-tiny", prompt: "And", max_tokens: 1 });
    const { auto_device, loaded_models: [model] } = await getJson(server, "/health");
    const reason = "the search for a GPU failed: Cannot start process: allow it with --allow-run";
    assert.deepEqual(auto_device, { device: "wasm", float16: false, reason });
    assert.equal(model.device, "wasm");
    assert.equal(model.device_reason, reason);
  });
});
