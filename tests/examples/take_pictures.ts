/// <reference lib="dom" />
/**
 * Takes the pictures of the playground: what was asked before is there again, in a real Chromium.
 *
 * deno run -A tests/examples/take_pictures.ts [folder, docs/pictures when left out]
 */

import { mkdir } from "node:fs/promises";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import type { BrowserContextOptions } from "playwright-core";
import { launchChromium } from "../browser/support/chromium.ts";
import { commandOf } from "../support/runtimes.ts";
import { openPlayground, type PlaygroundPage, startPlayground } from "./playground.ts";

const folder = process.argv[2] ?? "docs/pictures";
const SCREEN = { width: 1280, height: 800 };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 1.5 };

const browser = await launchChromium();
if (browser === undefined) throw new Error("Cannot take pictures: Chromium is not installed");
await mkdir(folder, { recursive: true });
const playground = await startPlayground(commandOf("deno")!);

/** A page with answers to some questions, the last of which is asked again after a while. */
async function picture(
  name: string,
  options: BrowserContextOptions,
  look: (page: PlaygroundPage) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const playing = await openPlayground(browser!, playground.url, options);
  const { page, context, ask, ended } = playing;
  for (const prompt of ["A wise man", "And it came to pass", "The heart of the fool"]) {
    await ask({ prompt });
    await ended();
  }
  await sleep(5000);
  await ask({});
  await ended();
  await look(playing);
  await page.screenshot({ path: `${folder}/playground${name}.png` });
  await context.close();
}

try {
  await picture("", { viewport: SCREEN });
  await picture("-dark", { viewport: { ...SCREEN, height: 1090 }, colorScheme: "dark" });
  await picture("-probability", { viewport: SCREEN }, async ({ page, side }) => {
    await page.getByText("Probability").click();
    await side("base").locator(".piece").nth(7).click();
  });
  await picture("-phone", { ...PHONE, colorScheme: "dark" });
} finally {
  await playground.stop();
  await browser.close();
}
