/**
 * Which machine this is, for those few who are asked before anybody could pass it to them. Whoever finds out says so
 * once: {@link ./load.ts} where there are files and processes, an entry point of its own in browsers and at the edge.
 * What a bundle for these holds therefore never mentions Node.
 *
 * @module
 */

import type { Runtime } from "./runtime.ts";

let find: (() => Promise<Runtime>) | undefined;

/** Says how to find out; the last one counts. */
export function provideRuntime(finder: () => Promise<Runtime>): void {
  find = finder;
}

/**
 * The machine this program runs on.
 *
 * @throws TypeError when nobody has said how to find out.
 */
export async function currentRuntime(): Promise<Runtime> {
  if (find !== undefined) return await find();
  throw new TypeError("Cannot tell which machine this is: import warmcache by one of its entry points");
}
