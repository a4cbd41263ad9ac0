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

/** Has a browser and a site for a test; both are gone afterwards, and nothing was complained of. */
export function onStage(
  name: BrowserName,
  run: (stage: Stage) => Promise<void>,
  options: BrowserOptions & { readonly files?: SiteFiles; readonly complaints?: RegExp } = {},
): (context: TestContext) => Promise<void> {
  return async (context) => {
    const { files, complaints, ...browserOptions } = options;
    const browser = await requireBrowser(context, name, browserOptions);
    if (browser === undefined) return;
    const site = await serveSite(files ?? await cacheFiles());
    try {
      await run({
        browser,
        site,
        async tab(cache) {
          const tab = await browser.open<typeof Page>(`${site.origin}/tabs.html`);
          if (cache !== undefined) await tab.call("open", cache);
          return tab;
        },
      });
      assert.deepEqual(browser.complaints.filter((complaint) => !complaints?.test(complaint)), []);
    } finally {
      await browser.close();
      await site.close();
    }
  };
}
