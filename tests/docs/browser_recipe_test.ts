/// <reference lib="dom" />
/** `docs/recipes/browser.md`, bundled as it says and opened in a real browser: twice, and asked once. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { requireChromium } from "../browser/support/chromium.ts";
import { serveSite } from "../browser/support/site.ts";
import { HERE, requireRuntime } from "../support/runtimes.ts";
import { Desk } from "./desk.ts";
import { runPage } from "./run_page.ts";

describe("docs/recipes/browser.md", () => {
  it("keeps an answer from one load of the page to the next", { timeout: 60_000 }, async (context) => {
    if (HERE !== "deno") return context.skip("run from Deno");
    const [deno] = requireRuntime(context, "deno") ?? [];
    const browser = deno === undefined ? undefined : await requireChromium(context);
    if (deno === undefined || browser === undefined) return;
    const desk = await Desk.prepare(deno);
    try {
      await runPage("docs/recipes/browser.md", desk);
      const folder = join(desk.folder, "site");
      const files = new Map<string, Uint8Array>(
        readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]),
      );
      const answer = { choices: [{ message: { role: "assistant", content: "Hi!" }, finish_reason: "stop" }] };
      files.set("api/chat", new TextEncoder().encode(JSON.stringify(answer)));
      const site = await serveSite(files);
      try {
        const page = await browser.newPage();
        for (const hits of [0, 1]) {
          await page.goto(site.origin);
          await page.getByText(`Hi! (hits so far: ${hits})`).waitFor();
        }
        assert.equal(site.asked.filter((path) => path === "api/chat").length, 1);
      } finally {
        await site.close();
      }
    } finally {
      await desk.close();
      await browser.close();
    }
  });
});
