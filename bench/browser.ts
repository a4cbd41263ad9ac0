/**
 * A cache in a page: how long it takes to open, to ask from the tab that keeps the files and from another one, and to take
 * over when the first is closed. 2,000 answers of 2 KB. Each round has a new browser with a new profile; the site is on
 * this machine.
 *
 * Run: `deno run -A bench/browser.ts`, with Chromium and Firefox installed.
 */

import { fileURLToPath } from "node:url";
import { type BrowserName, BROWSERS, startBrowser } from "../tests/browser/support/browser.ts";
import { bundleForBrowser } from "../tests/browser/support/bundle.ts";
import { serveSite } from "../tests/browser/support/site.ts";
import type * as Page from "./browser/cache_page.ts";
import { compare, namedSide, type Side, type SideReport } from "./harness.ts";

const ROUNDS = 3;
const ANSWERS = 2000;
/** A store tidies up after many puts. */
const SETTLING = 10_000;

const program = fileURLToPath(import.meta.url);
const sides = BROWSERS.map((browser) => [sideOf(browser, "leader"), sideOf(browser, "follower")]);

if (namedSide() !== undefined) await compare(program, { title: "", unit: "", rounds: 0, sides: sides.flat() });
else {
  for (const [index, browser] of BROWSERS.entries()) {
    const title = `A cache in a page, in ${browser}`;
    await compare(program, { title, unit: "µs", rounds: ROUNDS, ours: 2, sides: sides[index]! });
  }
}

function sideOf(browser: BrowserName, role: "leader" | "follower"): Side {
  return { name: `${role}, ${browser}`, run: () => measure(browser, role) };
}

async function measure(name: BrowserName, role: "leader" | "follower"): Promise<SideReport> {
  const { files } = await bundleForBrowser({
    cache_page: "bench/browser/cache_page.ts",
    worker: "src/store/opfs/worker.ts",
  }, { minify: true });
  // Isolated pages have a finer clock.
  const site = await serveSite(files, { isolated: true });
  const browser = await startBrowser(name);
  if (!browser) throw new Error(`error: ${name} is not installed`);
  try {
    const tab = () => browser.open<typeof Page>(`${site.origin}/cache_page.html`);
    const leader = await tab();
    const first = await leader.call("open");
    const put = await leader.call("fill", ANSWERS);
    const follower = await tab();
    const opened = await follower.call("open");
    const asking = role === "leader" ? leader : follower;
    await new Promise((resolve) => setTimeout(resolve, SETTLING));
    const { answers, figures } = await asking.call("look", ANSWERS);
    const report = { ...figures, put, "open": role === "leader" ? first : opened };
    const version = await asking.call("version");
    if (role === "follower") {
      await leader.close();
      return {
        answers,
        figures: { ...report, "hand-over": await follower.call("lookOnce") },
        versions: { [name]: version },
      };
    }
    return { answers, figures: report, versions: { [name]: version } };
  } finally {
    await browser.close();
    await site.close();
  }
}
