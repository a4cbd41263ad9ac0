/**
 * LiteLLM's disk cache, which is a folder of python-diskcache's: a SQLite table of keys and values, long values in files
 * beside it. A value is `{ timestamp, response }`, pickled; it is read by {@link ../reading/pickle.ts}, which can run
 * nothing. The key is a SHA-256 of the call in Python's notation, so nobody can tell from it what was asked: answers are
 * carried for the requests that the caller lists, whose digests prove that they are theirs.
 *
 * @see https://grantjenks.com/docs/diskcache/
 * @module
 */

import { isJsonObject, type JsonObject } from "../../cache/json.ts";
import { decodeText } from "../../cache/json.ts";
import type { Scope } from "../../cache/request/scope.ts";
import { nextTurn } from "../../cache/flow/turns.ts";
import { hexOf } from "../../runtime/hex.ts";
import { messageOf } from "../../runtime/message.ts";
import { type Finding, inOneRecord, left, type Source } from "../finding.ts";
import { findingsOfRecord, type ForeignSetting } from "../foreign.ts";
import { countRows, type ForeignRow, LONGEST_VALUE, rowsOf, tablesOf } from "../reading/foreign_database.ts";
import { PickleError, type PlainData, readPickle } from "../reading/pickle.ts";
import { writeLiteral } from "../reading/python.ts";

/** A request that may be among those whose answers are stored. */
export interface KnownRequest {
  /** As it was given to LiteLLM, its names in the order in which they were given. */
  readonly body: object;
  /** Who is asked, for our key. Default: `openai`, `/v1/chat/completions`. */
  readonly scope?: Scope;
}

const NOTES = [
  "LiteLLM stores of a request only a digest: answers are carried for the requests that are listed (`requests`).",
  "LiteLLM stores neither what an answer cost nor how long it took.",
];

/** How python-diskcache stored a value. */
const MODE = { raw: 1, binary: 2, text: 3, pickle: 4 } as const;
/** Two folders of two hexadecimal digits and a name, as python-diskcache makes them: anything else is not opened. */
const VALUE_FILE = /^[0-9a-f]{2}\/[0-9a-f]{2}\/[0-9a-f]{28}\.val$/;
const DIGEST = /^(?:.*:)?([0-9a-f]{64})$/s;
/** What is as often given as `1.0` as it is as `1`, which JavaScript does not tell apart. */
const FLOATS = ["temperature", "top_p", "frequency_penalty", "presence_penalty"];
const COLUMNS = ["key", "raw", "store_time", "expire_time", "mode", "filename", "value"];

/** Reads a folder of LiteLLM's. */
export class LiteLlmSource implements Source {
  readonly format = "litellm";
  readonly location: string;
  readonly notes: readonly string[];
  readonly #database: string;
  readonly #requests: Iterable<KnownRequest> | AsyncIterable<KnownRequest>;
  readonly #setting: ForeignSetting;

  constructor(
    location: string,
    database: string,
    requests: Iterable<KnownRequest> | AsyncIterable<KnownRequest>,
    setting: ForeignSetting,
  ) {
    this.location = location;
    this.notes = NOTES;
    this.#database = database;
    this.#requests = requests;
    this.#setting = setting;
  }

