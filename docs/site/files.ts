/**
 * Files that a page links to and that are no pages: a program, a configuration, a folder. Each becomes a page of its
 * own, so that the manual is whole wherever it lies.
 *
 * @module
 */

import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { escaped } from "./html.ts";
import type { Highlight } from "./highlight.ts";

/** What ends how, is what language. */
const LANGUAGES: Readonly<Record<string, string>> = {
  ".ts": "ts",
  ".js": "js",
  ".json": "json",
  ".py": "py",
  ".sh": "sh",
  ".yaml": "yaml",
  ".yml": "yaml",
  ".toml": "toml",
  ".html": "html",
  ".conf": "nginx",
  ".service": "ini",
};

/** The most that is shown of a file; what is longer is only named. */
const MOST = 200_000;

/** A file's address in the site, from its path in the repository. */
export function addressOfFile(path: string): string {
  return `files/${path}.html`;
}

/** All files in a folder and below, and the folder; or the file itself. */
export function filesBelow(root: string, path: string): string[] {
  if (!statSync(join(root, path)).isDirectory()) return [path];
  const inside = readdirSync(join(root, path)).filter((name) => !name.startsWith(".") && name !== "node_modules");
  return [path, ...inside.sort().flatMap((name) => filesBelow(root, `${path}/${name}`))];
}

/** The content of such a page. */
export function showFile(root: string, path: string, highlight: Highlight, link: (path: string) => string): string {
  const title = `<h1><code>${escaped(path)}</code></h1>\n`;
  if (statSync(join(root, path)).isDirectory()) {
    const files = filesBelow(root, path).slice(1).filter((file) => !statSync(join(root, file)).isDirectory());
    const items = files.map((file) =>
      `<li><a href="${escaped(link(file))}"><code>${escaped(file.slice(path.length + 1))}</code></a></li>`
    );
    return `${title}<ul class="files">${items.join("\n")}</ul>`;
  }
  const bytes = readFileSync(join(root, path));
  if (bytes.length > MOST || bytes.includes(0)) {
    return `${title}<p>${bytes.length.toLocaleString("en")} bytes, to be found in the repository.</p>`;
  }
  const text = bytes.toString("utf8").replace(/\n$/, "");
  const language = basename(path) === "Containerfile" ? "dockerfile" : LANGUAGES[extname(path)] ?? "";
  return `${title}<figure class="code"><pre tabindex="0"><code>${highlight(text, language)}</code></pre></figure>`;
}
