/** Packs in temporary folders, and what is put into them. */

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { requestKey } from "../../../src/cache/request/key.ts";
import { loadZstd } from "../../../src/codec/zstd.ts";
import { loadRuntime } from "../../../src/runtime/load.ts";
import type { Clock, Runtime } from "../../../src/runtime/runtime.ts";
import { openMemoryStore } from "../../../src/store/memory/memory_store.ts";
import { type ExportOptions, type ExportReport, exportStore } from "../../../src/store/pack/export_store.ts";
import type { PackTools } from "../../../src/store/pack/format.ts";
import type { NewEntry, RequestRecord, Store } from "../../../src/store/store.ts";
import { temporaryFolder } from "../../support/temporary.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const MEMORY_BYTES = 1 << 28;

export const machine: Runtime = await loadRuntime();
/** When answers were stored, unless a test says otherwise. */
export const NOW = 1_700_000_000_000;
export const MODEL = "gpt-4o-mini";

/** The machine, some of it another. */
export async function toolsOn(runtime: Partial<Runtime> = {}): Promise<PackTools> {
  return { runtime: { ...machine, ...runtime }, zstd: await loadZstd() };
}
export const tools: PackTools = await toolsOn();

/** A request under its own key, known by a word. */
export function requestOf(word: string, scope: Partial<RequestRecord> = {}, model: string = MODEL): RequestRecord {
  const { namespace = "", provider = "openai", endpoint = "/v1/chat/completions", identity = null } = scope;
  const body = { model, messages: [{ role: "user", content: word }] };
  const asked = { namespace, provider, endpoint, identity, body };
  const { key, canonicalBody } = requestKey(asked, new Set(), (bytes) => machine.sha256(bytes));
  const sketch = key.slice(0, 16);
  return { namespace, provider, endpoint, identity, key, body: encoder.encode(canonicalBody), sketch, ...scope };
}

/** An answer. */
export function answerOf(body: string | Uint8Array, fields: Partial<NewEntry> = {}): NewEntry {
  return {
    mediaType: "application/json",
    outcome: "stop",
    modelAsked: MODEL,
    modelAnswered: "gpt-4o-mini-2024-07-18",
    fingerprint: "fp_1",
    promptTokens: 12,
    completionTokens: 34,
    costMicrodollars: 56.0625,
    latency: 789.25,
    created: NOW,
    expires: null,
    body: typeof body === "string" ? encoder.encode(body) : body,
    ...fields,
  };
}

/** A store in memory whose time stands still. */
export function memoryStore(now: number = NOW): Store {
  return openMemoryStore({ clock: clockAt(now), maxBytes: MEMORY_BYTES });
}

/** A clock that stands still. */
export function clockAt(now: number): Clock {
  return { ...machine.clock, now: () => now };
}

/** Puts the answers to a word's request. */
export async function put(
  store: Store,
  word: string,
  answers: readonly NewEntry[],
  model: string = MODEL,
): Promise<void> {
  await store.put(model, requestOf(word, {}, model), answers, "append");
}

/** A store in memory that holds answers by words. */
export async function storeWith(contents: Record<string, readonly NewEntry[]>): Promise<Store> {
  const store = memoryStore();
  for (const [word, answers] of Object.entries(contents)) await put(store, word, answers);
  return store;
}

/** The texts of a word's answers. */
export async function texts(store: Store, word: string, model: string = MODEL): Promise<string[]> {
  const [found] = await store.lookup(model, [{ key: requestOf(word, {}, model).key, samples: 100 }]);
  return found!.entries.map((entry) => decoder.decode(entry.bytes()));
}

/** Exports a store into a new folder. */
export async function packOf(store: Store, options: ExportOptions = {}): Promise<ExportReport> {
  return await exportStore(tools, store, join(await temporaryFolder(), "pack"), options);
}

/** A pack that holds answers by words. */
export async function packWith(
  contents: Record<string, readonly NewEntry[]>,
  options: ExportOptions = {},
): Promise<string> {
  return (await packOf(await storeWith(contents), options)).directory;
}

/** All files in a folder, by their paths in it, in hexadecimal. */
export async function filesIn(folder: string): Promise<Record<string, string>> {
  const paths = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
  const files: Record<string, string> = {};
  for (const path of paths) files[path.slice(folder.length + 1)] = (await readFile(path)).toString("hex");
  return files;
}

/** The one shard of a small pack. */
export async function shardIn(folder: string): Promise<string> {
  return join(folder, Object.keys(await filesIn(folder)).find((path) => path.includes(".jsonl"))!);
}
