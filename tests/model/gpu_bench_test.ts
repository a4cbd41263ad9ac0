/** The benchmark of `docs/gpu.md`, on the smallest model and a GPU that the CPU plays: that it runs, not how fast. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { GpuReport } from "../../bench/gpu/report.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { skipWithoutGpu } from "./software_gpu.ts";

describe("bench/gpu.ts", { skip: skipWithoutGpu }, () => {
  it("compares the sides' answers, measures all that it says, and writes the figures as JSON and as a table", async () => {
    const folder = await temporaryFolder();
    const program = fileURLToPath(new URL("../../bench/gpu.ts", import.meta.url));
    const what = ["--sizes", "tiny", "--dtypes", "q4", "--rounds", "1"];
    const where = ["--device", "webgpu:software", "--python", "none", "--out", `${folder}/figures.json`];
    const { stdout } = await promisify(execFile)(process.execPath, ["run", "-A", program, ...what, ...where]);
    const report: GpuReport = JSON.parse(await readFile(`${folder}/figures.json`, "utf8"));
    const [model] = report.models;
    assert.deepEqual(Object.keys(model!.sides), ["warmcache", "onnxruntime-web, bare loop"]);
    assert.deepEqual(model!.leftOut, {});
    assert.ok(model!.furthest["onnxruntime-web, bare loop"]! < 1e-3);
    const { figures } = model!.sides.warmcache![0]!;
    for (const figure of FIGURES) assert.ok(Number.isFinite(figures[figure]), figure);
    assert.ok(report.machine.bandwidth > 0);
    assert.ok(stdout.includes("### tiny: 0.001 billion parameters, q4"), stdout);
  });
});

const FIGURES = [
  "cold load, ms",
  "first token after a load, ms",
  "first token, ms",
  "prefill, tokens/s",
  "decode, greedy, tokens/s",
  "decode, top 20, tokens/s",
  "decode, any token, tokens/s",
  "scoring, tokens/s",
  "held on the GPU, MB",
  "evict, ms",
  "decode, base beside adapters, tokens/s",
  "adapter, first use, ms",
  "decode, adapter, tokens/s",
  "adapter switch, ms",
];
