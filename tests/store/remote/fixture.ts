/** What the tests of the remote store share: a real server, and stores that reach it. */

import { type RunningServer, type ServerOptions, startServerOn } from "../../../src/compose/server.ts";
import { loadRuntime } from "../../../src/runtime/load.ts";
import type { Clock, Runtime } from "../../../src/runtime/runtime.ts";
import type { RemoteConnection } from "../../../src/store/remote/options.ts";
import { openRemoteStore } from "../../../src/store/remote/remote_store.ts";
import type { Store, StoreFault } from "../../../src/store/store.ts";
import { temporaryFolder } from "../../support/temporary.ts";

export const machine: Runtime = await loadRuntime();

/** Longer than a machine with much else to do keeps a server waiting. */
export const PATIENCE: number = 60_000;

/** A server with a store of its own, and no models. Whoever starts it stops it. */
export async function storeServer(options: ServerOptions = {}, clock: Clock = machine.clock): Promise<RunningServer> {
  const runtime = { ...machine, clock, environment: () => undefined };
  const folder = await temporaryFolder();
  return await startServerOn(runtime, { port: 0, models: folder, hub: false, cache: `${folder}/cache`, ...options });
}

/** A store, with a list of the faults it reported. */
export async function openStore(
  connection: RemoteConnection,
  clock: Clock = machine.clock,
): Promise<{ store: Store; faults: StoreFault[] }> {
  const store = await openRemoteStore({ runtime: { clock }, timeout: PATIENCE, ...connection });
  const faults: StoreFault[] = [];
  store.onFault!((fault) => faults.push(fault));
  return { store, faults };
}
