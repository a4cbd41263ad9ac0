/**
 * A page's Markdown as HTML, with what the site has to know of it: its headings, its links, and its text for the search.
 *
 * @module
 */

import GithubSlugger from "github-slugger";
import markdownIt from "markdown-it";
import { escaped } from "./html.ts";
import type { Highlight } from "./highlight.ts";

/** A heading of a page. */
export interface Heading {
  /** 1 to 6. */
  readonly level: number;
  readonly text: string;
  /** With its code in code. */
  readonly html: string;
  /** As GitHub makes it. */
  readonly anchor: string;
}

/** What lies between two headings. */
export interface Section {
  readonly heading: Heading;
  readonly text: string;
}

/** A page, read. */
export interface Page {
  readonly html: string;
  readonly headings: readonly Heading[];
  readonly sections: readonly Section[];
}

/** Where a link or a picture of a page leads in the site; throws when it leads nowhere. */
export interface Roads {
  link(href: string): string;
  /** The title of the page that a link leads to; nothing where it leads to none. */
  title(href: string): string | undefined;
  /** A picture's file, and that of its dark twin if it has one. */
  picture(
    source: string,
  ): { readonly light: string; readonly dark: string | undefined; readonly size: Size | undefined };
}

/** In pixels. */
export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Code of so many characters is not broken over lines. */
const SHORT = 28;

type Token = ReturnType<ReturnType<typeof markdownIt>["parse"]>[number];

/** Reads a page. */
export function readMarkdown(source: string, highlight: Highlight, roads: Roads): Page {
  const markdown = markdownIt({ html: true, typographer: false });
  const tokens = markdown.parse(source, {});
  const slugger = new GithubSlugger();
  const headings: Heading[] = [];
  const sections: { heading: Heading; parts: string[] }[] = [];
  let pictures = 0;
  const rules = markdown.renderer.rules;
  const render = (children: Token[]): string => markdown.renderer.renderInline(children, markdown.options, {});

  rules.link_open = (list, index, options, _environment, self) => {
    const token = list[index]!;
    const href = String(token.attrGet("href"));
    token.attrSet("href", roads.link(href));
    if (/^https?:/.test(href)) token.attrSet("rel", "noreferrer");
    // Files have names in the repository; in the manual they are pages, which have titles.
    const text = list[index + 1];
    const title = roads.title(href);
    if (title !== undefined && text?.type === "text" && /^[\w/.-]+\.md$/.test(text.content)) text.content = title;
    return self.renderToken(list, index, options);
  };
  rules.image = (list, index) => {
    const token = list[index]!;
    const { light, dark, size } = roads.picture(String(token.attrGet("src")));
    const alt = escaped(token.content);
    const box = size === undefined ? "" : ` width="${size.width}" height="${size.height}"`;
    // The first is seen at once, or soon; of those that are not shown in these colours, none is fetched.
    const late = pictures++ > 0 || dark !== undefined ? ' loading="lazy"' : "";
    const picture = (file: string, kind: string): string =>
      `<img src="${escaped(file)}" alt="${alt}"${box}${kind}${late} decoding="async">`;
    return dark === undefined
      ? picture(light, "")
      : picture(light, ' class="in-light"') + picture(dark, ' class="in-dark"');
  };
  rules.code_inline = (list, index) => {
    const code = list[index]!.content;
    return `<code${code.length <= SHORT ? ' class="short"' : ""}>${escaped(code)}</code>`;
  };
  rules.text = (list, index) => {
    const { content } = list[index]!;
    // A figure and its spread stand one below the other, or a table of them is too wide.
    const [, median, spread] = list.length === 1 ? /^([\d.]+) \(([\d.]+ to [\d.]+)\)$/.exec(content) ?? [] : [];
    return median === undefined ? escaped(content) : `${median} <span class="spread">${spread}</span>`;
  };
  rules.fence = (list, index) => {
    const [, file] = /^<!-- file: (\S+) -->/.exec(list[index - 1]?.content ?? "") ?? [];
    return codeBlock(list[index]!, highlight, file);
  };
  // What the tests are told about a block (tests/docs) is not for readers.
  rules.html_block = (list, index) => /^\s*<!--/.test(list[index]!.content) ? "" : list[index]!.content;
  rules.table_open = () => '<div class="scroll" tabindex="0"><table>\n';
  rules.table_close = () => "</table></div>\n";

  for (const [index, token] of tokens.entries()) {
    if (token.type === "heading_open") {
      const inline = tokens[index + 1]!;
      const text = plainText(inline.children ?? []);
      const level = Number(token.tag.slice(1));
      const heading = { level, text, html: render(withoutLinks(inline.children ?? [])), anchor: slugger.slug(text) };
      token.attrSet("id", heading.anchor);
      headings.push(heading);
      sections.push({ heading, parts: [] });
    } else if (token.type === "inline" && tokens[index - 1]?.type !== "heading_open") {
      sections.at(-1)?.parts.push(plainText(token.children ?? []));
    } else if (token.type === "fence" || token.type === "code_block") {
      sections.at(-1)?.parts.push(token.content);
    }
  }
  let at = 0;
  rules.heading_close = (list, index) => {
    const { anchor, text, level } = headings[at++]!;
    const mark = level === 1
      ? ""
      : ` <a class="anchor" href="#${anchor}" aria-label="Link to “${escaped(text)}”">#</a>`;
    return `${mark}</${list[index]!.tag}>\n`;
  };
  return {
    html: markdown.renderer.render(tokens, markdown.options, {}),
    headings,
    sections: sections.map(({ heading, parts }) => ({ heading, text: parts.join(" ").replace(/\s+/g, " ").trim() })),
  };
}

/** A block; its caption is the file that the comment before names, or a first line that says nothing else. */
function codeBlock({ content, info }: Token, highlight: Highlight, file: string | undefined): string {
  const language = info.split(/\s/)[0] ?? "";
  const named = /^(?:\/\/|#) ([\w./-]+\.[a-z]+)\n/.exec(content);
  const code = named === null ? content : content.slice(named[0].length);
  const name = named?.[1] ?? file;
  const caption = name === undefined ? "" : `<figcaption>${escaped(name)}</figcaption>`;
  const kind = language === "" ? "" : ` data-language="${escaped(language)}"`;
  return `<figure class="code"${kind}>${caption}<pre tabindex="0"><code>${
    highlight(code.replace(/\n$/, ""), language)
  }</code></pre></figure>\n`;
}

function plainText(tokens: readonly Token[]): string {
  return tokens.map(({ type, content, children }) => {
    if (type === "image") return "";
    if (type === "softbreak" || type === "hardbreak") return " ";
    return children === null ? content : plainText(children);
  }).join("");
}

function withoutLinks(tokens: readonly Token[]): Token[] {
  return tokens.filter(({ type }) => type !== "link_open" && type !== "link_close");
}
