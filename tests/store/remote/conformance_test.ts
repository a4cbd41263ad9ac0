/** The remote store keeps the contract of every store: at a server without keys, and at one that keeps keys apart. */

import { describe, it } from "node:test";
import type { ServerOptions } from "../../../src/compose/server.ts";
import { openRemoteStore } from "../../../src/store/remote/remote_store.ts";
import { storeConformance, type StoreUnderTest } from "../../../src/testing/testing.ts";
import { RedisClock } from "../redis/fixture.ts";
import { machine, PATIENCE, storeServer } from "./fixture.ts";

async function open(options: ServerOptions, apiKey?: string): Promise<StoreUnderTest> {
  const clock = new RedisClock(machine.clock);
  const server = await storeServer(options, clock);
  const { url } = server;
  const reopen = () => openRemoteStore({ runtime: { clock }, url, timeout: PATIENCE, ...apiKey && { apiKey } });
  return { store: await reopen(), clock, another: reopen, reopen, cleanup: () => server.stop() };
}

const FACETS = ["claims", "failures", "ledger", "onFault", "another", "reopen"] as const;
storeConformance({ describe, it }, "remote", () => open({ locking: "exclusive" }), FACETS);
storeConformance(
  { describe, it },
  "remote, by key",
  () => open({ locking: "exclusive", apiKey: ["me=sesame", "other=open"] }, "sesame"),
  FACETS,
);
