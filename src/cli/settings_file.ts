/**
 * The settings file: JSON, in which comments and commas at the end are allowed. What is wrong with it is told with its
 * place, all at once, and never with a secret.
 *
 * @module
 */

import { findNodeAtLocation, type Node, type ParseError, parseTree, printParseErrorCode } from "jsonc-parser";
import { nearestName } from "../probe/nearest_name.ts";
import { messageOf } from "../runtime/message.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { excerpt, namesIn, placeOf, type Span } from "./settings_excerpt.ts";
import { type Problem, received, type Refusal, refusalsOf } from "./settings_problem.ts";
import { type JsonSchema, schemasAt, settingsSchema } from "./settings_schema.ts";
import { type SettingName, SETTINGS } from "./settings_table.ts";

/** What a settings file says. */
export interface SettingsFile {
  readonly values: ReadonlyMap<SettingName, FileValue>;
  readonly problems: readonly Problem[];
}

/** One setting of a file. */
export interface FileValue {
  readonly value: unknown;
  /** `warmcache.json:3:11`. */
  readonly where: string;
}

/** What the parser finds, in words. It has the names of its own codes only. */
const SYNTAX: Readonly<Record<string, string>> = {
  InvalidSymbol: "this is no JSON; text needs double quotes",
  InvalidNumberFormat: "this is no number of JSON",
  PropertyNameExpected: "expected a name in double quotes",
  ValueExpected: "expected a value",
  ColonExpected: "expected a colon",
  CommaExpected: "expected a comma",
  CloseBraceExpected: "expected }",
  CloseBracketExpected: "expected ]",
  EndOfFileExpected: "expected nothing more",
  InvalidCommentToken: "this is no comment",
  UnexpectedEndOfComment: "the comment does not end",
  UnexpectedEndOfString: "the text does not end",
  UnexpectedEndOfNumber: "the number does not end",
  InvalidUnicode: "the escape needs four hexadecimal digits",
  InvalidEscapeCharacter: "JSON does not know this escape",
  InvalidCharacter: "the character has to be escaped",
};

/** Permission bits that let others than the owner read or write. */
const OTHERS = 0o077;

/** Reads a settings file. */
export async function readSettingsFile(
  { files, environment }: Pick<Runtime, "files" | "environment">,
  path: string,
): Promise<SettingsFile> {
  let text: string;
  let mode: number;
  try {
    const bytes = await files.read(path);
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    mode = (await files.stat(path))?.mode ?? 0;
  } catch (error) {
    const reason = error instanceof TypeError ? "it is not UTF-8" : messageOf(error);
    return { values: new Map(), problems: [{ level: "error", where: path, message: reason }] };
  }
  // What the service manager hands over is for the service alone, though its access list reads as if for a group.
  // https://systemd.io/CREDENTIALS/
  const credentials = environment("CREDENTIALS_DIRECTORY");
  const isGuarded = (mode & OTHERS) === 0 || (credentials !== undefined && path.startsWith(`${credentials}/`));
  return readSettings(text, path, { isGuarded });
}

/**
 * Understands the text of a settings file.
 *
 * @param path what the file is called in messages.
 */
export function readSettings(
  text: string,
  path: string,
  { isGuarded = true }: { readonly isGuarded?: boolean } = {},
): SettingsFile {
  const problems = (...all: Problem[]): SettingsFile => ({ values: new Map(), problems: all });
  if (text.trim() === "") {
    return problems({ level: "error", where: path, message: "the file is empty; {} says nothing" });
  }
  const errors: ParseError[] = [];
  const root = parseTree(text, errors, { allowTrailingComma: true });
  if (errors.length > 0 || root === undefined) return problems(...syntaxProblems(text, path, errors));
  return new Reading(text, path, root).read(isGuarded);
}

function syntaxProblems(text: string, path: string, errors: readonly ParseError[]): Problem[] {
  const names = namesIn(text);
  const ending = text.trimEnd().length;
  const lines = new Set<number>();
  return errors.flatMap(({ error, offset, length }) => {
    const span = { offset: Math.min(offset, ending), length };
    const { line, column } = placeOf(text, span.offset);
    // One slip lets the parser stumble several times.
    if (lines.has(line)) return [];
    lines.add(line);
    return [{
      level: "error",
      where: `${path}:${line}:${column}`,
      message: SYNTAX[printParseErrorCode(error)] ?? "this is no JSON",
      excerpt: excerpt(text, span, (at) => names.has(at)),
    }];
  });
}

class Reading {
  readonly #text: string;
  readonly #path: string;
  readonly #root: Node;
  readonly #schema: JsonSchema = settingsSchema();
  /** Problems by where they are. */
  readonly #problems: { readonly offset: number; readonly problem: Problem }[] = [];
  /** Offsets of names and values that may be shown. */
  readonly #shown = new Set<number>();
  /** The first secret in it. */
  #secret: Node | undefined;

  constructor(text: string, path: string, root: Node) {
    this.#text = text;
    this.#path = path;
    this.#root = root;
  }

