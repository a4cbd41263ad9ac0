/**
 * Takes the pictures of docs/cli.md: real commands on a cache that has seen a month of work, on terminals of 80 and 200
 * columns, in a real Chromium. It takes pngquant, and fonts with Chinese, Japanese and emoji.
 *
 * deno run -A tests/cli/take_pictures.ts [folder, docs/pictures when left out]
 */

import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { widthOf } from "../../src/cli/text_width.ts";
import { launchChromium } from "../browser/support/chromium.ts";
import { fillCache, question } from "./busy_cache.ts";
import { run } from "./cache_support.ts";

const folder = process.argv[2] ?? "docs/pictures";

/** What ECMA-48's graphic renditions look like here. */
const STYLES: Readonly<Record<string, string>> = {
  "0": "",
  "1": "font-weight: 700; color: #f2f4f8",
  "2": "color: #8a93a3",
  "31": "color: #ff8a80",
  "32": "color: #86d99b",
  "33": "color: #f2c86b",
  "34": "color: #82b1ff",
  "36": "color: #74cfe0",
};

const segmenter = new Intl.Segmenter();

/** A terminal's text as HTML: each sign in as many columns as it takes. */
function htmlOf(text: string): string {
  let style = "";
  // deno-lint-ignore no-control-regex -- what is painted with
  return text.split(/(\x1b\[\d+m)/).map((part) => {
    // deno-lint-ignore no-control-regex -- the same
    const code = /^\x1b\[(\d+)m$/.exec(part)?.[1];
    if (code === undefined) return `<span style="${style}">${signsOf(part)}</span>`;
    style = STYLES[code] ?? "";
    return "";
  }).join("");
}

function signsOf(text: string): string {
  return [...segmenter.segment(text)].map(({ segment }) => {
    const sign = segment.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
    // ASCII and bars have the font's own width.
    return /^[\n -~▁-█]$/.test(segment) ? sign : `<i style="width: ${widthOf(segment)}ch">${sign}</i>`;
  }).join("");
}

/** What somebody sees who types these commands. */
async function session(cache: string, columns: number): Promise<string> {
  const asked = JSON.stringify(question("gpt-4o-mini", 3)).replace("careful", "careless");
  const commands: readonly (readonly [typed: string, args: readonly string[]])[] = [
    ["warmcache stats", ["stats"]],
    ["warmcache ls --since 2d --limit 12", ["ls", "--since", "2d", "--limit", "12"]],
    ["warmcache explain request.json --nearest 1", ["explain", "--nearest", "1"]],
    ["warmcache verify", ["verify"]],
  ];
  let seen = "";
  for (const [typed, args] of commands) {
    const around = { columns, input: asked, variables: { TERM: "xterm" } };
    const { output, errors } = await run([...args, "--cache", cache], around);
    seen += `\x1b[2m$\x1b[0m ${typed}\n${errors}${output.replaceAll(cache, "~/evals/.warmcache")}\n`;
  }
  return seen.trimEnd();
}

const browser = await launchChromium();
if (browser === undefined) throw new Error("Cannot take pictures: Chromium is not installed");
const work = await mkdtemp(join(tmpdir(), "warmcache-"));
try {
  await mkdir(folder, { recursive: true });
  const cache = join(work, "cache");
  await fillCache(cache, 4);
  const page = await browser.newPage({ deviceScaleFactor: 1.5 });
  for (const columns of [80, 200]) {
    const html = htmlOf(await session(cache, columns));
    await page.setContent(`<style>
      body { margin: 0; background: #fff; }
      pre { display: inline-block; width: ${columns}ch; margin: 0; padding: 18px 22px; background: #14181f; color: #d6dbe4;
        font: 13px/1.4 "JetBrains Mono", "DejaVu Sans Mono", monospace; font-variant-ligatures: none; }
      i { display: inline-block; font-style: normal; overflow: visible; }
    </style><pre>${html}</pre>`);
    const path = join(folder, `cli-${columns}.png`);
    await page.locator("pre").screenshot({ path });
    // As few colours as there are take a third of the bytes.
    execFileSync("pngquant", ["--force", "--output", path, "64", path]);
  }
} finally {
  await browser.close();
  await rm(work, { recursive: true });
}
