/** The suites of {@link ./suites.ts} as tests of the runner outside: each is run in a page, by its own name. */

import assert from "node:assert/strict";
import { after, describe, it, type TestContext } from "node:test";
import { skipForWant } from "../../support/parts.ts";
import { type BrowserName, canDrive, type RunningBrowser, startBrowser, type Tab } from "../support/browser.ts";
import { bundleForBrowser } from "../support/bundle.ts";
import { PageError } from "../support/calls.ts";
import { serveSite, type Site } from "../support/site.ts";
import type * as Page from "./page.ts";
import { type ServerControl, startServerControl } from "./servers.ts";
import { suitesOver } from "./suites.ts";

/** So many tests are run in a tab: what their Workers have taken, a browser gives back when the tab is closed. */
const TESTS_IN_A_TAB = 40;

/** Registers all tests for a browser. */
export function conformanceIn(name: BrowserName): void {
  describe(`in ${name}`, () => {
    let ground: Promise<Ground | undefined> | undefined;

    /** One for all tests, which is prepared when the first of them needs it. */
    async function groundFor(context: TestContext): Promise<Ground | undefined> {
      if (!canDrive(context)) return undefined;
      const prepared = await (ground ??= Ground.prepare(name));
      if (prepared === undefined) skipForWant(context, `${name} is not installed`);
      return prepared;
    }

    for (const [suite, tests] of suitesOver()) {
      describe(suite, () => {
        for (const test of tests.keys()) {
          it(test, async (context) => await (await groundFor(context))?.run(suite, test));
        }
      });
    }

    it("complains of nothing meanwhile", async (context) => {
      const used = await groundFor(context);
      if (used !== undefined) assert.deepEqual(used.browser.complaints, []);
    });

    after(async () => await (await ground)?.close());
  });
}

/** A browser, and what its pages need. */
class Ground {
  readonly browser: RunningBrowser;
  readonly #site: Site;
  readonly #control: ServerControl;
  #tab: Tab<typeof Page> | undefined;
  #count = 0;

  private constructor(browser: RunningBrowser, site: Site, control: ServerControl) {
    this.browser = browser;
    this.#site = site;
    this.#control = control;
  }

  /** `undefined` where there is no such browser. */
  static async prepare(name: BrowserName): Promise<Ground | undefined> {
    const browser = await startBrowser(name);
    if (browser === undefined) return undefined;
    const { files } = await bundleForBrowser({
      conformance: "tests/browser/conformance/page.ts",
      conformance_worker: "tests/browser/conformance/worker.ts",
      conformance_leader: "tests/browser/conformance/leader.ts",
    });
    // Isolated, so that the page may share a test's time with its Workers.
    const site = await serveSite(files, { isolated: true });
    return new Ground(browser, site, await startServerControl(site.origin));
  }

  async run(suite: string, test: string): Promise<void> {
    if (this.#count++ % TESTS_IN_A_TAB === 0) await this.#leave();
    const url = `${this.#site.origin}/conformance.html?control=${encodeURIComponent(this.#control.url)}`;
    this.#tab ??= await this.browser.open<typeof Page>(url);
    try {
      await this.#tab.call("run", suite, test);
    } catch (error) {
      // A tab that is lost fails the one test that it was lost in.
      if (!(error instanceof PageError)) this.#tab = undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.browser.close();
    await this.#control.close();
    await this.#site.close();
  }

  async #leave(): Promise<void> {
    await this.#tab?.close();
    this.#tab = undefined;
  }
}
