/**
 * Real browsers, behind one small interface: Chromium by Playwright, Firefox by Puppeteer over WebDriver BiDi, both from
 * Debian. A browser that was started here is one profile; its tabs share what is stored, as a person's do.
 */

import type { TestContext } from "node:test";
import { HERE } from "../../support/runtimes.ts";
import { skipForWant } from "../../support/parts.ts";
import { callIn, LOADED } from "./calls.ts";
import { startChromium } from "./chromium.ts";
import type { BrowserOptions } from "./driver.ts";
import { startFirefox } from "./firefox.ts";
import { placeOf } from "./places.ts";

export type { BrowserOptions } from "./driver.ts";

/** A browser's name. */
export type BrowserName = "chromium" | "firefox";

/** The browsers that everything runs in. */
export const BROWSERS: readonly BrowserName[] = ["chromium", "firefox"];

/** The functions that a page's module exports: `typeof import("./page.ts")`. */
export type PageFunctions<Page> = {
  [Name in keyof Page as Page[Name] extends (...args: never[]) => unknown ? Name : never]: Page[Name] extends
    (...args: infer Args) => infer Result ? (...args: Args) => Promise<Awaited<Result>> : never;
};

/** A tab with a page whose module is one of the site's. */
export interface Tab<Page = unknown> {
  /**
   * Calls a function that the page's module exports. Arguments and result cross as JSON.
   *
   * @throws PageError when it fails in the page; an error of the driver's when the tab goes away meanwhile.
   */
  call<Name extends keyof PageFunctions<Page> & string>(
    name: Name,
    ...args: Parameters<PageFunctions<Page>[Name]>
  ): ReturnType<PageFunctions<Page>[Name]>;
  /** Loads the page anew. */
  reload(): Promise<void>;
  /** Closes the tab at once, without asking it: its Workers stop wherever they are. */
  close(): Promise<void>;
  /** Kills the tab's process, as a crash does. Chromium only. */
  crash?(): Promise<void>;
}

/** A browser that runs. Whoever starts it closes it. */
export interface RunningBrowser {
  readonly name: BrowserName;
  /** What its pages and their Workers complained of: errors and warnings on the console, uncaught exceptions. */
  readonly complaints: string[];
  /** Opens a page in a new tab, and waits until its module has run. */
  open<Page>(url: string): Promise<Tab<Page>>;
  /** Ends it as a person does. */
  close(): Promise<void>;
  /** Kills it, all its processes at once, as a failing power supply does. */
  kill(): Promise<void>;
}

/** Starts a browser; `undefined` where it is not installed. */
export async function startBrowser(
  name: BrowserName,
  options: BrowserOptions = {},
): Promise<RunningBrowser | undefined> {
  const executable = placeOf(name);
  if (executable === undefined) return undefined;
  const driven = await (name === "chromium" ? startChromium : startFirefox)(executable, options);
  return {
    name,
    complaints: driven.complaints,
    async open<Page>(url: string): Promise<Tab<Page>> {
      const tab = await driven.open(url);
      await tab.evaluate(LOADED);
      return {
        call: (name: string, ...args: unknown[]) => callIn((script) => tab.evaluate(script), name, args) as never,
        async reload() {
          await tab.reload();
          await tab.evaluate(LOADED);
        },
        close: () => tab.close(),
        ...tab.crash && { crash: tab.crash },
      };
    },
    close: () => driven.close(),
    kill: () => driven.kill(),
  };
}

/** {@link startBrowser} for a test, which is skipped where there is none. */
export async function requireBrowser(
  context: TestContext,
  name: BrowserName,
  options?: BrowserOptions,
): Promise<RunningBrowser | undefined> {
  if (!canDrive(context)) return undefined;
  const browser = await startBrowser(name, options);
  if (browser === undefined) skipForWant(context, `${name} is not installed`);
  return browser;
}

/** Whether browsers can be driven from here. What they do is the same whoever starts them: one runtime is enough. */
export function canDrive(context: TestContext): boolean {
  if (HERE === "deno") return true;
  context.skip("browsers are driven from Deno");
  return false;
}
