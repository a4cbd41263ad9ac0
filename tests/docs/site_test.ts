/** The manual as a site: every page, every link, and what is refused. */

import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import { describe, it } from "node:test";
import { buildSite, SiteError } from "../../docs/site/build.ts";
import type { Place } from "../../docs/site/navigation.ts";
import { HERE } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { ROOT } from "./blocks.ts";

/** A repository of these files. */
async function repository(files: Record<string, string>): Promise<string> {
  const root = await temporaryFolder();
  for (const [path, content] of Object.entries({ "deno.json": '{ "version": "1.2.3" }', ...files })) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
  return root;
}

const place = (source: string): Place => ({ source, name: source, address: source.replace(/^docs\/|\.md$/g, "") });

async function built(files: Record<string, string>): Promise<(page: string) => string> {
  const root = await repository(files);
  const out = join(root, "out");
  const places = Object.keys(files).filter((path) => path.endsWith(".md")).map(place);
  await buildSite({ root, out, places });
  return (page) => readFileSync(join(out, page), "utf8");
}

async function problems(files: Record<string, string>, places: readonly string[]): Promise<readonly string[]> {
  const root = await repository(files);
  try {
    await buildSite({ root, out: join(root, "out"), places: places.map(place) });
  } catch (error) {
    if (error instanceof SiteError) return error.problems;
    throw error;
  }
  return [];
}

// The site is built by Deno, as its task says; esbuild and Shiki are the same everywhere.
describe("buildSite", { skip: HERE !== "deno" }, () => {
  it("makes a page of each Markdown file, with anchors as GitHub has them", async () => {
    const page = await built({ "docs/a.md": "# The title\n\nText.\n\n## What `get` does, and why\n\nMore.\n" });
    assert.match(page("a.html"), /<title>The title · warmcache<\/title>/);
    assert.match(page("a.html"), /<h2 id="what-get-does-and-why">/);
    assert.match(page("a.html"), /<meta name="description" content="Text\.">/);
  });

  it("leads links to pages, files and headings, from wherever they stand", async () => {
    const page = await built({
      "docs/a.md": "# A\n\n[b](deep/b.md#end), [here](#a), [docs/deep/b.md](deep/b.md), [code](../src/x.ts)\n",
      "docs/deep/b.md": "# B\n\n## End\n\n[a](../a.md)\n",
      "src/x.ts": "const a = 1;\n",
    });
    for (const href of ["deep/b.html#end", "#a", "files/src/x.ts.html"]) {
      assert.ok(page("a.html").includes(`href="${href}"`), href);
    }
    assert.ok(page("a.html").includes('<a href="deep/b.html">B</a>'), "a file's name becomes its page's title");
    assert.ok(page("deep/b.html").includes('href="../a.html"'));
    assert.ok(page("files/src/x.ts.html").includes('<span class="k">const</span>'));
  });

  it("colours code when it is built, and escapes it", async () => {
    const page = await built({
      "docs/a.md": '# A\n\n```ts\n// a.ts\nconst a: string = "<b>";\n```\n\n```text\n<i>\n```\n',
    });
    assert.match(page("a.html"), /<figcaption>a\.ts<\/figcaption>/);
    assert.match(page("a.html"), /<span class="s">[^<]*&lt;b&gt;/);
    assert.ok(page("a.html").includes("&lt;i&gt;"));
  });

  it("calls a block by the file that it is", async () => {
    const page = await built({ "docs/a.md": "# A\n\n<!-- file: a/b.html -->\n\n```html\n<p>x</p>\n```\n" });
    assert.match(page("a.html"), /<figcaption>a\/b\.html<\/figcaption>/);
  });

  it("shows nobody what is said to the tests", async () => {
    const page = await built({ "docs/a.md": "# A\n\n<!-- not run: it is slow -->\n\n```sh\nls\n```\n" });
    assert.ok(!page("a.html").includes("slow"));
  });

  it("shows the picture for the dark in the dark", async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 10"></svg>';
    const page = await built({ "docs/a.md": "# A\n\n![p](p.svg)\n", "docs/p.svg": svg, "docs/p-dark.svg": svg });
    assert.match(page("a.html"), /src="pictures\/p\.svg" alt="p" width="20" height="10" class="in-light"/);
    assert.match(page("a.html"), /src="pictures\/p-dark\.svg" alt="p" width="20" height="10" class="in-dark"/);
  });

  it("refuses links and anchors that lead nowhere, and says all of them", async () => {
    const files = {
      "docs/a.md": "# A\n\n[x](x.md) [y](#y) [z](../z.ts) [w](b.md#w) ![p](p.png)\n",
      "docs/b.md": "# B\n",
    };
    assert.deepEqual(await problems(files, ["docs/a.md", "docs/b.md"]), [
      "docs/a.md: x.md leads to no page of the manual, and to no file",
      "docs/a.md: ../z.ts leads to no page of the manual, and to no file",
      "docs/a.md: there is no picture p.png",
      "docs/a.md: docs/a.md has no heading #y",
      "docs/a.md: docs/b.md has no heading #w",
    ]);
  });

  it("refuses pages outside the navigation, and a navigation without its page", async () => {
    assert.deepEqual(await problems({ "docs/a.md": "# A\n", "docs/r/b.md": "# B\n" }, ["docs/a.md", "docs/c.md"]), [
      "docs/r/b.md is in no group of docs/site/navigation.ts",
      "docs/site/navigation.ts names docs/c.md, which is not there",
    ]);
  });

  it("refuses a page without a title, or with two, and plain http", async () => {
    assert.deepEqual(await problems({ "docs/a.md": "Text.\n" }, ["docs/a.md"]), ["docs/a.md has to have one title"]);
    const [two] = await problems({ "docs/a.md": "# A\n\n# B\n" }, ["docs/a.md"]);
    assert.equal(two, "docs/a.md has to have one title");
    const [http] = await problems({ "docs/a.md": "# A\n\n[x](http://example.com)\n" }, ["docs/a.md"]);
    assert.equal(http, "docs/a.md: http://example.com is not https");
  });
});

describe("the manual", { skip: HERE !== "deno" }, () => {
  it("is built whole, and no link in it is dead", async () => {
    const out = join(await temporaryFolder(), "site");
    const { pages } = await buildSite({ root: ROOT, out });
    assert.ok(pages >= 45, `${pages} pages`);
    for (const file of globSync("**/*.html", { cwd: out })) {
      const html = readFileSync(join(out, file), "utf8");
      for (const [, address = ""] of html.matchAll(/ (?:href|src)="([^"]*)"/g)) {
        if (/^https:|^http:\/\/127\.0\.0\.1|^#/.test(address)) continue;
        const path = posix.join(posix.dirname(file), address.replace(/#.*/, ""));
        assert.ok(existsSync(join(out, path)), `${file} links to ${address}`);
      }
    }
  });
});
