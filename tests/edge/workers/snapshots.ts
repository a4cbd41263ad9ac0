/** A Worker without a Durable Object: its cache is in memory, and its snapshots in a bucket. */

import { type MemorySqlDriver, openCache, openMemoryDatabase, provideWasm } from "@warmcache/warmcache/edge";
import { sqlite, zstd } from "../support/wasm.js";

provideWasm({ "sqlite3.wasm": sqlite, "zstd.wasm": zstd });

interface Environment {
  readonly SNAPSHOTS: {
    get(name: string): Promise<{ arrayBuffer(): Promise<ArrayBuffer> } | null>;
    put(name: string, bytes: Uint8Array): Promise<unknown>;
  };
}

const NAME = "answers.sqlite";

export default {
  async fetch(request: Request, { SNAPSHOTS }: Environment): Promise<Response> {
    const kept = await SNAPSHOTS.get(NAME);
    const storage: MemorySqlDriver = await openMemoryDatabase(
      kept ? new Uint8Array(await kept.arrayBuffer()) : undefined,
    );
    const cache = await openCache({ storage });
    const asked = await request.json() as { model: string };
    let bought = 0;
    const answer = await cache.wrap(asked, () => {
      bought++;
      return Promise.resolve({ choices: [{ message: { content: "snapped" }, finish_reason: "stop" }] });
    });
    if (bought > 0) await SNAPSHOTS.put(NAME, storage.snapshot());
    await cache.close();
    return Response.json({ answer, bought });
  },
};
