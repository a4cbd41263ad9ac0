/**
 * Reads the two texts by which LangChain asks a cache: the prompt, and what it calls the LLM's key. Neither was made to be
 * read. The prompt tells of a picture only that there is one; the key holds the account's API key, and of some classes not
 * even the model's name. So what does not tell two requests apart is refused here, and what is secret goes no further.
 *
 * @module
 */

import { isJsonObject, type JsonObject } from "../cache/json.ts";
import { canonicalJson } from "../cache/request/canonical.ts";
import { hexOf } from "../runtime/hex.ts";

/** What LangChain asks for, as a request. */
export interface LangChainRequest {
  /** `model` if it is known, `prompt`, and `llm`: the settings, each under its own name. */
  readonly body: JsonObject;
  /** Whom the class asks: `openai`, `anthropic`, … */
  readonly provider: string;
  /** Why another request may be asked in the same words, if so. */
  readonly bypass: string | undefined;
}

const MODEL_NAMES = ["model", "model_name", "modelName", "model_id", "modelId"];

/** Who asks does not change what is answered. */
const API_KEY = /api_?key$/i;

/** What may hold a secret, wherever it stands: only its digest is kept. */
const SECRET =
  /headers$|authorization$|secret|password|passphrase|credentials?$|token$|(api|access|private)_?key$|cookies?$/i;

/** How a part of a message that is no text is written into the prompt: `[image]`. Texts that look so are suspected too. */
const PART = /\[[a-z][A-Za-z0-9_-]{2,}( file)?\]/;

/**
 * Reads what LangChain asks with. `isVouchedFor`: the caller has said himself which model it is.
 *
 * @see https://github.com/langchain-ai/langchainjs/blob/main/libs/langchain-core/src/language_models/base.ts
 */
export async function readLangChainRequest(
  prompt: string,
  llmKey: string,
  isVouchedFor: boolean,
): Promise<LangChainRequest> {
  const settings = parseSettings(llmKey);
  if (settings === undefined) {
    const unreadable = { prompt, llm: await digestOf(llmKey) };
    return { body: unreadable, provider: "langchain", bypass: "LangChain's key for the model cannot be read" };
  }
  const model = MODEL_NAMES.map((name) => settings[name]).find((name) => typeof name === "string");
  const kept = Object.entries(settings).filter(([name]) => !API_KEY.test(name));
  const llm = await withoutSecrets(Object.fromEntries(kept));
  const body = { ...(model !== undefined && { model }), prompt, llm };
  return {
    body,
    provider: typeof settings._type === "string" ? settings._type : "langchain",
    bypass: reasonAgainst(settings, prompt, model !== undefined || isVouchedFor) ?? whyUnkeyable(body),
  };
}

function reasonAgainst(settings: JsonObject, prompt: string, isModelKnown: boolean): string | undefined {
  if (!isModelKnown) return "LangChain does not tell which model this is: give the cache its identity";
  if (settings._model === "base_chat_model" && PART.test(prompt)) {
    return `LangChain may be leaving out what a part of the prompt is: ${PART.exec(prompt)![0]}`;
  }
  if (someObject(settings, isUnserializable)) return "LangChain leaves out what a tool is: bind it with bindTools";
  // Beside the schema itself, which JSON cannot tell, withStructuredOutput gives its JSON Schema.
  if (settings.ls_structured_output_format === undefined && someObject(settings, isZodSchema)) {
    return "LangChain leaves out what a schema says: use withStructuredOutput, or give JSON Schema";
  }
  return undefined;
}

/** A text that is no Unicode would fail the call once it was paid for. */
function whyUnkeyable(body: JsonObject): string | undefined {
  try {
    canonicalJson(body);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** LangChain's stand-in for an object that it cannot serialise. */
function isUnserializable({ lc, type }: JsonObject): boolean {
  return lc === 1 && type === "not_implemented";
}

/** A schema of Zod 4 or 3, whose checks and descriptions `JSON.stringify` loses. */
function isZodSchema({ def, type, _def }: JsonObject): boolean {
  return (isJsonObject(def) && typeof type === "string" && def.type === type) ||
    (isJsonObject(_def) && typeof _def.typeName === "string");
}

function someObject(value: unknown, test: (object: JsonObject) => boolean): boolean {
  if (Array.isArray(value)) return value.some((item) => someObject(item, test));
  if (!isJsonObject(value)) return false;
  return test(value) || Object.values(value).some((member) => someObject(member, test));
}

/**
 * The settings in `name:JSON,name:JSON`; `undefined` when it is not that. Functions, of which there is no JSON, are left
 * out.
 */
function parseSettings(llmKey: string): JsonObject | undefined {
  const settings: JsonObject = {};
  for (let at = 0; at < llmKey.length;) {
    const colon = llmKey.indexOf(":", at);
    if (colon < 0) return undefined;
    const end = endOfValue(llmKey, colon + 1);
    const text = llmKey.slice(colon + 1, end);
    try {
      if (text !== "undefined") settings[llmKey.slice(at, colon)] = JSON.parse(text);
    } catch {
      return undefined;
    }
    at = end + 1;
  }
  return settings;
}

/** Where a JSON value ends that a comma follows, or nothing. */
function endOfValue(text: string, start: number): number {
  let depth = 0;
  let isQuoted = false;
  for (let at = start; at < text.length; at++) {
    const character = text[at]!;
    if (isQuoted) {
      if (character === "\\") at++;
      else if (character === '"') isQuoted = false;
    } else if (character === '"') isQuoted = true;
    else if (character === "{" || character === "[") depth++;
    else if (character === "}" || character === "]") depth--;
    else if (character === "," && depth === 0) return at;
  }
  return text.length;
}

async function withoutSecrets(value: unknown, name = ""): Promise<unknown> {
  const isFlag = value === null || typeof value === "boolean";
  if (SECRET.test(name) && !isFlag) return await digestOf(JSON.stringify(value));
  if (Array.isArray(value)) return await Promise.all(value.map((item) => withoutSecrets(item)));
  if (!isJsonObject(value)) return value;
  const members = Object.entries(value);
  const kept = await Promise.all(members.map(async ([name, member]) => [name, await withoutSecrets(member, name)]));
  return Object.fromEntries(kept);
}

async function digestOf(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return `sha256:${hexOf(new Uint8Array(digest))}`;
}
