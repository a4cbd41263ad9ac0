/**
 * A database in the browser's private file system: our SQLite on our files, beside the same SQLite through its package's
 * API on its own `opfs-sahpool`. Both: one Worker, WAL, `locking_mode = EXCLUSIVE`, `synchronous = NORMAL`, 20,000 rows
 * of 1600 bytes by a key of 32. Each round has a new browser with a new profile.
 *
 * Run: `deno run -A bench/browser_files.ts`, with Chromium and Firefox installed.
 */

import { fileURLToPath } from "node:url";
import { type BrowserName, BROWSERS, startBrowser } from "../tests/browser/support/browser.ts";
import { bundleForBrowser } from "../tests/browser/support/bundle.ts";
import { serveSite } from "../tests/browser/support/site.ts";
import type * as Page from "./browser/files_page.ts";
import { compare, namedSide, type Side, type SideReport } from "./harness.ts";

const ROUNDS = 5;
const SIDES = { "warmcache": "ours", "opfs-sahpool": "sahpool" } as const;

const program = fileURLToPath(import.meta.url);
const sides = BROWSERS.map((browser) => Object.keys(SIDES).map((side) => sideOf(browser, side as keyof typeof SIDES)));

if (namedSide() !== undefined) await compare(program, { title: "", unit: "", rounds: 0, sides: sides.flat() });
else {
  for (const [index, browser] of BROWSERS.entries()) {
    const title = `A database in the private file system, in ${browser}`;
    await compare(program, { title, unit: "µs", rounds: ROUNDS, sides: sides[index]! });
  }
}

function sideOf(browser: BrowserName, side: keyof typeof SIDES): Side {
  return { name: `${side}, ${browser}`, run: () => measure(browser, SIDES[side]) };
}

async function measure(name: BrowserName, worker: "ours" | "sahpool"): Promise<SideReport> {
  const { files } = await bundleForBrowser({
    files_page: "bench/browser/files_page.ts",
    ours: "bench/browser/ours.ts",
    sahpool: "bench/browser/sahpool.ts",
  });
  const site = await serveSite(files);
  const browser = await startBrowser(name);
  if (!browser) throw new Error(`error: ${name} is not installed`);
  try {
    const tab = await browser.open<typeof Page>(`${site.origin}/files_page.html`);
    const { version, ...measured } = await tab.call("measure", worker);
    return { ...measured, versions: { [name]: version } };
  } finally {
    await browser.close();
    await site.close();
  }
}
