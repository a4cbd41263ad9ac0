/** A cache that cannot be had leaves nothing open. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { joinCache } from "../../src/compose/join_cache.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { openMemoryStore } from "../../src/store/memory/memory_store.ts";

describe("joinCache", () => {
  it("closes the store when an option of the cache is refused", async () => {
    const runtime = await loadRuntime();
    let open = 0;
    const memory = (): Promise<ReturnType<typeof openMemoryStore>> => {
      open++;
      const store = openMemoryStore({ clock: runtime.clock, maxBytes: 1024 });
      const { close } = store;
      store.close = async () => {
        open--;
        await close.call(store);
      };
      return Promise.resolve(store);
    };
    const joining = joinCache({ runtime, stores: { memory } }, { backend: "memory", ttl: -1 });
    await assert.rejects(joining, { name: "RangeError", message: /ttl/ });
    assert.equal(open, 0);
  });
});
