/**
 * LangChain's SQLite cache for Python: a table of prompt, model in words, place among the generations, and generation. The
 * prompt and the model are serialised objects of LangChain's, read here as what they are, JSON and Python's notation;
 * nothing is constructed.
 *
 * The request that was sent is not stored, only the object that sent it. It is made again where every setting of that
 * object is one that is known, and where those that releases of LangChain gave different values to, when nothing was
 * said, were said: temperature, and Anthropic's max_tokens. Any other row stays behind. The keys of LangChain for
 * JavaScript, and so of our adapter, hold another text for the same model and cannot be made of these.
 *
 * @module
 */

import { isJsonObject, type JsonObject } from "../../cache/json.ts";
import { splitUsage } from "../../cache/answer/usage.ts";
import type { Scope } from "../../cache/request/scope.ts";
import { type Finding, inOneRecord, left, type Source } from "../finding.ts";
import { findingsOfRecord, type ForeignSetting } from "../foreign.ts";
import { countRows, rowsOf, tablesOf } from "../reading/foreign_database.ts";
import { readLiteral } from "../reading/python.ts";

const NOTES = [
  "LangChain stores neither when an answer came nor how long it took nor what it cost: the answers count as stored at the " +
  "time of the migration, and their cost is unknown.",
  "LangChain for Python and for JavaScript write the same model in different words, so these answers are found by calls " +
  "to OpenAI and Anthropic (the library, cachedFetch, the proxy), not by LangChainCache.",
];

const TABLES = ["full_llm_cache", "full_md5_llm_cache"] as const;

/** A request that cannot be made again, and why. */
class Unknown {
  readonly why: string;
  constructor(why: string) {
    this.why = why;
  }
}

interface Row {
  readonly id: string;
  readonly prompt: string;
  readonly llm: string;
  readonly idx: number;
  readonly response: string;
}

/** How settings of a class are sent. */
interface Client {
  readonly scope: Scope;
  /** Settings by name, with the field each is sent as; `null` for those that are not sent. */
  readonly fields: Readonly<Record<string, string | null>>;
  /** Fields that releases of LangChain fill in differently where nothing is said. */
  readonly needs: readonly string[];
}

const COMMON = { max_retries: null, request_timeout: null, timeout: null, streaming: null, verbose: null, tags: null };

/** By the last name of the class. */
const CLIENTS: Readonly<Record<string, Client>> = {
  ChatOpenAI: {
    scope: { provider: "openai", endpoint: "/v1/chat/completions" },
    fields: {
      ...COMMON,
      model_name: "model",
      model: "model",
      temperature: "temperature",
      top_p: "top_p",
      seed: "seed",
      n: "n",
      frequency_penalty: "frequency_penalty",
      presence_penalty: "presence_penalty",
      logprobs: "logprobs",
      top_logprobs: "top_logprobs",
      logit_bias: "logit_bias",
      stop: "stop",
      openai_api_key: null,
      api_key: null,
      openai_organization: null,
      organization: null,
    },
    needs: ["temperature"],
  },
  ChatAnthropic: {
    scope: { provider: "anthropic", endpoint: "/v1/messages" },
    fields: {
      ...COMMON,
      model: "model",
      model_name: "model",
      temperature: "temperature",
      top_p: "top_p",
      top_k: "top_k",
      max_tokens: "max_tokens",
      max_tokens_to_sample: "max_tokens",
      anthropic_api_key: null,
      api_key: null,
    },
    needs: ["temperature", "max_tokens"],
  },
};

/** Reads the tables of a cache. */
export class LangChainSource implements Source {
  readonly format = "langchain";
  readonly location: string;
  readonly notes: readonly string[];
  readonly #tables: readonly string[];
  readonly #setting: ForeignSetting;

  constructor(location: string, tables: readonly string[], setting: ForeignSetting) {
    this.location = location;
    this.notes = NOTES;
    this.#tables = tables;
    this.#setting = setting;
  }

