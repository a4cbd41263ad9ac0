/** What the tests of migration share: stores, and all that is in them. */

import { fileURLToPath } from "node:url";
import { hexOf } from "../../src/runtime/hex.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { openFileStore } from "../../src/store/file/file_store.ts";
import { openMemoryStore } from "../../src/store/memory/memory_store.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite_store.ts";
import type { Store } from "../../src/store/store.ts";
import { temporaryFolder } from "../support/temporary.ts";

export const machine: Runtime = await loadRuntime();

/** A file of the fixtures beside the scripts that made them. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));
}

/** A store in memory. */
export function memoryStore(runtime: Runtime = machine): Store {
  return openMemoryStore({ clock: runtime.clock, maxBytes: 256 * 1024 * 1024 });
}

const FOR_LONG = 100 * 365 * 24 * 3600 * 1000;

/** Stores by name, each empty, which keep what has expired. */
export const STORES: Record<string, (runtime: Runtime) => Promise<Store>> = {
  memory: (runtime) => Promise.resolve(memoryStore(runtime)),
  file: async (runtime) => await openFileStore({ runtime, directory: await temporaryFolder(), keepExpired: FOR_LONG }),
  sqlite: async (runtime) =>
    await openSqliteStore({
      runtime,
      directory: await temporaryFolder(),
      keepExpired: FOR_LONG,
      locking: "exclusive",
    }),
};

/** All that is in a store, request by request, in a form that can be compared. */
export async function contentsOf(store: Store): Promise<Record<string, unknown>> {
  const contents: Record<string, unknown> = {};
  for await (const { model, request } of store.list()) {
    const want = { key: request.key, samples: Number.MAX_SAFE_INTEGER, grace: Number.MAX_SAFE_INTEGER };
    const [found] = await store.lookup(model, [want]);
    contents[`${model} ${hexOf(request.key)}`] = {
      request: {
        ...request,
        key: hexOf(request.key),
        body: new TextDecoder().decode(request.body),
        sketch: hexOf(request.sketch),
      },
      entries: found!.entries.map((entry) => ({
        mediaType: entry.mediaType,
        outcome: entry.outcome,
        modelAsked: entry.modelAsked,
        modelAnswered: entry.modelAnswered,
        fingerprint: entry.fingerprint,
        promptTokens: entry.promptTokens,
        completionTokens: entry.completionTokens,
        costMicrodollars: entry.costMicrodollars,
        latency: entry.latency,
        created: entry.created,
        expires: entry.expires,
        text: new TextDecoder().decode(entry.bytes()),
      })),
    };
  }
  return contents;
}
