/** Keyv 5 beside Keyv 6: the name `keyv-5` is known to Deno only, whose folder of modules the others read. */

import { readFile } from "node:fs/promises";
import type { Keyv } from "keyv-5";
import { HERE } from "./runtimes.ts";

/** Loads the class. */
export async function loadKeyv5(): Promise<typeof Keyv> {
  if (HERE === "deno") return (await import("keyv-5")).Keyv;
  const { imports } = JSON.parse(await readFile(new URL("../../deno.json", import.meta.url), "utf8"));
  const release = String(imports["keyv-5"]).replace("npm:", "");
  const folder = new URL(`../../node_modules/.deno/${release}/node_modules/keyv/`, import.meta.url);
  return (await import(new URL("dist/index.js", folder).href)).Keyv;
}
