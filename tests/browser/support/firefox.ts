/** Firefox, by Puppeteer over WebDriver BiDi. */

import { once } from "node:events";
import puppeteer from "puppeteer-core";
import { temporaryFolder } from "../../support/temporary.ts";
import type { BrowserOptions, DrivenBrowser, DrivenTab } from "./driver.ts";
import { INSECURE_HOST } from "./site.ts";

/** Starts it as `startBrowser` says. */
export async function startFirefox(
  executablePath: string,
  { profile, private: isPrivate = false, storageLimit }: BrowserOptions,
): Promise<DrivenBrowser> {
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath,
    userDataDir: profile ?? await temporaryFolder(),
    extraPrefsFirefox: {
      "network.dns.localDomains": INSECURE_HOST,
      "browser.privatebrowsing.autostart": isPrivate,
      // In KiB, for all sites together; a site may have a fifth of it, and no less than 10 MiB.
      ...storageLimit !== undefined && {
        "dom.quotaManager.temporaryStorage.fixedLimit": Math.floor(storageLimit * 5 / 1024),
      },
    },
  });
  const complaints: string[] = [];

  async function open(url: string): Promise<DrivenTab> {
    const page = await browser.newPage();
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warn") complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push((error as Error).message));
    await page.goto(url);
    return {
      evaluate: (script) => page.evaluate(script),
      reload: async () => void await page.reload(),
      close: () => page.close(),
    };
  }

  return {
    complaints,
    open,
    close: () => browser.close(),
    async kill() {
      const parent = browser.process()!;
      const ended = once(parent, "exit");
      parent.kill("SIGKILL");
      await ended;
    },
  };
}
