/// <reference lib="dom" />
/** The playground as its readers have it: served by its one command, and used in a browser. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { BrowserContext, BrowserContextOptions, Locator, Page } from "playwright-core";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("../../examples/playground/serve.ts", import.meta.url));

/** The program, which listens. */
export interface Playground {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts it as its readers do, on a port of its own. */
export async function startPlayground(
  [executable, ...args]: readonly [string, ...string[]],
  flags: readonly string[] = [],
): Promise<Playground> {
  const child = spawn(executable, [...args, PROGRAM, "--port", "0", ...flags], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const said = createInterface({ input: child.stdout! });
  for await (const line of said) {
    const url = /http:\S+/.exec(line)?.[0];
    if (url !== undefined) return { url, stop: () => end(child) };
  }
  throw new Error("the playground ended before it listened");
}

async function end(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

/** A page, what it complained of, and what it asked for. */
export interface PlaygroundPage {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Errors and warnings on its console, and whom it asked but the playground. */
  readonly complaints: string[];
  /** The paths it asked for, its Workers' too. */
  readonly asked: string[];
  /** Fills the form and asks. */
  ask(fields: Fields): Promise<void>;
  /** Waits until all answers have ended; their states. */
  ended(): Promise<string[]>;
  /** One side of one sample. */
  side(name: "base" | "adapter", sample?: number): Locator;
  /** What a side generated. */
  textOf(name: "base" | "adapter", sample?: number): Promise<string>;
  /** What is said of a side: `Hit`, `Generated`, … */
  verdictOf(name: "base" | "adapter", sample?: number): Promise<string>;
}

/** What is filled in. */
export interface Fields {
  readonly prompt?: string;
  readonly temperature?: number;
  readonly tokens?: number;
  readonly seed?: number;
  readonly samples?: number;
}

/** Opens it in a window of its own, which shares nothing with others; waits until it can be used. */
export async function openPlayground(
  browser: { newContext(options: BrowserContextOptions): Promise<BrowserContext> },
  url: string,
  options: BrowserContextOptions = {},
): Promise<PlaygroundPage> {
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  const asked: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  context.on("request", (request) => {
    const { origin, pathname } = new URL(request.url());
    if (origin === new URL(url).origin) asked.push(pathname);
    else complaints.push(`asked ${request.url()}`);
  });
  await page.goto(url);
  await page.locator("html[data-ready]").waitFor();
  const side = (name: string, sample = 0): Locator => page.locator(`.pair:nth-child(${sample + 1}) .side.is-${name}`);
  return {
    page,
    context,
    complaints,
    asked,
    async ask(fields) {
      for (const [name, value] of Object.entries(fields)) await page.locator(`#${name}`).fill(String(value));
      await page.getByRole("button", { name: "Ask both" }).click();
    },
    async ended() {
      await page.locator("#ask").waitFor();
      await page.locator('.side:not([data-state="done"], [data-state="stopped"], [data-state="failed"])').first()
        .waitFor({ state: "detached" });
      return await page.locator(".side").evaluateAll((sides) => sides.map((each) => each.getAttribute("data-state")!));
    },
    side,
    textOf: async (name, sample) => (await side(name, sample).locator(".piece").allTextContents()).join(""),
    verdictOf: (name, sample) => side(name, sample).locator(".verdict").innerText(),
  };
}
