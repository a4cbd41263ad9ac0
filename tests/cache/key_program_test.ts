/** The key's specification is usable from other languages: docs/key.py, which knows it from docs/key.md alone. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { requirePart } from "../support/parts.ts";
import { temporaryFolder } from "../support/temporary.ts";

const PROGRAM = fileURLToPath(new URL("../../docs/key.py", import.meta.url));
const VECTORS = fileURLToPath(new URL("../vectors/key.json", import.meta.url));

describe("docs/key.py", () => {
  it("computes every key in tests/vectors/key.json, and refuses what has none", (context) => {
    if (!requirePart(context, "python3")) return;
    const { status, stdout, stderr } = run();
    assert.equal(stderr, "");
    assert.match(stdout, /^\d+ keys, \d+ bodies without one, 0 differ\n$/);
    assert.equal(status, 0);
  });

  it("exits 1 and names what comes out differently", async (context) => {
    if (!requirePart(context, "python3")) return;
    const vectors = JSON.parse(await readFile(VECTORS, "utf8"));
    vectors.vectors[3].key = "00".repeat(32);
    vectors.with_files[0].scope.files = [];
    vectors.unkeyable[0].body = "{}";
    const changed = `${await temporaryFolder()}/key.json`;
    await writeFile(changed, JSON.stringify(vectors));
    const { status, stderr } = run(changed);
    const expected = [vectors.vectors[3], vectors.with_files[0], vectors.unkeyable[0]];
    assert.deepEqual(stderr.trim().split("\n"), expected.map(({ name }) => `differs: ${name}`));
    assert.equal(status, 1);
  });
});

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync("python3", [PROGRAM, ...args], { encoding: "utf8" });
}