  read(isGuarded: boolean): SettingsFile {
    if (this.#root.type !== "object") this.#refuse(this.#root, 'expected an object such as { "port": 8787 }');
    this.#markShown(this.#root, []);
    this.#checkNames(this.#root, []);
    const values = new Map<SettingName, FileValue>();
    for (const { name, kind, inFile } of SETTINGS) {
      const path = name.split(".");
      const node = inFile && this.#root.type === "object" ? findNodeAtLocation(this.#root, path) : undefined;
      if (node === undefined) continue;
      const value = valueOf(node);
      values.set(name, { value, where: this.#where(node) });
      const { error } = kind.safeParse(value);
      for (const refusal of refusalsOf(error?.issues ?? [])) this.#tell(path, refusal);
    }
    this.#checkType("$schema", "string", "expected text");
    for (const name of new Set(SETTINGS.flatMap(({ name }) => name.includes(".") ? [name.split(".")[0]!] : []))) {
      this.#checkType(name, "object", "expected an object");
    }
    if (!isGuarded && this.#secret !== undefined) {
      const message = `there is a secret in it, and others than its owner may read it: chmod 600 ${this.#path}`;
      const where = this.#where(this.#secret);
      this.#problems.push({ offset: this.#secret.offset, problem: { level: "warning", where, message } });
    }
    const inOrder = this.#problems.toSorted((one, other) => one.offset - other.offset);
    return { values, problems: inOrder.map(({ problem }) => problem) };
  }

  /** Checks what is no setting itself. */
  #checkType(name: string, type: Node["type"], expected: string): void {
    const node = this.#root.type === "object" ? findNodeAtLocation(this.#root, [name]) : undefined;
    if (node !== undefined && node.type !== type) this.#refuse(node, `${name}: ${expected}`);
  }

  /** Finds out what may be shown: what the schema knows, and knows to be no secret. */
  #markShown(node: Node, path: readonly PropertyKey[]): void {
    const forms = schemasAt(this.#schema, path);
    if (node.type === "object" || node.type === "array") {
      const mayHaveNames = forms.some(({ type }) => type === "object");
      for (const [index, child] of (node.children ?? []).entries()) {
        const name = child.type === "property" ? child.children![0]! : undefined;
        if (name !== undefined && mayHaveNames) this.#shown.add(name.offset);
        const inner = name === undefined ? child : child.children![1];
        if (inner !== undefined) this.#markShown(inner, [...path, name === undefined ? index : name.value]);
      }
      return;
    }
    const isSecret = forms.some(({ writeOnly }) => writeOnly === true);
    if (isSecret) this.#secret ??= node;
    const mayBeScalar = forms.some(({ type }) => type !== "object" && type !== "array");
    // A credential in a URL stands before an @, or in its query.
    const isUrlWithMore = typeof node.value === "string" && /:\/\/[^/]*@|[?#]/.test(node.value);
    if (!isSecret && mayBeScalar && !isUrlWithMore) this.#shown.add(node.offset);
  }

  #checkNames(node: Node, path: readonly PropertyKey[]): void {
    const forms = schemasAt(this.#schema, path).filter(({ type }) => type === "object");
    const seen = new Set<string>();
    for (const [index, child] of (node.children ?? []).entries()) {
      if (child.type !== "property") {
        this.#checkNames(child, [...path, index]);
        continue;
      }
      const [nameNode, value] = child.children!;
      const name: string = nameNode!.value;
      const known = forms.flatMap(({ properties }) => Object.keys(properties ?? {}));
      const isOpen = forms.length === 0 || forms.some(({ additionalProperties }) => additionalProperties !== false);
      const title = [...path, name].map(String).join(".");
      if (seen.has(name)) {
        this.#refuse(nameNode!, `${title}: it is set twice`);
      } else if (name === "__proto__" || (!isOpen && !known.includes(name))) {
        const near = nearestName(name, known);
        const hint = near === undefined ? `known: ${known.join(", ")}` : `did you mean ${JSON.stringify(near)}?`;
        this.#refuse(nameNode!, `unknown setting ${received(title)}; ${hint}`);
        continue;
      }
      seen.add(name);
      if (value !== undefined) this.#checkNames(value, [...path, name]);
    }
  }

  #tell(above: readonly string[], { path: inner, message, isName }: Refusal): void {
    const path = [...above, ...inner].map((step) => typeof step === "number" ? step : String(step));
    const title = path.join(".");
    let node = findNodeAtLocation(this.#root, path);
    if (node === undefined) {
      let whole = path;
      while (node === undefined) node = findNodeAtLocation(this.#root, whole = whole.slice(0, -1));
      return this.#refuse(node, `${title}: it is missing: ${message}`);
    }
    if (isName) return this.#refuse(node.parent!.children![0]!, `${title}: ${message}`);
    const value = this.#shown.has(node.offset) ? `: ${received(node.value)}` : "";
    this.#refuse(node, `${title}: ${message}${value}`);
  }

  #refuse(node: Node, message: string): void {
    // Of what spans lines, where it begins is enough.
    const span: Span = { offset: node.offset, length: node.children === undefined ? node.length : 1 };
    const shown = excerpt(this.#text, span, (at) => this.#shown.has(at));
    const problem: Problem = { level: "error", where: this.#where(node), message, excerpt: shown };
    this.#problems.push({ offset: node.offset, problem });
  }

  #where({ offset }: Node): string {
    const { line, column } = placeOf(this.#text, offset);
    return `${this.#path}:${line}:${column}`;
  }
}

function valueOf(node: Node): unknown {
  if (node.type === "array") return node.children!.map(valueOf);
  if (node.type !== "object") return node.value;
  return Object.fromEntries(node.children!.map(({ children }) => [children![0]!.value, valueOf(children![1]!)]));
}
