/** What the tests of caches in tabs share: a site with their page, and tabs of it. */

import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type * as Page from "./pages/tabs.ts";
import {
  type BrowserName,
  type BrowserOptions,
  requireBrowser,
  type RunningBrowser,
  type Tab,
} from "./support/browser.ts";
import { bundleForBrowser, type SiteFiles } from "./support/bundle.ts";
import { serveSite, type Site } from "./support/site.ts";

/** A tab with caches. */
export type CacheTab = Tab<typeof Page>;

/** What a test has. */
export interface Stage {
  readonly browser: RunningBrowser;
  readonly site: Site;
  /** Opens a tab; without a name no cache. */
  tab(cache?: string): Promise<CacheTab>;
}

let bundled: Promise<SiteFiles> | undefined;

/** The site of these tests. */
export function cacheFiles(): Promise<SiteFiles> {
  return bundled ??= bundleForBrowser({
    tabs: "tests/browser/pages/tabs.ts",
    worker: "src/store/opfs/worker.ts",
    asking_worker: "tests/browser/pages/asking_worker.ts",
    freezable_worker: "tests/browser/pages/freezable_worker.ts",
    lacking_worker: "tests/browser/pages/lacking_worker.ts",
  }).then(({ files }) => files);
}

interface Shared {
  /** How many tests are still to have it. */
  awaited: number;
  browser?: RunningBrowser | undefined;
}

/** Browsers without options of their own. Sites are each on a port, so nothing of one test is there in another. */
const shared = new Map<BrowserName, Shared>();

/**
 * Has a browser and a site for a test; its tabs and its site are gone afterwards, and nothing was complained of. Tests of
 * a file that ask for nothing special have one browser after the other.
 */
export function onStage(
  name: BrowserName,
  run: (stage: Stage) => Promise<void>,
  options: BrowserOptions & { readonly files?: SiteFiles; readonly complaints?: RegExp } = {},
): (context: TestContext) => Promise<void> {
  const { files, complaints, ...browserOptions } = options;
  const common: Shared = Object.keys(browserOptions).length > 0 ? { awaited: 0 } : shared.get(name) ?? { awaited: 0 };
  if (Object.keys(browserOptions).length === 0) shared.set(name, common);
  common.awaited++;
  return async (context) => {
    const browser = common.browser ??= await requireBrowser(context, name, browserOptions);
    common.awaited--;
    if (browser === undefined) return;
    const site = await serveSite(files ?? await cacheFiles());
    const tabs: Tab[] = [];
    const before = browser.complaints.length;
    const open: RunningBrowser["open"] = async <Page>(url: string) => {
      const tab = await browser.open<Page>(url);
      tabs.push(tab as Tab);
      return tab;
    };
    let isFine = false;
    try {
      await run({
        browser: { ...browser, open },
        site,
        async tab(cache) {
          const tab = await open<typeof Page>(`${site.origin}/tabs.html`);
          if (cache !== undefined) await tab.call("open", cache);
          return tab;
        },
      });
      const heard = browser.complaints.slice(before);
      assert.deepEqual(heard.filter((complaint) => !complaints?.test(complaint)), []);
      isFine = true;
    } finally {
      if (common.awaited <= 0 || !isFine) {
        common.browser = undefined;
        await browser.close();
      } else {
        // Some were closed by the test.
        await Promise.allSettled(tabs.map((tab) => tab.close()));
      }
      await site.close();
    }
  };
}
