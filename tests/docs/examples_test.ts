/** The manual is true: every block of code in it is run, or says why it is not. */

import { describe, it } from "node:test";
import { requirePart } from "../support/parts.ts";
import { HERE, requireRuntime } from "../support/runtimes.ts";
import { blocksOf, pages } from "./blocks.ts";
import { Desk } from "./desk.ts";
import { runPage } from "./run_page.ts";

/** A page's examples may wait for one another, and for models. */
const PATIENT = { timeout: 120_000 };

for (const page of pages()) {
  if (!blocksOf(page).some(({ mark }) => mark?.kind === "run" || mark?.kind === "file")) continue;
  describe(page, () => {
    it("has examples that run as they stand", PATIENT, async (context) => {
      // What an example does is the same whoever runs its test: one runtime is enough.
      if (HERE !== "deno") return context.skip("run from Deno");
      const [deno] = requireRuntime(context, "deno") ?? [];
      if (deno === undefined || !requirePart(context, "bash")) return;
      const desk = await Desk.prepare(deno);
      try {
        await runPage(page, desk);
      } finally {
        await desk.close();
      }
    });
  });
}
