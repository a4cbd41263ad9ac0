/** The two commands of the README's "Start", on which all else stands. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { requirePart } from "../support/parts.ts";
import { HERE, requireRuntime } from "../support/runtimes.ts";
import { blocksOf, ROOT } from "./blocks.ts";
import { Desk } from "./desk.ts";

const [first] = blocksOf("README.md");
const lines = first!.code.trim().split("\n").map((line) => line.replace(/ +#.*/, ""));

describe("README.md, Start", () => {
  it("has a command that starts the server, and one that runs the tests", () => {
    assert.deepEqual(lines, ["npx -y deno@2.9.6 task serve", "npx -y deno@2.9.6 task test"]);
    const { tasks } = JSON.parse(readFileSync(`${ROOT}deno.json`, "utf8")) as { tasks: Record<string, unknown> };
    for (const name of ["serve", "test"]) assert.ok(name in tasks, name);
  });

  it("starts a server that answers", { timeout: 60_000 }, async (context) => {
    if (HERE !== "deno") return context.skip("run from Deno");
    const [deno] = requireRuntime(context, "deno") ?? [];
    if (deno === undefined || !requirePart(context, "curl")) return;
    const desk = await Desk.prepare(deno);
    try {
      await desk.serve({ ...first!, code: `exec ${lines[0]}` });
      const { code, output } = await desk.run({ ...first!, code: "curl -sf http://127.0.0.1:8787/health" });
      assert.equal(code, 0);
      assert.equal(JSON.parse(output).status, "ok");
    } finally {
      await desk.close();
    }
  });
});
