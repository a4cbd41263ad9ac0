/** Chromium, by Playwright. */

import process from "node:process";
import type { TestContext } from "node:test";
import { type Browser, type BrowserContext, chromium } from "playwright-core";
import { skipForWant } from "../../support/parts.ts";
import { HERE } from "../../support/runtimes.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import type { BrowserOptions, DrivenBrowser, DrivenTab } from "./driver.ts";
import { placeOf } from "./places.ts";
import { INSECURE_HOST } from "./site.ts";

/** The tests' own pages only; containers have neither a sandbox nor a large /dev/shm. */
const FLAGS = [
  "--no-sandbox",
  "--disable-dev-shm-usage",
  "--force-color-profile=srgb",
  `--host-resolver-rules=MAP ${INSECURE_HOST} 127.0.0.1`,
];

/** Starts it as `startBrowser` says. */
export async function startChromium(
  executablePath: string,
  { profile, private: isPrivate = false, storageLimit, flags = [] }: BrowserOptions,
): Promise<DrivenBrowser> {
  const folder = profile ?? await temporaryFolder();
  const main = await chromium.launchPersistentContext(folder, { executablePath, args: [...FLAGS, ...flags] });
  const browser = main.browser()!;
  const windows: BrowserContext = isPrivate ? await browser.newContext() : main;
  const complaints: string[] = [];

  async function open(url: string): Promise<DrivenTab> {
    const page = await windows.newPage();
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(String(error)));
    if (storageLimit !== undefined) {
      // It holds for as long as this session does.
      const session = await windows.newCDPSession(page);
      await session.send("Storage.overrideQuotaForOrigin", { origin: new URL(url).origin, quotaSize: storageLimit });
    }
    await page.goto(url);
    return {
      evaluate: (script) => page.evaluate(script),
      reload: async () => void await page.reload(),
      close: () => page.close(),
      async crash() {
        const crashed = page.waitForEvent("crash");
        page.goto("chrome://crash").catch(() => {});
        await crashed;
        await page.close();
      },
    };
  }

  return {
    complaints,
    open,
    close: () => main.close(),
    async kill() {
      const session = await browser.newBrowserCDPSession();
      const { processInfo } = await session.send("SystemInfo.getProcessInfo");
      const ended = new Promise((resolve) => main.once("close", resolve));
      for (const { id } of processInfo) killIfThere(id);
      await ended;
    },
  };
}

function killIfThere(id: number): void {
  try {
    process.kill(id, "SIGKILL");
  } catch {
    // It ended with the one that was killed before it.
  }
}

/** Playwright's own interface, for tests of what is seen; a test is skipped where there is no Chromium. */
export async function requireChromium(context: TestContext): Promise<Browser | undefined> {
  // What a browser does is the same whoever starts it: one runtime is enough.
  if (HERE === "bun") return void context.skip("playwright does not speak to a browser from Bun");
  const browser = await launchChromium();
  if (browser === undefined) skipForWant(context, "Chromium is not installed");
  return browser;
}

/** Playwright's own interface; whoever starts it closes it. `undefined` where it is not installed. */
export async function launchChromium(): Promise<Browser | undefined> {
  const executablePath = placeOf("chromium");
  return executablePath === undefined ? undefined : await chromium.launch({ executablePath, args: FLAGS });
}