  async total(): Promise<number> {
    return await countRows(this.#setting.runtime, this.#database, "Cache");
  }

  async *findings(): AsyncIterable<Finding> {
    const known = await this.#digests();
    const from = { table: "Cache", columns: COLUMNS, long: ["value", "key"] };
    for await (const row of rowsOf(this.#setting.runtime, this.#database, from)) {
      yield* inOneRecord(`Cache:${row.rowid}`, this.#read(row, known));
    }
  }

  async *#read({ rowid, values }: ForeignRow, known: ReadonlyMap<string, KnownRequest>): AsyncGenerator<Finding> {
    const { key, store_time: stored, expire_time: expires } = values;
    const digest = typeof key === "string" ? DIGEST.exec(key)?.[1] : undefined;
    const id = digest ?? `Cache:${rowid}`;
    if (digest === undefined) {
      yield left(id, "other_data", "its key is none of LiteLLM's");
      return;
    }
    let value: PlainData | undefined;
    try {
      value = await this.#value(values);
    } catch (error) {
      if (error instanceof Outside) yield left(id, "outside", "its value is said to be in a file outside the folder");
      else yield left(id, "broken", `its value cannot be read: ${messageOf(error)}`);
      return;
    }
    if (value === undefined) {
      yield left(id, "too_long", "it is longer than 64 MiB");
      return;
    }
    const { timestamp, response } = jsonIn(value) ?? {};
    const answer = jsonIn(response);
    if (answer === undefined || !Array.isArray(answer.choices)) {
      const isVector = answer !== undefined && "embedding" in answer;
      yield left(id, isVector ? "request_unknown" : "other_data", isVector ? "it is an embedding" : "it is no answer");
      return;
    }
    const model = typeof answer.model === "string" ? answer.model : undefined;
    const request = known.get(digest);
    if (request === undefined) {
      yield left(id, "request_unknown", "of the request only a digest is stored, and no listed request has it", model);
      return;
    }
    const seconds = typeof timestamp === "number" ? timestamp : typeof stored === "number" ? stored : undefined;
    const created = seconds === undefined ? undefined : Math.round(seconds * 1000);
    yield* findingsOfRecord({
      id,
      body: request.body as JsonObject,
      scope: request.scope ?? {},
      answers: [{ answer, created }],
      expires: typeof expires === "number" ? Math.round(expires * 1000) : null,
    }, this.#setting);
  }

  /** @throws PickleError, FileError, Outside, TypeError for what is no UTF-8. */
  async #value({ mode, filename, value }: ForeignRow["values"]): Promise<PlainData | undefined> {
    let content = value;
    if (typeof filename === "string") {
      if (!VALUE_FILE.test(filename)) throw new Outside();
      const { files } = this.#setting.runtime;
      const path = `${this.location}/${filename}`;
      // A symbolic link in the folder may point out of it.
      const [real, folder] = await Promise.all([files.realPath(path), files.realPath(this.location)]);
      if (real !== undefined && real !== `${folder}/${filename}`) throw new Outside();
      const size = (await files.stat(path))?.size ?? 0;
      content = size > LONGEST_VALUE ? undefined : await files.read(path);
    }
    if (content === undefined || content === null) return content;
    if (mode === MODE.pickle) {
      if (!(content instanceof Uint8Array)) throw new PickleError("it is no bytes");
      return readPickle(content);
    }
    return content instanceof Uint8Array ? decodeText(content) : content;
  }

  /** The listed requests by the digests that LiteLLM would have made of them. */
  async #digests(): Promise<Map<string, KnownRequest>> {
    const { runtime } = this.#setting;
    const known = new Map<string, KnownRequest>();
    for await (const request of this.#requests) {
      for (const material of keyMaterials(request.body)) {
        known.set(hexOf(runtime.sha256(new TextEncoder().encode(material))), request);
      }
      await nextTurn(runtime.clock);
    }
    return known;
  }
}

/** A record names a file that is none of its folder's. */
class Outside extends Error {}

/** The source in a folder, if its database is one of python-diskcache's. */
export async function openLiteLlm(
  { folder, database }: { readonly folder: string; readonly database: string },
  requests: Iterable<KnownRequest> | AsyncIterable<KnownRequest>,
  setting: ForeignSetting,
): Promise<LiteLlmSource | undefined> {
  const columns = (await tablesOf(setting.runtime, database)).get("Cache") ?? [];
  const isOne = COLUMNS.every((column) => columns.includes(column));
  return isOne ? new LiteLlmSource(folder, database, requests, setting) : undefined;
}

/**
 * What LiteLLM makes a digest of: `name: value` for each argument of the call that is not `None`, one after the other, in
 * the order in which they were given. Model and messages are tried first and last too, where they stand if they were given
 * without names. A digest that fits proves that it was this order.
 */
function* keyMaterials(body: object): Generator<string> {
  const members = Object.entries(body).filter(([, value]) => value !== null && value !== undefined);
  const isFirst = (name: string): boolean => name === "model" || name === "messages";
  const orders = [
    members,
    [
      ...members.filter(([name]) => name === "model"),
      ...members.filter(([name]) => name === "messages"),
      ...members.filter(([name]) => !isFirst(name)),
    ],
    [
      ...members.filter(([name]) => !isFirst(name)),
      ...members.filter(([name]) => name === "model"),
      ...members.filter(([name]) => name === "messages"),
    ],
  ];
  for (const order of orders) {
    for (const asFloats of [false, true]) {
      const parts = order.map(([name, value]) => {
        const isFloat = asFloats && FLOATS.includes(name) && Number.isInteger(value);
        const written = typeof value === "string" ? value : writeLiteral(value);
        return written === undefined ? undefined : `${name}: ${written}${isFloat ? ".0" : ""}`;
      });
      if (!parts.includes(undefined)) yield parts.join("");
    }
  }
}

/** An object, or a text whose JSON is one. */
function jsonIn(value: unknown): JsonObject | undefined {
  let read = value;
  if (typeof value === "string") {
    try {
      read = JSON.parse(value);
    } catch {
      return undefined;
    }
  }
  return isJsonObject(read) && !(read instanceof Uint8Array) ? read : undefined;
}
