/**
 * promptfoo's disk cache (https://github.com/promptfoo/promptfoo): what its `fetch` was asked and what came back. Up to
 * version 2 of its keys a key is the whole call but for its headers: the address, and in `body` what was sent, letter for
 * letter. From version 3 on it is a digest, of which nobody can tell the request.
 *
 * Two forms on the disk: one file of keyv-file (`{"cache": [["keyv:<key>", { value, expire }], …]}`), and before that one
 * file per entry of cache-manager-fs-hash (`diskstore-<hash>/….json`, `{ expireTime, key, val }`).
 *
 * @module
 */

import { isJsonObject, type JsonObject } from "../../cache/json.ts";
import { targetOf } from "../../cache/request/endpoint.ts";
import { endpointKind } from "../../cache/request/ignore_list.ts";
import { parseRequest } from "../../cache/request/raw_json.ts";
import { providerAt, type Upstreams } from "../../cache/request/upstreams.ts";
import { decodeText } from "../../cache/json.ts";
import { nextTurn } from "../../cache/flow/turns.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import { type Finding, inOneRecord, left, type Source } from "../finding.ts";
import { findingsOfRecord, type ForeignSetting } from "../foreign.ts";
import { LONGEST_MEMBER, membersOfFile, TornJsonError } from "../reading/json_members.ts";

const NOTES = [
  "promptfoo does not store the headers of a request: the answers are taken for those to a request without special ones " +
  "(an `anthropic-beta`, an organisation). If yours had such headers, do not migrate.",
  "It stores no costs. When an answer came is read from the answer's header `date`; where there is none, it counts as " +
  "stored at the time of the migration.",
];

