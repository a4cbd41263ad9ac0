/**
 * The manual as a site: static pages from the repository's Markdown, in an order to be read, with their search, that ask
 * nothing of anybody else and read the same from a server, a folder or a stick. Links are checked while it is built.
 *
 * @module
 */

import { copyFileSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { build as bundle, stop, transform } from "esbuild";
import { ICON } from "../../src/http/dashboard/assets.ts";
import { STYLE } from "../../src/http/dashboard/style.ts";
import { addressOfFile, filesBelow, showFile } from "./files.ts";
import { type Highlight, loadHighlight } from "./highlight.ts";
import { type Page, readMarkdown } from "./markdown.ts";
import { type Place, PLACES } from "./navigation.ts";
import { darkTwin, sizeOf } from "./pictures.ts";
import { indexScript } from "./search_index.ts";
import { framed } from "./template.ts";

/** What to build from what. */
export interface SiteOptions {
  /** The repository. */
  readonly root: string;
  /** The folder to be made anew. */
  readonly out: string;
  /** The pages, {@link PLACES} when left out. */
  readonly places?: readonly Place[];
}

/** What was built. */
export interface Site {
  /** Pages of the navigation. */
  readonly pages: number;
  /** Files of the repository that pages show. */
  readonly files: number;
}

/** A manual with dead links, or with pages that nobody finds, is not built. */
export class SiteError extends Error {
  override readonly name = "SiteError";
  /** One sentence for each thing that is wrong. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`The manual was not built:\n${problems.join("\n")}`);
    this.problems = problems;
  }
}

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** Builds the site; throws a {@link SiteError} with all that is wrong. */
export async function buildSite({ root, out, places = PLACES }: SiteOptions): Promise<Site> {
  const work = new Work(root, places, await loadHighlight());
  const pages = work.read();
  if (work.problems.length > 0) throw new SiteError(work.problems);
  const { version } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8")) as { version: string };
  rmSync(out, { recursive: true, force: true });
  for (const { place, page, file } of pages) {
    const html = await framed({ ...page, title: titleOf(page), description: aboutOf(page), place, file, version });
    write(out, file, html);
  }
  for (const path of work.files) {
    const link = (to: string): string => relative(addressOfFile(path), addressOfFile(to));
    const html = showFile(root, path, work.highlight, link);
    const about = { title: path, description: path, place: undefined, headings: [], version };
    write(out, addressOfFile(path), await framed({ ...about, html, file: addressOfFile(path) }));
  }
  for (const [picture, to] of work.pictures) {
    mkdirSync(dirname(join(out, to)), { recursive: true });
    copyFileSync(join(root, picture), join(out, to));
  }
  const searched = pages.map(({ page, file }) => ({ title: titleOf(page), file, sections: page.sections }));
  write(out, "search-index.js", indexScript(searched));
  write(out, "style.css", await style());
  write(out, "manual.js", await script());
  write(out, "icon.svg", ICON);
  await stop();
  return { pages: pages.length, files: work.files.size };
}

/** Reading all pages, and what is learnt on the way. */
class Work {
  readonly problems: string[] = [];
  /** Files that are linked to, by their path. */
  readonly files: Set<string> = new Set();
  /** Pictures that are shown, and where they go. */
  readonly pictures: Map<string, string> = new Map();
  readonly highlight: Highlight;
  readonly #root: string;
  readonly #places: ReadonlyMap<string, Place>;
  /** Links to headings, to be looked at when all pages are read. */
  readonly #anchors: { readonly from: string; readonly to: string; readonly anchor: string }[] = [];

  constructor(root: string, places: readonly Place[], highlight: Highlight) {
    this.#root = root;
    this.#places = new Map(places.map((place) => [place.source, place]));
    this.highlight = highlight;
  }

  read(): { readonly place: Place; readonly page: Page; readonly file: string }[] {
    const there = globSync("docs/**/*.md", { cwd: this.#root }).map((path) => path.replaceAll("\\", "/"));
    for (const path of there) {
      if (!this.#places.has(path)) this.problems.push(`${path} is in no group of docs/site/navigation.ts`);
    }
    const pages = [...this.#places.values()].flatMap((place) => {
      if (!existsSync(join(this.#root, place.source))) {
        this.problems.push(`docs/site/navigation.ts names ${place.source}, which is not there`);
        return [];
      }
      return [{ place, page: this.#readPage(place), file: `${place.address}.html` }];
    });
    const anchors = new Map(pages.map(({ place, page }) => [place.source, page.headings.map(({ anchor }) => anchor)]));
    for (const { from, to, anchor } of this.#anchors) {
      if (anchors.get(to)?.includes(anchor) === false) this.problems.push(`${from}: ${to} has no heading #${anchor}`);
    }
    return pages;
  }

  #readPage(place: Place): Page {
    const { source } = place;
    const file = `${place.address}.html`;
    const page = readMarkdown(readFileSync(join(this.#root, source), "utf8"), this.highlight, {
      link: (href) => this.#link(source, file, href),
      title: (href) => this.#title(source, href),
      picture: (picture) => {
        const path = posix.normalize(posix.join(posix.dirname(source), picture));
        if (/^https?:/.test(picture) || !existsSync(join(this.#root, path))) {
          this.problems.push(`${source}: there is no picture ${picture}`);
          return { light: picture, dark: undefined, size: undefined };
        }
        const twin = darkTwin(join(this.#root, path));
        const dark = twin === undefined ? undefined : posix.join(posix.dirname(path), basename(twin));
        const take = (taken: string): string => {
          const to = `pictures/${basename(taken)}`;
          this.pictures.set(taken, to);
          return relative(file, to);
        };
        return {
          light: take(path),
          dark: dark === undefined ? undefined : take(dark),
          size: sizeOf(join(this.#root, path)),
        };
      },
    });
    if (page.headings.filter(({ level }) => level === 1).length !== 1) {
      this.problems.push(`${source} has to have one title`);
    }
    return page;
  }

  #title(source: string, href: string): string | undefined {
    const [path = ""] = href.split("#");
    const place = this.#places.get(targetOf(source, path));
    if (place === undefined) return undefined;
    return /^# (.*)/m.exec(readFileSync(join(this.#root, place.source), "utf8"))?.[1];
  }

  #link(source: string, file: string, href: string): string {
    if (/^[a-z]+:/.test(href)) {
      if (!/^https:|^http:\/\/127\.0\.0\.1/.test(href)) this.problems.push(`${source}: ${href} is not https`);
      return href;
    }
    const [path = "", anchor] = href.split("#");
    const to = targetOf(source, path);
    if (anchor !== undefined) this.#anchors.push({ from: source, to, anchor });
    const place = this.#places.get(to);
    const hash = anchor === undefined ? "" : `#${anchor}`;
    if (place !== undefined) return path === "" ? hash : `${relative(file, `${place.address}.html`)}${hash}`;
    if (to.endsWith(".md") || to.startsWith("..") || !existsSync(join(this.#root, to))) {
      this.problems.push(`${source}: ${href} leads to no page of the manual, and to no file`);
      return href;
    }
    for (const each of filesBelow(this.#root, to)) this.files.add(each);
    return relative(file, addressOfFile(to));
  }
}

/** The file that a relative link of a file leads to. */
function targetOf(source: string, path: string): string {
  return path === "" ? source : posix.normalize(posix.join(posix.dirname(source), path)).replace(/\/$/, "");
}

function titleOf({ headings }: Page): string {
  return headings[0]?.text ?? "";
}

/** The beginning of its first paragraph. */
function aboutOf({ sections }: Page): string {
  const [first = ""] = /^.{0,200}(?=\s|$)/.exec(sections[0]?.text ?? "") ?? [];
  return first;
}

function relative(from: string, to: string): string {
  return posix.relative(posix.dirname(from), to);
}

function write(out: string, file: string, content: string): void {
  mkdirSync(dirname(join(out, file)), { recursive: true });
  writeFileSync(join(out, file), content);
}

/** The colours are the dashboard's. */
async function style(): Promise<string> {
  const [palette] = /^:root \{[^]*?^\}/m.exec(STYLE) ?? [];
  if (palette === undefined) throw new Error("Cannot take the colours of src/http/dashboard/style.ts: no :root in it");
  const own = readFileSync(join(HERE, "style.css"), "utf8");
  const { code } = await transform(`${palette}\n${own}`, { loader: "css", minify: true, target: "es2024" });
  return code;
}

async function script(): Promise<string> {
  const { outputFiles } = await bundle({
    entryPoints: [join(HERE, "client/client.ts")],
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    target: "es2022",
  });
  return outputFiles[0]!.text;
}
