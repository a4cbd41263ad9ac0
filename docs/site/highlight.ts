/**
 * Code in colours, when the site is built: what a word is, becomes a class of one letter, and the style sheet says what
 * it looks like in light and dark. Nothing is left for the browser to do.
 *
 * @module
 */

import { createCssVariablesTheme, createHighlighter, type Highlighter } from "shiki";
import { escaped } from "./html.ts";

/** The languages that the manual's blocks are in, by the names that Markdown gives them. */
const LANGUAGES: Readonly<Record<string, string>> = {
  ts: "typescript",
  js: "javascript",
  json: "json",
  sh: "shellscript",
  python: "python",
  py: "python",
  yaml: "yaml",
  html: "html",
  toml: "toml",
  nginx: "nginx",
  dockerfile: "docker",
  ini: "ini",
};

/** What Shiki tells apart, and its class. What is not here has the colour of plain text. */
const CLASSES: Readonly<Record<string, string>> = {
  "token-keyword": "k",
  "token-string": "s",
  "token-string-expression": "s",
  "token-comment": "c",
  "token-constant": "n",
  "token-function": "f",
  "token-link": "s",
};

/** Colours code. */
export type Highlight = (code: string, language: string) => string;

/** Loads the languages' grammars; whoever does may use them for as long as the process lives. */
export async function loadHighlight(): Promise<Highlight> {
  const theme = createCssVariablesTheme({ name: "classes", variablePrefix: "--", fontStyle: false });
  const highlighter = await createHighlighter({ themes: [theme], langs: [...new Set(Object.values(LANGUAGES))] });
  return (code, language) => highlighted(highlighter, code, language);
}

function highlighted(highlighter: Highlighter, code: string, language: string): string {
  const lang = LANGUAGES[language];
  if (lang === undefined) return escaped(code);
  const { tokens } = highlighter.codeToTokens(
    code,
    { lang, theme: "classes" } as Parameters<
      Highlighter["codeToTokens"]
    >[1],
  );
  return tokens.map((line) => line.map(({ content, color }) => spanned(content, color)).join("")).join("\n");
}

function spanned(content: string, colour: string | undefined): string {
  const kind = CLASSES[/^var\(--(.*)\)$/.exec(colour ?? "")?.[1] ?? ""];
  // Grammars count the names of objects among the constants, too: that is most of a program.
  if (kind === "n" && !/^\s*(-?[\d.]|true|false|null|undefined)/.test(content)) return escaped(content);
  return kind === undefined ? escaped(content) : `<span class="${kind}">${escaped(content)}</span>`;
}
