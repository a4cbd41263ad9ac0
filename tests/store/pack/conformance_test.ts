/**
 * A pack answers as every store does. The suite puts and removes, which a pack does not: here a store in memory takes that,
 * and whatever is read is read from a pack of it that was just made.
 */

import { describe, it } from "node:test";
import { join } from "node:path";
import type { Store } from "../../../src/store/store.ts";
import { openMemoryStore } from "../../../src/store/memory/memory_store.ts";
import { exportStore } from "../../../src/store/pack/export_store.ts";
import { openPackStore } from "../../../src/store/pack/pack_store.ts";
import { ManualClock, storeConformance } from "../../../src/testing/testing.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { machine, toolsOn } from "./fixture.ts";

for (const compression of ["zstd", "none"] as const) {
  storeConformance({ describe, it }, `packs (${compression})`, async () => {
    const time = new ManualClock();
    const clock = { ...machine.clock, now: () => time.now() };
    const tools = await toolsOn({ clock });
    const folder = await temporaryFolder();
    const memory = openMemoryStore({ clock, maxBytes: 1 << 28 });
    let made = 0;
    let current: Promise<Store> | undefined;
    let isClosed = false;
    const packed = (): Promise<Store> =>
      current ??= (async () => {
        const directory = join(folder, `${made++}`);
        await exportStore(tools, memory, directory, { compression, grace: 1e12 });
        return await openPackStore(tools, directory, { foreignKeys: true });
      })();
    const changed = <T>(result: T): T => {
      current = undefined;
      return result;
    };
    const read = async (): Promise<Store> => await (isClosed ? current ?? memory : packed());
    const store: Store = {
      name: "pack",
      location: folder,
      lookup: async (model, wants) => await (await read()).lookup(model, wants),
      put: (...args) => changed(memory.put(...args)),
      async remove(selection) {
        const before = await (await read()).size();
        const { entries } = changed(await memory.remove(selection));
        return { entries, storedBytes: before.storedBytes - (await (await read()).size()).storedBytes };
      },
      nearest: async (...args) => await (await read()).nearest(...args),
      async *list(selection) {
        yield* (await read()).list(selection);
      },
      async size() {
        const size = await (await read()).size();
        // A pack of nothing has a manifest.
        return size.entries === 0 ? { ...size, totalBytes: 0 } : size;
      },
      async close() {
        await packed().catch(() => {});
        isClosed = true;
        await (await current)?.close();
        await memory.close();
      },
    };
    return { store, clock: time, cleanup: () => {} };
  });
}
