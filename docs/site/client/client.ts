/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/**
 * What a page of the manual does in a browser, beside being read: search, copy, colours, and telling where one is. All of
 * it may be missing; the pages read without.
 *
 * @module
 */

import MiniSearch, { type SearchResult } from "minisearch";
import { type Finding, SEARCH_OPTIONS } from "./search_options.ts";

declare global {
  var manualIndex: string | undefined;
}

type Found = SearchResult & Finding;

/** The most that is shown. */
const MOST = 12;
/** How many characters of a text stand before the word that was looked for. */
const BEFORE = 40;

const root = document.documentElement;
const base = root.dataset["base"] ?? "";

const one = <T extends Element>(selector: string): T | null => document.querySelector<T>(selector);

colours();
search();
copying();
whereOneIs();

/** Light, dark, or as the system has it; kept in this browser. */
function colours(): void {
  const choice = one<HTMLSelectElement>("#theme");
  if (choice === null) return;
  choice.value = root.dataset["theme"] ?? "auto";
  choice.closest<HTMLElement>(".theme")!.hidden = false;
  choice.addEventListener("change", () => {
    const { value } = choice;
    if (value === "auto") delete root.dataset["theme"];
    else root.dataset["theme"] = value;
    try {
      localStorage.setItem("theme", value);
    } catch {
      // A browser that keeps nothing has it for this page.
    }
  });
}

function search(): void {
  const dialog = one<HTMLDialogElement>("#search");
  const field = one<HTMLInputElement>("#search input");
  const list = one<HTMLUListElement>("#search ul");
  const status = one<HTMLElement>("#search [role=status]");
  if (!dialog || !field || !list || !status) return;
  let index: Promise<MiniSearch<Finding>> | undefined;
  let marked = 0;

  const mark = (at: number): void => {
    const items = list.querySelectorAll<HTMLAnchorElement>("a");
    marked = items.length === 0 ? 0 : (at + items.length) % items.length;
    for (const [place, item] of items.entries()) item.setAttribute("aria-selected", String(place === marked));
    items[marked]?.scrollIntoView({ block: "nearest" });
    const item = items[marked];
    if (item) field.setAttribute("aria-activedescendant", item.id);
    else field.removeAttribute("aria-activedescendant");
  };
  const show = async (): Promise<void> => {
    const query = field.value.trim();
    const found = query === "" ? [] : (await (index ??= loadIndex())).search(query) as Found[];
    if (query !== field.value.trim()) return;
    list.replaceChildren(...found.slice(0, MOST).map(item));
    status.textContent = query === "" ? "" : found.length === 0 ? `Nothing about “${query}”.` : "";
    mark(0);
  };
  const open = (): void => {
    if (dialog.open) return;
    dialog.showModal();
    field.select();
    index ??= loadIndex();
    void show();
  };

  for (const button of document.querySelectorAll<HTMLElement>("[data-search]")) {
    button.hidden = false;
    button.addEventListener("click", open);
  }
  document.addEventListener("keydown", (event) => {
    const typing = (event.target as Element).closest("input, textarea, select") !== null;
    if ((event.key === "/" && !typing) || (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey))) {
      event.preventDefault();
      open();
    }
  });
  field.addEventListener("input", () => void show());
  field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") mark(marked + 1);
    else if (event.key === "ArrowUp") mark(marked - 1);
    else if (event.key === "Enter") list.querySelectorAll<HTMLAnchorElement>("a")[marked]?.click();
    // A field of searches would empty itself first.
    else if (event.key === "Escape") dialog.close();
    else return;
    event.preventDefault();
  });
  // A click beside the sheet, or on a finding of this very page.
  dialog.addEventListener("click", (event) => {
    const target = event.target as Element;
    if (target === dialog || target.closest("a, [data-close]") !== null) dialog.close();
  });
}

async function loadIndex(): Promise<MiniSearch<Finding>> {
  if (globalThis.manualIndex === undefined) {
    const script = document.createElement("script");
    script.src = `${base}search-index.js`;
    await new Promise((resolve, reject) => {
      script.onload = resolve;
      script.onerror = reject;
      document.head.append(script);
    });
  }
  return MiniSearch.loadJSON(globalThis.manualIndex!, SEARCH_OPTIONS);
}

function item({ page, heading, href, excerpt, terms }: Found, at: number): HTMLLIElement {
  const link = document.createElement("a");
  link.href = `${base}${href}`;
  link.id = `found-${at}`;
  link.role = "option";
  const place = document.createElement("span");
  place.className = "page";
  place.textContent = page;
  const title = document.createElement("strong");
  title.append(...marking(heading, terms));
  const text = document.createElement("span");
  text.className = "excerpt";
  text.append(...marking(around(excerpt, terms), terms));
  link.append(title, ...(heading === page ? [] : [place]), text);
  const element = document.createElement("li");
  element.role = "presentation";
  element.append(link);
  return element;
}

const wordsOf = (terms: readonly string[]): RegExp =>
  new RegExp(`(${terms.map((term) => term.replace(/\W/g, "\\$&")).join("|")})`, "i");

/** The part of a text in which the first of the words is. */
function around(text: string, terms: readonly string[]): string {
  const at = text.search(wordsOf(terms));
  return at <= BEFORE ? text : `…${text.slice(at - BEFORE)}`;
}

function marking(text: string, terms: readonly string[]): (Node | string)[] {
  return text.split(wordsOf(terms)).map((part, index) => {
    if (index % 2 === 0) return part;
    const mark = document.createElement("mark");
    mark.textContent = part;
    return mark;
  });
}

/** A button on every block of code. */
function copying(): void {
  if (navigator.clipboard === undefined) return;
  for (const block of document.querySelectorAll<HTMLElement>("figure.code")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(block.querySelector("code")!.textContent ?? "");
      button.textContent = "Copied";
      setTimeout(() => button.textContent = "Copy", 1500);
    });
    block.append(button);
  }
}

/** Marks in the table of contents what is being read, and shows the page's place in the navigation. */
function whereOneIs(): void {
  const side = one<HTMLElement>("#manual");
  const current = side?.querySelector<HTMLElement>("[aria-current]");
  if (side && current) side.scrollTop = current.offsetTop - side.clientHeight / 2;
  const links = new Map(
    [...document.querySelectorAll<HTMLAnchorElement>("aside.toc a")].map((link) => [link.hash.slice(1), link]),
  );
  const headings = [...document.querySelectorAll<HTMLElement>("article :is(h2, h3)[id]")].filter(({ id }) =>
    links.has(id)
  );
  if (headings.length === 0) return;
  let waiting = false;
  const tell = (): void => {
    waiting = false;
    const end = scrollY + innerHeight >= document.body.scrollHeight - 2;
    const passed = headings.filter((heading) => heading.getBoundingClientRect().top < 120);
    const here = end ? headings.at(-1) : passed.at(-1);
    for (const [id, link] of links) {
      if (id === here?.id) link.setAttribute("aria-current", "location");
      else link.removeAttribute("aria-current");
    }
  };
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(tell);
  }, { passive: true });
  tell();
}
