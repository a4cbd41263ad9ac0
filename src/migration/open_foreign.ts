/**
 * Finds out what lies at a path by looking at it: at the first bytes, the tables, the form of the first record. A name
 * says nothing: anybody may call a file `cache.json`.
 *
 * @module
 */

import { CacheError } from "../store/error.ts";
import type { Source } from "./finding.ts";
import type { ForeignSetting } from "./foreign.ts";
import { openLangChain } from "./formats/langchain.ts";
import { type KnownRequest, openLiteLlm } from "./formats/litellm.ts";
import { openPromptfoo } from "./formats/promptfoo.ts";
import { openSafetyTooling } from "./formats/safety_tooling_source.ts";
import { isDatabase, tablesOf } from "./reading/foreign_database.ts";

/** A format of another program's. */
export type ForeignFormat = "safety-tooling" | "langchain" | "promptfoo" | "litellm";

/** All of them, in the order in which they are looked for. */
export const FOREIGN_FORMATS: readonly ForeignFormat[] = ["safety-tooling", "langchain", "promptfoo", "litellm"];

/** Where another program keeps its answers, and what it does not say about them. */
export interface ForeignPlace {
  /** A file or a folder. It is only read. */
  readonly path: string;
  /** What it has to be; anything else is refused then. Found out by looking where nothing is said. */
  readonly format?: ForeignFormat;
  /** Who was asked, for a format that does not say (`safety-tooling`). Default: OpenAI and Anthropic themselves. */
  readonly provider?: string;
  /** Names of providers by origin, as `cachedFetch` and the proxy were given them (`promptfoo`). */
  readonly upstreams?: Readonly<Record<string, string>>;
  /** Requests whose answers may be there, for a format that stores only digests of them (`litellm`). */
  readonly requests?: Iterable<KnownRequest> | AsyncIterable<KnownRequest>;
}

/**
 * Opens what lies there.
 *
 * @throws CacheError `unavailable` when nothing is there, or it may not be read; `foreign_file` when it is none of these
 * formats; `corrupt`, `locked` for a database that cannot be read.
 */
export async function openForeign(place: ForeignPlace, setting: ForeignSetting): Promise<Source> {
  const { path: given, format, provider, upstreams = {}, requests = [] } = place;
  const { runtime } = setting;
  const path = given.length > 1 ? given.replace(/\/+$/, "") : given;
  try {
    const stat = await runtime.files.stat(path);
    if (stat === undefined) throw new CacheError("unavailable", `Cannot migrate from ${path}: nothing is there`);
    const database = stat.isDirectory ? `${path}/cache.db` : path;
    const isSqlite = (stat.isFile || runtime.files.exists(database)) && isDatabase(runtime, database);
    const openers: Readonly<Record<ForeignFormat, () => Promise<Source | undefined>>> = {
      "safety-tooling": () => openSafetyTooling(path, provider, setting),
      langchain: async () => stat.isFile && isSqlite ? await openLangChain(path, setting) : undefined,
      litellm: async () =>
        isSqlite ? await openLiteLlm({ folder: folderOf(path, stat.isFile), database }, requests, setting) : undefined,
      promptfoo: async () => isSqlite ? undefined : await openPromptfoo(path, upstreams, setting),
    };
    for (const name of format === undefined ? FOREIGN_FORMATS : [format]) {
      const source = await openers[name]();
      if (source !== undefined) return source;
    }
    const isOurs = stat.isFile && isSqlite && (await tablesOf(runtime, path)).has("entry");
    throw new CacheError(
      "foreign_file",
      `Cannot migrate from ${path}: it is ${
        format === undefined ? "none of the formats that are read" : `no ${format}`
      }` +
        ` (${FOREIGN_FORMATS.join(", ")}); ${
          isOurs
            ? "it is a database of ours, so give the store that it belongs to"
            : "give the file or folder that the other program writes to"
        }`,
    );
  } catch (error) {
    if (Object(error).name !== "FileError") throw error;
    throw new CacheError(
      "unavailable",
      `Cannot migrate from ${path}: ${(error as Error).message}; let this user read it, or copy it elsewhere`,
      { cause: error },
    );
  }
}

/** The folder that a database lies in. */
function folderOf(path: string, isFile: boolean): string {
  if (!isFile) return path;
  const end = path.lastIndexOf("/");
  return end < 0 ? "." : path.slice(0, end);
}
