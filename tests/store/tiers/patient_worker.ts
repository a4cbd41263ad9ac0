/** Waits for a tier that never answers, with nothing else to do. */

import { loadRuntime } from "../../../src/runtime/load.ts";
import { openMemoryStore } from "../../../src/store/memory/memory_store.ts";
import { Tier } from "../../../src/store/tiers/tier.ts";

const { clock } = await loadRuntime();
const tier = new Tier(openMemoryStore({ clock, maxBytes: 1000 }), clock, 50);
try {
  await tier.ask(() => new Promise(() => {}), { tried: "ask" });
} catch (error) {
  console.log((error as Error).message.split(": ")[1]);
}
