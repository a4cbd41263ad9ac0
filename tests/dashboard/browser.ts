/** A real Chromium. Where there is none the test is skipped; on CI there has to be one. */

import { accessSync } from "node:fs";
import process from "node:process";
import type { TestContext } from "node:test";
import { type Browser, chromium } from "playwright-core";
import { HERE } from "../support/runtimes.ts";
import { skipForWant } from "../support/parts.ts";

/** Where it is looked for. */
const PLACES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Starts it; whoever starts it closes it. */
export async function startBrowser(): Promise<Browser | undefined> {
  const executablePath = PLACES.find((place) => place !== undefined && isThere(place));
  return executablePath === undefined ? undefined : await chromium.launch({
    executablePath,
    // The tests' own pages only; containers have neither a sandbox nor a large /dev/shm.
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb"],
  });
}

/** One for a test, which is skipped where there is none. */
export async function requireBrowser(context: TestContext): Promise<Browser | undefined> {
  // What a browser does is the same whoever starts it: one runtime is enough.
  if (HERE === "bun") return void context.skip("playwright does not speak to a browser from Bun");
  const browser = await startBrowser();
  if (browser === undefined) skipForWant(context, "Chromium is not installed");
  return browser;
}

function isThere(path: string): boolean {
  try {
    accessSync(path);
    return true;
  } catch {
    return false;
  }
}
