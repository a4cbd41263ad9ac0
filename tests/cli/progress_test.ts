/** What `pull` shows while it fetches, on a terminal and elsewhere. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { progressPrinter } from "../../src/cli/progress.ts";
import { size } from "../../src/cli/size.ts";
import type { PullProgress } from "../../src/warm/hub/pull.ts";

const MIB = 2 ** 20;

function file(path: string, received: number, size: number): PullProgress {
  return { path, received, size };
}

describe("progressPrinter", () => {
  it("writes one line over and over on a terminal, and not too often", () => {
    const lines: string[] = [];
    let now = 0;
    const show = progressPrinter({
      clock: { monotonic: () => now },
      isTerminal: true,
      print: (line) => lines.push(line),
    });
    show([file("a", 0, 6 * MIB)]);
    now = 50;
    show([file("a", MIB, 6 * MIB)]);
    now = 1000;
    show([file("a", 2 * MIB, 6 * MIB), file("b", 1 * MIB, 6 * MIB)]);
    now = 1001;
    show([file("a", 6 * MIB, 6 * MIB), file("b", 6 * MIB, 6 * MIB)]);
    assert.deepEqual(lines, [
      `${"░".repeat(24)} 0 %  0 B of 6 MiB  0 B/s`,
      `\x1b[1A\x1b[2K${"█".repeat(6)}${"░".repeat(18)} 25 %  3 MiB of 12 MiB  3 MiB/s`,
      `\x1b[1A\x1b[2K${"█".repeat(24)} 100 %  12 MiB of 12 MiB  12 MiB/s`,
    ]);
  });

  it("names each finished file once elsewhere", () => {
    const lines: string[] = [];
    const show = progressPrinter({
      clock: { monotonic: () => 0 },
      isTerminal: false,
      print: (line) => lines.push(line),
    });
    show([file("config.json", 10, 10), file("onnx/model.onnx", 5, 2000)]);
    show([file("config.json", 10, 10), file("onnx/model.onnx", 2000, 2000)]);
    assert.deepEqual(lines, ["config.json  10 B", "onnx/model.onnx  2 KiB"]);
  });
});

describe("size", () => {
  it("counts in the largest unit of which there is one", () => {
    const cases = { 0: "0 B", 1023: "1023 B", 1024: "1 KiB", [350 * MIB]: "350 MiB", [1536 * MIB]: "1.5 GiB" };
    for (const [bytes, text] of Object.entries(cases)) assert.equal(size(Number(bytes)), text);
  });
});