  async total(): Promise<number> {
    let total = 0;
    for (const table of this.#tables) total += await countRows(this.#setting.runtime, this.location, table);
    return total;
  }

  async *findings(): AsyncIterable<Finding> {
    for (const table of this.#tables) {
      const columns = ["prompt", "llm", "idx", "response"];
      const long = ["prompt", "llm", "response"];
      // The generations of one call were written one after the other.
      let group: Row[] = [];
      for await (const { rowid, values } of rowsOf(this.#setting.runtime, this.location, { table, columns, long })) {
        const id = `${table}:${rowid}`;
        const { prompt, llm, idx, response } = values;
        if (prompt === undefined || llm === undefined || response === undefined) {
          yield left(id, "too_long", "it is longer than 64 MiB");
          continue;
        }
        if (
          typeof prompt !== "string" || typeof llm !== "string" || typeof response !== "string" ||
          typeof idx !== "number"
        ) {
          yield left(id, "broken", "a column has another type");
          continue;
        }
        const [first] = group;
        if (first !== undefined && (first.prompt !== prompt || first.llm !== llm)) {
          yield* inOneRecord(group[0]!.id, this.#read(group));
          group = [];
        }
        group.push({ id, prompt, llm, idx, response });
      }
      if (group.length > 0) yield* inOneRecord(group[0]!.id, this.#read(group));
    }
  }

  *#read(rows: readonly Row[]): Generator<Finding> {
    const [{ id, prompt, llm }] = rows as [Row];
    const asked = requestOf(prompt, llm);
    if (asked instanceof Unknown) {
      yield left(id, "request_incomplete", asked.why, undefined, rows.length);
      return;
    }
    const { body, scope } = asked;
    const model = String(body.model);
    const isAnthropic = scope.provider === "anthropic";
    const answers: JsonObject[] = [];
    for (const row of rows.toSorted((one, other) => one.idx - other.idx)) {
      const answer = answerOf(row.response, isAnthropic);
      if (answer instanceof Unknown) yield left(row.id, "answer_incomplete", answer.why, model);
      else answers.push(answer);
    }
    const found = withSharedUsage(answers).map((answer) => ({ answer }));
    if (found.length > 0) yield* findingsOfRecord({ id, body, scope, answers: found }, this.#setting);
  }
}

/** The source at a path, if it is a database with one of LangChain's tables. */
export async function openLangChain(path: string, setting: ForeignSetting): Promise<LangChainSource | undefined> {
  const tables = await tablesOf(setting.runtime, path);
  const found = TABLES.filter((table) => {
    const columns = tables.get(table) ?? [];
    return ["prompt", "llm", "idx", "response"].every((column) => columns.includes(column));
  });
  return found.length > 0 ? new LangChainSource(path, found, setting) : undefined;
}

/** The request that a model in words sends for a prompt in words. */
function requestOf(prompt: string, llm: string): { readonly body: JsonObject; readonly scope: Scope } | Unknown {
  const middle = llm.lastIndexOf("---[");
  if (middle < 0) return new Unknown("the model is told as a list of values, not as the object that asked");
  const object = parsed(llm.slice(0, middle));
  const kwargs = isJsonObject(object) ? object.kwargs : undefined;
  const name = isJsonObject(object) && Array.isArray(object.id) ? String(object.id.at(-1)) : "";
  const client = Object.hasOwn(CLIENTS, name) ? CLIENTS[name]! : undefined;
  if (client === undefined || !isJsonObject(kwargs)) return new Unknown("the class of the model is not known here");
  const fields = settingsOf(kwargs, client);
  if (fields instanceof Unknown) return fields;
  const bound = boundTo(llm.slice(middle + 3), name);
  if (bound instanceof Unknown) return bound;
  const messages = messagesOf(prompt);
  if (messages instanceof Unknown) return messages;
  const sent = { ...fields, ...bound };
  const missing = ["model", ...client.needs].find((field) => !Object.hasOwn(sent, field));
  if (missing !== undefined) {
    return new Unknown(`\`${missing}\` was left to the default, which releases of LangChain do not agree on`);
  }
  if (REASONING.test(String(sent.model)) && messages.some(({ role }) => role === "system")) {
    return new Unknown("whether its system prompt was sent as a developer's is not stored");
  }
  if (client.scope.provider === "openai") return { body: { ...sent, messages }, scope: client.scope };
  const [first, ...others] = messages;
  const isLed = first?.role === "system";
  const rest = isLed ? others : messages;
  if (rest.some(({ role }) => role !== "user" && role !== "assistant")) {
    return new Unknown("how a message of this kind was sent to Anthropic is not known here");
  }
  return { body: { ...sent, ...isLed && { system: first!.content }, messages: rest }, scope: client.scope };
}

function settingsOf(kwargs: JsonObject, { fields }: Client): JsonObject | Unknown {
  const sent: JsonObject = {};
  for (const [name, value] of Object.entries(kwargs)) {
    if (value === null) continue;
    // Of no consequence only when it is empty.
    if ((name === "model_kwargs" || name === "default_headers") && isJsonObject(value) && isEmpty(value)) continue;
    if (!Object.hasOwn(fields, name)) {
      return new Unknown(`what the setting \`${name.slice(0, 40)}\` did is not known here`);
    }
    const field = fields[name]!;
    if (field !== null) sent[field] = value;
  }
  return sent;
}

/** What was said at the call: `[('stop', None), …]`. */
function boundTo(text: string, name: string): JsonObject | Unknown {
  let pairs: unknown;
  try {
    pairs = readLiteral(text);
  } catch {
    return new Unknown("what was said at the call is no plain data");
  }
  const sent: JsonObject = {};
  for (const pair of Array.isArray(pairs) ? pairs : []) {
    const [field, value] = Array.isArray(pair) ? pair : [];
    if (value === null) continue;
    const known = name === "ChatOpenAI" ? ["stop", "tools", "tool_choice"] : ["stop", "tools"];
    if (typeof field !== "string" || !known.includes(field)) {
      return new Unknown(`what \`${String(field).slice(0, 40)}\` did at the call is not known here`);
    }
    sent[name === "ChatAnthropic" && field === "stop" ? "stop_sequences" : field] = value;
  }
  return sent;
}

const ROLES: Readonly<Record<string, string>> = {
  HumanMessage: "user",
  SystemMessage: "system",
  AIMessage: "assistant",
};
/** Models for which releases of LangChain write the system prompt differently. */
const REASONING = /^o[1-9]/;
/** What a message has besides its content, and may have without any consequence. */
const SILENT = ["type", "id", "example", "response_metadata", "usage_metadata"];

/** The messages of a prompt: a list of serialised objects. Only plain texts are sent as they are. */
function messagesOf(prompt: string): { readonly role: string; readonly content: string }[] | Unknown {
  const list = parsed(prompt);
  if (!Array.isArray(list)) return new Unknown("the prompt is no list of messages");
  const messages: { readonly role: string; readonly content: string }[] = [];
  for (const item of list) {
    const { name, kwargs } = objectIn(item);
    const role = Object.hasOwn(ROLES, name) ? ROLES[name]! : undefined;
    if (role === undefined || kwargs === undefined || typeof kwargs.content !== "string") {
      return new Unknown("a message is no text of a system, user or assistant");
    }
    for (const [field, value] of Object.entries(kwargs)) {
      if (field === "content" || SILENT.includes(field) || value === null || isEmpty(value)) continue;
      return new Unknown(`what \`${field.slice(0, 40)}\` of a message was sent as is not known here`);
    }
    messages.push({ role, content: kwargs.content });
  }
  return messages;
}

/** A generation as the provider answered it, as far as LangChain kept it. */
function answerOf(response: string, isAnthropic: boolean): JsonObject | Unknown {
  const { name, kwargs } = objectIn(parsed(response));
  if (name !== "ChatGeneration" || kwargs === undefined) return new Unknown("the generation is none of a chat model");
  const { kwargs: message } = objectIn(kwargs.message);
  if (message === undefined) return new Unknown("the generation has no message");
  const { content, additional_kwargs: extra = {}, response_metadata: metadata = {} } = message;
  if (!isJsonObject(extra) || !isJsonObject(metadata)) return new Unknown("its metadata cannot be read");
  return isAnthropic
    ? anthropicAnswer(message, content, metadata)
    : openAiAnswer(content, extra, metadata, isJsonObject(kwargs.generation_info) ? kwargs.generation_info : {});
}

function openAiAnswer(
  content: unknown,
  extra: JsonObject,
  metadata: JsonObject,
  info: JsonObject,
): JsonObject | Unknown {
  const ended = metadata.finish_reason ?? info.finish_reason;
  if (typeof ended !== "string") return new Unknown("why it ended is not stored");
  const odd = Object.keys(extra).find((name) => !["tool_calls", "refusal", "function_call"].includes(name));
  if (typeof content !== "string" || odd !== undefined) return new Unknown("the message is no text with tool calls");
  if (ended === "tool_calls" && extra.tool_calls === undefined) {
    return new Unknown("its tool calls are not stored as sent");
  }
  const { id, model_name: model, system_fingerprint, token_usage: usage } = metadata;
  return {
    ...typeof id === "string" && { id },
    object: "chat.completion",
    ...typeof model === "string" && { model },
    ...typeof system_fingerprint === "string" && { system_fingerprint },
    choices: [{
      index: 0,
      message: {
        role: "assistant",
        content: content === "" && extra.tool_calls !== undefined ? null : content,
        refusal: extra.refusal ?? null,
        ...extra.tool_calls !== undefined && { tool_calls: extra.tool_calls },
        ...extra.function_call !== undefined && { function_call: extra.function_call },
      },
      logprobs: metadata.logprobs ?? info.logprobs ?? null,
      finish_reason: ended,
    }],
    ...isJsonObject(usage) && !isEmpty(usage) && { usage },
  };
}

function anthropicAnswer(message: JsonObject, content: unknown, metadata: JsonObject): JsonObject | Unknown {
  const { id, model, model_name = model, stop_reason, stop_sequence = null, usage } = metadata;
  if (typeof stop_reason !== "string" || typeof model_name !== "string") {
    return new Unknown("why it ended is not stored");
  }
  const blocks = typeof content === "string" ? (content === "" ? [] : [{ type: "text", text: content }]) : content;
  if (!Array.isArray(blocks)) return new Unknown("the message is neither a text nor blocks");
  if (!isEmpty(message.tool_calls) && !Array.isArray(content)) {
    return new Unknown("its tool calls are not stored as sent");
  }
  return {
    ...typeof id === "string" && { id },
    type: "message",
    role: "assistant",
    model: model_name,
    content: blocks,
    stop_reason,
    stop_sequence,
    ...isJsonObject(usage) && { usage },
  };
}

/** The generations of one call each have the usage of the whole call. */
function withSharedUsage(answers: readonly JsonObject[]): readonly JsonObject[] {
  const [first] = answers;
  const usage = first?.usage;
  const isShared = answers.every((answer) => JSON.stringify(answer.usage) === JSON.stringify(usage));
  if (answers.length < 2 || !isShared || !isJsonObject(usage)) return answers;
  const parts = splitUsage(usage, answers.length);
  return answers.map((answer, index) => ({ ...answer, usage: parts[index] }));
}

/** LangChain's form of an object: `{ lc, type: "constructor", id: […, name], kwargs }`. It is looked at, never made. */
function objectIn(value: unknown): { readonly name: string; readonly kwargs?: JsonObject } {
  if (!isJsonObject(value) || value.type !== "constructor" || !Array.isArray(value.id)) return { name: "" };
  return { name: String(value.id.at(-1)), ...isJsonObject(value.kwargs) && { kwargs: value.kwargs } };
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
