/** A cache whose store is at a server keeps what callers are promised, like any other: `conformance_test.ts`. */

import { describe, it } from "node:test";
import type { ResponseCache } from "../../src/cache/response_cache.ts";
import { openCacheOn, type OpenCacheOptions } from "../../src/compose/open_cache.ts";
import type { ServerOptions } from "../../src/compose/server.ts";
import type { Clock } from "../../src/runtime/runtime.ts";
import { cacheConformance, ManualClock } from "../../src/testing/testing.ts";
import { machine, PATIENCE, storeServer } from "../store/remote/fixture.ts";

/** What goes by the time of day goes by the test's, at the server too; a server's answer takes the time that it takes. */
function waitingIsReal(time: ManualClock): Clock {
  return { ...machine.clock, now: () => time.now(), monotonic: () => time.monotonic() };
}

function conformance(name: string, server: ServerOptions, apiKey: string | undefined, tiers: boolean): void {
  cacheConformance({ describe, it }, name, async () => {
    const time = new ManualClock();
    const clock = waitingIsReal(time);
    const running = await storeServer(server, clock);
    const remote = { url: running.url, timeout: PATIENCE, ...apiKey !== undefined && { apiKey } };
    const last = { backend: "remote", remote, deadline: PATIENCE } as const;
    const stores: OpenCacheOptions = tiers ? { tiers: ["memory", last] } : { backend: "remote", remote };
    const runtime = { ...machine, clock, environment: () => undefined };
    const open = (): Promise<ResponseCache> => openCacheOn(runtime, { keepExpired: 1000, ...stores });
    return { cache: await open(), clock: time, another: open, reopen: open, cleanup: () => running.stop() };
  }, ["clock", "another", "reopen", "claims"]);
}

conformance("remote", { locking: "exclusive" }, undefined, false);
conformance("memory, remote by key", { locking: "exclusive", apiKey: ["me=sesame", "other=open"] }, "sesame", true);
