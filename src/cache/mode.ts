/**
 * What a call may do to the cache: one word for it, on the whole cache or on one call.
 *
 * @module
 */

/**
 * - `read-write`: answers from the cache, stores what it has to buy (the default).
 * - `read-only`: answers from the cache, stores nothing.
 * - `write-only`: always buys, and adds what it bought to what is there: every call is one more sample.
 * - `refresh`: always buys, and puts what it bought in the place of what is there.
 * - `replay`: answers from the cache or not at all: a miss is a `CacheError` `replay_miss`, and nothing is ever called.
 * - `off`: neither reads nor stores.
 */
export type Mode = "read-write" | "read-only" | "write-only" | "refresh" | "replay" | "off";

const RIGHTS: Readonly<Record<Mode, { readonly reads: boolean; readonly writes: boolean }>> = {
  "read-write": { reads: true, writes: true },
  "read-only": { reads: true, writes: false },
  "write-only": { reads: false, writes: true },
  refresh: { reads: false, writes: true },
  replay: { reads: true, writes: false },
  off: { reads: false, writes: false },
};

/** All of them. */
export const MODES: readonly Mode[] = Object.keys(RIGHTS) as Mode[];

/** Whether a mode looks into the cache. */
export function reads(mode: Mode): boolean {
  return RIGHTS[mode].reads;
}

/** Whether a mode stores what was bought. */
export function writes(mode: Mode): boolean {
  return RIGHTS[mode].writes;
}

/**
 * Refuses what is no mode.
 *
 * @throws TypeError
 */
export function checkMode(mode: unknown): asserts mode is Mode {
  if (typeof mode === "string" && Object.hasOwn(RIGHTS, mode)) return;
  throw new TypeError(`Cannot use a mode (it is one of ${MODES.join(", ")}): ${String(mode)}`);
}
