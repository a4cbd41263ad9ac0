/** What `ps` prints for every state a base can be in. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inColour, plain } from "../../src/cli/paint.ts";
import { healthTable } from "../../src/cli/ps_table.ts";
import type { Health, LoadedModelHealth } from "../../src/http/health.ts";

const NOW = Date.UTC(2026, 10, 22, 12);
const MIB = 2 ** 20;

function model(base: string, fields: Partial<LoadedModelHealth> = {}): LoadedModelHealth {
  return {
    kind: "onnx",
    base,
    adapter: null,
    adapters: [],
    dtype: "fp32",
    device: "wasm",
    device_reason: null,
    identity: "0".repeat(64),
    state: "warm",
    pinned: false,
    leases: 0,
    load_seconds: 2.14,
    last_used: at(-3000),
    bytes: 60 * MIB,
    gpu_bytes: 0,
    predicted_bytes: 50 * MIB,
    keep_alive_until: null,
    cooldown_until: null,
    last_error: null,
    ...fields,
  };
}

function health(models: LoadedModelHealth[], fields: Partial<Health> = {}): Health {
  return {
    status: "ok",
    version: "1.2.3",
    uptime_seconds: 1,
    max_loaded_models: 3,
    max_bytes: null,
    max_gpu_bytes: null,
    bytes: 60 * MIB,
    gpu_bytes: 0,
    waiting_requests: 0,
    auto_device: null,
    loaded_models: models,
    ...fields,
  };
}

function at(offset: number): string {
  return new Date(NOW + offset).toISOString();
}

function linesOf(models: LoadedModelHealth[], fields: Partial<Health> = {}): string[] {
  return healthTable(health(models, fields), { now: NOW, width: 200, paint: plain }).split("\n");
}

/** The last cell of the only line. */
function until(fields: Partial<LoadedModelHealth>): string {
  return linesOf([model("m", fields)])[1]!.split(/ {2,}/).at(-1)!;
}

describe("healthTable", () => {
  it("aligns a line for each base, names to the left and numbers to the right", () => {
    const models = [
      model("kjv-tiny", { adapters: ["fortunes"], leases: 2 }),
      model("organisation/large", {
        device: "webgpu",
        bytes: 80 * MIB,
        gpu_bytes: 1536 * MIB,
        load_seconds: 75,
        last_used: at(-3_600_000),
      }),
    ];
    assert.deepEqual(linesOf(models), [
      "NAME                ADAPTERS  DEVICE  STATE  LEASES                MEMORY  LOADED IN  LAST USED   UNTIL",
      "kjv-tiny            fortunes  wasm    warm        2                60 MiB      2.1 s  3.0 s ago   in use",
      "organisation/large  -         webgpu  warm        0  80 MiB + 1.5 GiB GPU       75 s  60 min ago  room is needed",
      "",
      "2 of 3 places, 60 MiB",
    ]);
  });

  it("says that nothing is loaded", () => {
    assert.deepEqual(linesOf([], { bytes: 0 }), ["Nothing is loaded.", "", "0 of 3 places, 0 B"]);
  });

  it("says until when a base stays", () => {
    assert.equal(until({}), "room is needed");
    assert.equal(until({ leases: 1 }), "in use");
    assert.equal(until({ keep_alive_until: at(300_000) }), "in 5 min");
    assert.equal(until({ keep_alive_until: at(-1) }), "in 0.0 s", "its end is due");
    assert.equal(until({ pinned: true }), "unpinned");
    assert.equal(until({ state: "draining", leases: 1 }), "its requests end");
    assert.equal(until({ state: "draining" }), "now");
    assert.equal(until({ state: "loading", load_seconds: null }), "-");
    assert.equal(until({ state: "cooldown", cooldown_until: at(9000) }), "in 9.0 s");
    assert.equal(until({ state: "cooldown", cooldown_until: null }), "its files change");
  });

  it("says what a base that is loading is thought to take", () => {
    const [, line] = linesOf([model("m", { state: "loading", bytes: 0, load_seconds: null })]);
    assert.match(line!, /about 50 MiB/);
  });

  it("says below the table why a base could not be loaded", () => {
    const failed = model("m", { state: "cooldown", bytes: 0, last_error: "Cannot load m: no graph" });
    const lines = linesOf([failed]);
    assert.deepEqual(lines.slice(2), ["Cannot load m: no graph", "", "0 of 3 places, 60 MiB"]);
  });

  it("names the adapters that were used last, and counts the others", () => {
    const [, line] = linesOf([model("m", { adapters: ["one", "two", "three", "four"] })]);
    assert.match(line!, / four, three and 2 more /);
  });

  it("says what is left of the limits, and who waits", () => {
    const limits = { max_bytes: 1024 * MIB, gpu_bytes: 256 * MIB, max_gpu_bytes: 4096 * MIB, waiting_requests: 1 };
    assert.equal(
      linesOf([model("m")], limits).at(-1),
      "1 of 3 places, 60 MiB of 1.0 GiB, 256 MiB of 4.0 GiB on the GPU, 1 request waits",
    );
  });

  it("paints states on a terminal only, without moving a column", () => {
    const answer = health([model("m"), model("n", { state: "cooldown", last_error: "no" })]);
    const painted = healthTable(answer, { now: NOW, width: 200, paint: inColour });
    assert.ok(painted.includes("\x1b[32mwarm\x1b[0m    "), painted);
    assert.ok(painted.includes("\x1b[31mcooldown\x1b[0m"), painted);
    const unpainted = healthTable(answer, { now: NOW, width: 200, paint: plain });
    assert.equal(
      painted.split("\x1b[").map((part, index) => index === 0 ? part : part.replace(/^\d+m/, "")).join(""),
      unpainted,
    );
  });

  it("fits a narrow terminal: columns shrink, then the least needed are left out", () => {
    const models = [model("organisation/a-model-with-a-long-name", { adapters: ["one", "two"], leases: 2 })];
    const text = healthTable(health(models), { now: NOW, width: 80, paint: plain });
    assert.deepEqual(text.split("\n").slice(0, 2), [
      "NAME                  ADAPTERS  DEVICE  STATE  LEASES  MEMORY  LAST USED  UNTIL",
      "organisation/a-mode…  two, one  wasm    warm        2  60 MiB  3.0 s ago  in use",
    ]);
  });

  it("lets nothing through that a terminal would obey", () => {
    const lines = linesOf([model("m\x1b[2J", { state: "cooldown", last_error: "two\nlines\x1b]0;title\x07 \x9b1m" })]);
    assert.equal(lines.length, 5);
    assert.deepEqual([...lines.join("")].filter((sign) => sign < " " || (sign >= "\x7f" && sign < "\xa0")), []);
  });
});
