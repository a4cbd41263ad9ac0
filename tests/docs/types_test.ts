/** The manual's TypeScript has no error of types: what runs here may run by chance. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HERE, requireRuntime } from "../support/runtimes.ts";
import { blocksOf, pages } from "./blocks.ts";
import { Desk } from "./desk.ts";

describe("the manual's TypeScript", () => {
  it("type-checks as it stands", { timeout: 120_000 }, async (context) => {
    if (HERE !== "deno") return context.skip("run from Deno");
    const [deno] = requireRuntime(context, "deno") ?? [];
    if (deno === undefined) return;
    const desk = await Desk.prepare(deno);
    try {
      const names: string[] = [];
      for (const { page, line, language, code, mark } of pages().flatMap((page) => blocksOf(page))) {
        if (language !== "ts" || (mark?.kind !== "run" && mark?.kind !== "file")) continue;
        const name = `${page.replaceAll(/[/.]/g, "_")}_${line}.ts`;
        // A block without imports would be a script, whose names are everybody's.
        const dom = code.includes("document.") ? '/// <reference lib="dom" />\n' : "";
        await desk.keep(name, `${dom}${mark.kind === "run" ? mark.given : ""}${code}export {};\n`, { asItIs: true });
        names.push(name);
      }
      assert.ok(names.length >= 30, `${names.length} blocks`);
      // One program for the compiler, which has much in common to read.
      await desk.keep("all.ts", names.map((name) => `import "./${name}";\n`).join(""));
      const { code, errors } = await desk.check("all.ts");
      assert.equal(code, 0, errors);
    } finally {
      await desk.close();
    }
  });
});
