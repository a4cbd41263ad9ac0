/**
 * The blocks of code in the manual, and what is said of them in the comment before: a reader does not see it, a test does.
 *
 * | comment                      | the block                                                                         |
 * | ---------------------------- | --------------------------------------------------------------------------------- |
 * | none                         | is run as it stands                                                               |
 * | `given: CODE`                | is run after this, which readers can do without                                   |
 * | `server`                     | starts a server, which the rest of the page talks to                              |
 * | `fails: STATUS`              | is run, and ends with this status                                                 |
 * | `printed`                    | is what the block before prints; `…` stands for anything                          |
 * | `file: NAME`                 | is a file that the page's blocks find                                             |
 * | `run by tests/…`             | is run by that test                                                               |
 * | `not run: REASON`            | is not run, since …                                                               |
 *
 * A block of TypeScript or Python that begins with a comment of nothing but a file's name is that file, which is run by
 * the block that names it, or else by itself when the page has ended. A comment `keep: NAME`, with a file's text below, is
 * a file that readers can do without.
 */

import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The repository. */
export const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));

/** What is to be done with a block. */
export type Mark =
  | { readonly kind: "run"; readonly given: string; readonly status: number }
  | { readonly kind: "server" }
  | { readonly kind: "printed" }
  | { readonly kind: "file"; readonly name: string }
  | { readonly kind: "run by"; readonly test: string }
  | { readonly kind: "not run"; readonly reason: string };

/** A block of code. */
export interface Block {
  /** The page, from the repository's root. */
  readonly page: string;
  /** Of its first fence. */
  readonly line: number;
  /** What stands behind the fence. */
  readonly language: string;
  readonly code: string;
  /** `undefined` where nothing says and nothing has to. */
  readonly mark: Mark | undefined;
}

/** A file that a page's examples want and its readers do not. */
export interface Kept {
  readonly name: string;
  readonly content: string;
}

/** The languages in which a block is a program. */
const PROGRAMS: ReadonlySet<string> = new Set(["ts", "sh", "python"]);

/** All pages that have examples. */
export function pages(): string[] {
  return ["README.md", ...globSync("docs/**/*.md", { cwd: ROOT }).map((path) => path.replaceAll("\\", "/")).sort()];
}

/** A page's blocks, in order. */
export function blocksOf(page: string, text: string = readFileSync(`${ROOT}${page}`, "utf8")): Block[] {
  const fences = /(?:^<!--((?:(?!-->)[^])*)-->\n+)?^( *)```([^\n`]*)\n([^]*?)^\2```$/gm;
  return [...text.matchAll(fences)].map((match) => {
    const [whole, comment, indent = "", info = "", body = ""] = match;
    const before = text.slice(0, match.index + whole.indexOf("```"));
    const line = before.split("\n").length;
    const language = info.trim();
    const code = indent === "" ? body : body.replaceAll(new RegExp(`^${indent}`, "gm"), "");
    const place = `${page}:${line}`;
    return { page, line, language, code, mark: markOf(comment, language, code, place) };
  });
}

/** A page's hidden files. */
export function keptBy(page: string, text: string = readFileSync(`${ROOT}${page}`, "utf8")): Kept[] {
  const comments = text.matchAll(/^<!-- keep: (\S+)\n([^]*?)-->$/gm);
  return [...comments].map(([, name = "", content = ""]) => ({ name, content }));
}

function markOf(comment: string | undefined, language: string, code: string, place: string): Mark | undefined {
  const mark = comment === undefined ? undefined : said(comment.trim(), place);
  if (mark !== undefined) return mark;
  if (!PROGRAMS.has(language)) return undefined;
  const [, name] = /^(?:\/\/|#) ([\w./-]+\.(?:ts|py))\n/.exec(code) ?? [];
  return name === undefined ? { kind: "run", given: "", status: 0 } : { kind: "file", name };
}

/** Comments that begin otherwise are not for the tests. */
function said(comment: string, place: string): Mark | undefined {
  const [, word, rest = ""] = /^(given|server|fails|printed|file|run by|not run)\b:?\s*([^]*)$/.exec(comment) ?? [];
  const needed = (): string => {
    if (rest === "") throw new Error(`${place}: "${word}" has to say more`);
    return rest;
  };
  switch (word) {
    case "given":
      return { kind: "run", given: `${needed()}\n`, status: 0 };
    case "fails":
      return { kind: "run", given: "", status: Number(needed()) };
    case "server":
      return { kind: "server" };
    case "printed":
      return { kind: "printed" };
    case "file":
      return { kind: "file", name: needed() };
    case "run by":
      return { kind: "run by", test: needed() };
    case "not run":
      return { kind: "not run", reason: needed() };
    default:
      return undefined;
  }
}
