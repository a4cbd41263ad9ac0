/**
 * The stores of ours that need nothing of the machine but a clock and `fetch`: what every machine has.
 *
 * @module
 */

import type { OpenTier } from "./open_store.ts";

/** What a store in memory holds where nothing is said. */
export const MEMORY_BYTES: number = 256 * 1024 * 1024;

const openMemory: OpenTier = async ({ clock }, tier, settings) => {
  const { openMemoryStore } = await import("../store/memory/memory_store.ts");
  return openMemoryStore({ clock, maxBytes: tier.maxBytes ?? settings.maxBytes ?? MEMORY_BYTES });
};

const openRemote: OpenTier = async (runtime, tier, settings, isAlone) => {
  if (isAlone) refuseLimit("a remote store", "the server has a limit of its own", tier.maxBytes ?? settings.maxBytes);
  const { openRemoteStore } = await import("../store/remote/remote_store.ts");
  const connection = tier.remote ?? settings.remote;
  const from = tier.remote === undefined ? settings.remoteFrom : undefined;
  return await naming(from, () => openRemoteStore({ ...connection, runtime }));
};

/** Openers by the names of their backends. */
export const PORTABLE_STORES: { readonly memory: OpenTier; readonly remote: OpenTier } = {
  memory: openMemory,
  remote: openRemote,
};

/** Refuses a limit where somebody else has one. */
export function refuseLimit(store: string, advice: string, maxBytes: number | undefined): void {
  if (maxBytes === undefined) return;
  throw new RangeError(`Cannot open ${store}: it takes no maxBytes; ${advice}: ${maxBytes}`);
}

/** Opens a store; when it is told something odd, the message says where that came from. */
export async function naming<T>(from: string | undefined, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    if (!(error instanceof TypeError) || from === undefined) throw error;
    throw new TypeError(`Cannot use ${from}: ${error.message}`);
  }
}