/** A v2 key, with what a namespace may put before it and a repetition after it. */
const FETCH = /^(?:keyv:)?(?:.*?:)?fetch:v2:(https?:\/\/[^\s{]*):(\{.*\})(?::repeat\d+)?$/s;
const DIGESTED = /^(?:keyv:)?(?:.*?:)?fetch:(?:[a-z-]+:)?v[3-9]/;
const ENTRY_FILE = /^[A-Za-z0-9_-]+\.json$/;

/** Options of a call that do not change what is answered. */
const CALL_OPTIONS = ["method", "body", "signal", "dispatcher", "agent", "keepalive"];

/** Reads promptfoo's cache. */
export class PromptfooSource implements Source {
  readonly format = "promptfoo";
  readonly location: string;
  readonly notes: readonly string[];
  readonly #path: string;
  readonly #isFolder: boolean;
  readonly #upstreams: Upstreams;
  readonly #setting: ForeignSetting;

  constructor(path: string, isFolder: boolean, upstreams: Upstreams, setting: ForeignSetting) {
    this.location = path;
    this.notes = NOTES;
    this.#path = path;
    this.#isFolder = isFolder;
    this.#upstreams = upstreams;
    this.#setting = setting;
  }

  async *findings(): AsyncIterable<Finding> {
    let number = 0;
    for await (const { name, text } of this.#records()) {
      const id = `${name}${this.#isFolder ? "" : `#${number++}`}`;
      if (text === undefined) yield left(id, "too_long", "it is longer than 64 MiB");
      else yield* inOneRecord(id, this.#read(id, text));
    }
  }

  /** The texts of all records, each as `[key, { value, expire }]` or `{ key, val, expireTime }`. */
  async *#records(): AsyncGenerator<{ readonly name: string; readonly text: string | undefined }> {
    const { runtime } = this.#setting;
    if (this.#isFolder) {
      yield* entryFiles(runtime, this.#path);
      return;
    }
    const name = this.#path.slice(this.#path.lastIndexOf("/") + 1);
    try {
      for await (const { name: key, text } of membersOfFile(runtime, this.#path, "cache")) {
        yield { name, text: key === undefined || text === undefined ? text : `[${JSON.stringify(key)},${text}]` };
      }
    } catch (error) {
      if (!(error instanceof TornJsonError)) throw error;
      yield { name, text: `{"torn":${JSON.stringify(error.message)}}` };
    }
  }

  async *#read(id: string, text: string): AsyncGenerator<Finding> {
    const record = recordIn(text);
    if (record === undefined) {
      yield left(id, "broken", "it is no record of a key and a value");
      return;
    }
    const { key, value, expires } = record;
    if (DIGESTED.test(key)) {
      yield left(id, "request_unknown", "of the request only a digest is stored (keys of version 3)");
      return;
    }
    const [, address, options] = FETCH.exec(key) ?? [];
    if (address === undefined) {
      yield left(id, "other_data", "it is no call of a model over HTTP");
      return;
    }
    const call = parsed(options!);
    const url = URL.parse(address);
    if (
      call === undefined || url === null || typeof call.body !== "string" ||
      String(call.method).toUpperCase() !== "POST"
    ) {
      yield left(id, "other_data", "it is no POST of a text");
      return;
    }
    const odd = Object.keys(call).find((name) => !CALL_OPTIONS.includes(name));
    if (odd !== undefined) {
      yield left(id, "request_incomplete", `what the option \`${odd.slice(0, 40)}\` did is not known`);
      return;
    }
    const target = await targetOf(url, new Headers());
    if (target === undefined) {
      yield left(id, "request_incomplete", "the address has a query that is not known");
      return;
    }
    const { endpoint } = target;
    const kind = endpointKind(endpoint);
    if (kind === undefined || kind === "embeddings" || kind === "embed_content") {
      const why = kind === undefined
        ? "the address is none of an interface that is known"
        : "embeddings are kept by text";
      yield left(id, "other_data", why);
      return;
    }
    const response = parsed(value);
    if (response === undefined || !isJsonObject(response.data)) {
      yield left(id, "broken", "the answer is no JSON object");
      return;
    }
    if (typeof response.status !== "number" || response.status < 200 || response.status > 299) {
      yield left(id, "outcome", `the answer has the status ${String(response.status).slice(0, 20)}`);
      return;
    }
    const body = requestIn(call.body);
    if (typeof body === "string") {
      yield left(id, "request_unsafe", body);
      return;
    }
    const headers = isJsonObject(response.headers) ? response.headers : {};
    const date = typeof headers.date === "string" ? Date.parse(headers.date) : NaN;
    const { latencyMs: latency } = response;
    const answers = [{
      answer: response.data,
      latency: typeof latency === "number" && latency >= 0 ? latency : null,
      created: Number.isNaN(date) ? undefined : date,
    }];
    const scope = { provider: providerAt(url.origin, this.#upstreams), endpoint };
    yield* findingsOfRecord({ id, body, scope, answers, expires }, this.#setting);
  }
}

/** The source at a path, if what lies there is promptfoo's. */
export async function openPromptfoo(
  path: string,
  upstreams: Upstreams,
  setting: ForeignSetting,
): Promise<PromptfooSource | undefined> {
  const { runtime } = setting;
  const stat = await runtime.files.stat(path);
  const file = stat?.isDirectory ? `${path}/cache.json` : path;
  const isFile = stat?.isFile || (await runtime.files.stat(file))?.isFile;
  if (isFile && await isKeyvFile(runtime, file)) return new PromptfooSource(file, false, upstreams, setting);
  if (!stat?.isDirectory) return undefined;
  for await (const { text } of entryFiles(runtime, path)) {
    const { key } = parsed(text ?? "") ?? {};
    return typeof key === "string" ? new PromptfooSource(path, true, upstreams, setting) : undefined;
  }
  return undefined;
}

/** Whether a file begins as keyv-file writes one: the member `cache` is a list of pairs, or an object. */
async function isKeyvFile(runtime: Runtime, path: string): Promise<boolean> {
  try {
    for await (const { name, text } of membersOfFile(runtime, path, "cache")) {
      if (name !== undefined || text === undefined) return text !== undefined && recordIn(`["",${text}]`) !== undefined;
      return recordIn(text) !== undefined;
    }
    return true;
  } catch {
    return false;
  }
}

/** Files of cache-manager-fs-hash, in the order of their names. */
async function* entryFiles(
  { files, clock }: Runtime,
  path: string,
): AsyncGenerator<{ readonly name: string; readonly text: string | undefined }> {
  for (const folder of await files.list(path)) {
    if (!folder.isDirectory || !folder.name.startsWith("diskstore-")) continue;
    for (const entry of await files.list(`${path}/${folder.name}`)) {
      if (!entry.isFile || !ENTRY_FILE.test(entry.name)) continue;
      const name = `${folder.name}/${entry.name}`;
      const size = (await files.stat(`${path}/${name}`))?.size ?? 0;
      yield { name, text: size > LONGEST_MEMBER ? undefined : textOf(await files.read(`${path}/${name}`)) };
      await nextTurn(clock);
    }
  }
}

function textOf(bytes: Uint8Array): string {
  try {
    return decodeText(bytes);
  } catch {
    return "";
  }
}

/** A record of either form. keyv's own wrapping of the value, `{ value, expires }` as a text, is taken off. */
function recordIn(text: string): { key: string; value: string; expires: number | null } | undefined {
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (Array.isArray(record)) {
    const [key, stored] = record;
    if (typeof key !== "string" || !isJsonObject(stored)) return undefined;
    const inner = typeof stored.value === "string" ? parsed(stored.value) : undefined;
    const { value, expires } = inner !== undefined && "value" in inner ? inner : { value: stored.value, expires: null };
    return { key, value: asText(value), expires: timeOf(expires) ?? timeOf(stored.expire) };
  }
  if (!isJsonObject(record) || typeof record.key !== "string") return undefined;
  return { key: record.key, value: asText(record.val), expires: timeOf(record.expireTime) };
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function timeOf(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** The body that was sent, or why its key would not be safe. */
function requestIn(text: string): JsonObject | string {
  try {
    const { body, unkeyable } = parseRequest(text);
    if (unkeyable !== undefined) return "the body has names or numbers that programs read differently";
    return isJsonObject(body) ? body : "the body is no JSON object";
  } catch {
    return "the body is no JSON";
  }
}

function parsed(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
