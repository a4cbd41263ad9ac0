/**
 * Where safety-tooling keeps its records: `<digest of the parameters>/bin<k>.json`, `moderation/`, `embeddings/`, and one
 * SQLite database for each digest. Both kinds may lie in one folder.
 *
 * @module
 */

import { decodeText } from "../../cache/json.ts";
import { declaredSize, loadZstd } from "../../codec/zstd.ts";
import { CodecError } from "../../codec/error.ts";
import { messageOf } from "../../runtime/message.ts";
import { type Finding, inOneRecord, left, type Source } from "../finding.ts";
import type { ForeignSetting } from "../foreign.ts";
import { isDatabase, LONGEST_VALUE, rowsOf, tablesOf } from "../reading/foreign_database.ts";
import { membersOfFile, TornJsonError } from "../reading/json_members.ts";
import { type Filed, findingsOfAnswers, findingsOfModerations, SAFETY_TOOLING_NOTES } from "./safety_tooling.ts";

type Kind = "responses" | "moderation" | "embeddings";

/** A file of records. */
interface RecordFile {
  readonly path: string;
  /** Its place in the source, for the report. */
  readonly name: string;
  readonly kind: Kind;
  readonly isDatabase: boolean;
  /** The digest of the parameters of all that is in it. */
  readonly params: string | undefined;
}

const DIGEST = /^[0-9a-f]{40}$/;
const BIN = /^bin\d+\.json$/;
/** The version of rows that safety-tooling itself reads. */
const SCHEMA_VERSION = 1;
const TABLES = {
  responses: { table: "responses", digest: "prompt_hash" },
  moderation: { table: "moderation", digest: "text_hash" },
  embeddings: { table: "embeddings", digest: "params_hash" },
} as const;

/** Reads a folder of safety-tooling's, one of its bins, or one of its databases. */
export class SafetyToolingSource implements Source {
  readonly format = "safety-tooling";
  readonly location: string;
  readonly notes: readonly string[];
  readonly #files: readonly RecordFile[];
  readonly #provider: string | undefined;
  readonly #setting: ForeignSetting;

  constructor(location: string, files: readonly RecordFile[], provider: string | undefined, setting: ForeignSetting) {
    this.location = location;
    this.notes = SAFETY_TOOLING_NOTES;
    this.#files = files;
    this.#provider = provider;
    this.#setting = setting;
  }

  async *findings(): AsyncIterable<Finding> {
    for (const file of this.#files) yield* file.isDatabase ? this.#readDatabase(file) : this.#readBin(file);
  }

  async *#readBin({ path, name, kind, params }: RecordFile): AsyncGenerator<Finding> {
    try {
      for await (const { name: digest = "", text } of membersOfFile(this.#setting.runtime, path)) {
        const id = `${name}#${digest}`;
        if (text === undefined) yield left(id, "too_long", "it is longer than 64 MiB");
        else yield* this.#findingsOf(kind, textIn(text), { id, digest, params });
      }
    } catch (error) {
      if (!(error instanceof TornJsonError)) throw error;
      yield left(name, "broken", `the rest of the bin cannot be read: ${error.message}`);
    }
  }

  async *#readDatabase({ path, name, kind, params }: RecordFile): AsyncGenerator<Finding> {
    const { runtime } = this.#setting;
    const { table, digest: column } = TABLES[kind];
    const zstd = await loadZstd();
    const columns = [column, "response_blob", "schema_version", "created_at"];
    for await (const { values } of rowsOf(runtime, path, { table, columns, long: ["response_blob"] })) {
      const digest = String(values[column]);
      const id = `${name}#${digest}`;
      const { response_blob: blob, schema_version: version, created_at: seconds } = values;
      if (version !== SCHEMA_VERSION) {
        yield left(id, "older_schema", `the row has version ${String(version)}, not ${SCHEMA_VERSION}`);
        continue;
      }
      if (blob === undefined) {
        yield left(id, "too_long", "it is longer than 64 MiB");
        continue;
      }
      let text: string;
      try {
        if (!(blob instanceof Uint8Array)) throw new CodecError("it is no blob");
        const size = declaredSize(blob);
        if (size === undefined || size > LONGEST_VALUE) throw new CodecError("it declares no size that fits");
        text = decodeText(zstd.decompress(blob, size));
      } catch (error) {
        yield left(id, "broken", `its blob cannot be read: ${messageOf(error)}`);
        continue;
      }
      const created = typeof seconds === "number" ? Math.round(seconds * 1000) : undefined;
      yield* this.#findingsOf(kind, text, { id, digest, params, created });
    }
  }

  async *#findingsOf(kind: Kind, text: string | undefined, filed: Filed): AsyncGenerator<Finding> {
    if (text === undefined) yield left(filed.id, "broken", "it is no text in JSON");
    else if (kind === "embeddings") {
      yield left(filed.id, "request_unknown", "of embeddings only a digest of the texts is stored");
    } else if (kind === "moderation") {
      yield* inOneRecord(filed.id, findingsOfModerations(text, filed, this.#provider, this.#setting));
    } else yield* inOneRecord(filed.id, findingsOfAnswers(text, filed, this.#provider, this.#setting));
  }
}

/** The source at a path, if what lies there is safety-tooling's. */
export async function openSafetyTooling(
  path: string,
  provider: string | undefined,
  setting: ForeignSetting,
): Promise<SafetyToolingSource | undefined> {
  const { files } = setting.runtime;
  const found: RecordFile[] = [];
  const stat = await files.stat(path);
  if (stat?.isFile) {
    const name = path.slice(path.lastIndexOf("/") + 1);
    const parent = path.split("/").at(-2) ?? "";
    found.push(...await recordFiles(path, name, BIN.test(name) ? folderKind(parent) : undefined, parent, setting));
  }
  for (const entry of stat?.isDirectory ? await files.list(path) : []) {
    const place = `${path}/${entry.name}`;
    if (entry.isFile && entry.name.endsWith(".sqlite")) {
      found.push(...await recordFiles(place, entry.name, undefined, "", setting));
    }
    const kind = folderKind(entry.name);
    if (!entry.isDirectory || kind === undefined) continue;
    for (const bin of (await files.list(place)).filter(({ isFile, name }) => isFile && BIN.test(name))) {
      const name = `${entry.name}/${bin.name}`;
      found.push(...await recordFiles(`${place}/${bin.name}`, name, kind, entry.name, setting));
    }
  }
  return found.length > 0 ? new SafetyToolingSource(path, found, provider, setting) : undefined;
}

async function recordFiles(
  path: string,
  name: string,
  kind: Kind | undefined,
  folder: string,
  { runtime }: ForeignSetting,
): Promise<RecordFile[]> {
  if (!isDatabase(runtime, path)) {
    return kind === undefined
      ? []
      : [{ path, name, kind, isDatabase: false, params: kind === "responses" ? folder : undefined }];
  }
  const tables = await tablesOf(runtime, path);
  if (!tables.get("responses")?.includes("response_blob")) return [];
  const digest = name.replace(/\.sqlite$/, "");
  // Each of its databases has all three tables, of which one is used.
  return (Object.keys(TABLES) as Kind[]).filter((kind) => tables.has(TABLES[kind].table)).map((kind) => ({
    path,
    name,
    kind,
    isDatabase: true,
    params: kind === "responses" && DIGEST.test(digest) ? digest : undefined,
  }));
}

function folderKind(name: string): Kind | undefined {
  if (DIGEST.test(name)) return "responses";
  return name === "moderation" || name === "embeddings" ? name : undefined;
}

/** A record in a bin is a text whose content is JSON. */
function textIn(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}
