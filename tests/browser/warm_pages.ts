/** Pages with models, in a browser that is started by the first test that wants one, and closed after the last. */

import { after, type TestContext } from "node:test";
import type * as Page from "./pages/warm.ts";
import {
  type BrowserName,
  type BrowserOptions,
  canDrive,
  requireBrowser,
  type RunningBrowser,
  type Tab,
} from "./support/browser.ts";
import { serveSite, type Site } from "./support/site.ts";
import { bundleWarm } from "./warm_bundle.ts";
import { exampleFiles, type ModelSite, serveModels } from "./warm_site.ts";

/** What the page's module exports. */
export type WarmPage = typeof Page;

/** What a test in a page has. */
export interface WarmTest {
  readonly tab: Tab<WarmPage>;
  /** A folder that no other test has. */
  readonly directory: string;
  readonly browser: RunningBrowser;
  readonly site: Site;
  /** Elsewhere, with nothing asked so far and nothing that goes wrong. */
  readonly models: ModelSite;
}

/** Makes tests in pages; to be called where they are described. */
export function warmPages(
  name: BrowserName,
  options: BrowserOptions = {},
): (run: (test: WarmTest) => Promise<void>) => (context: TestContext) => Promise<void> {
  let started: Omit<WarmTest, "tab" | "directory"> | undefined;
  let folders = 0;
  after(async () => {
    await started?.browser.close();
    await started?.site.close();
    await started?.models.close();
  });
  return (run) => async (context) => {
    if (!canDrive(context)) return;
    if (started === undefined) {
      const browser = await requireBrowser(context, name, options);
      if (browser === undefined) return;
      started = { browser, site: await serveSite(await bundleWarm()), models: await serveModels() };
    }
    const { browser, site, models } = started;
    models.requests.length = 0;
    models.mishaps.clear();
    models.exposes = true;
    models.dates = false;
    for (const [path, bytes] of await exampleFiles()) models.files.set(path, bytes);
    browser.complaints.length = 0;
    const tab = await browser.open<WarmPage>(`${site.origin}/warm.html`);
    try {
      await run({ ...started, tab, directory: `models-${++folders}` });
      await tab.call("close");
    } finally {
      await tab.close();
    }
  };
}
