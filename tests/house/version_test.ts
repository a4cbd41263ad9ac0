/** The version is said in two places that must not differ. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { it } from "node:test";
import { VERSION } from "../../src/compose/version.ts";
import { pathOf } from "./module_graph.ts";

it("VERSION is the version that is published", async () => {
  assert.equal(VERSION, JSON.parse(await readFile(pathOf("deno.json"), "utf8")).version);
});
