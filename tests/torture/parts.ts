/** Who takes part in the torture. */

import type { Kind } from "./conductor.ts";

/** As often as they are listed; ours twice. */
export const writers: readonly Kind[] = [
  "ours deno",
  "ours node",
  "ours bun",
  "ours deno",
  "ours node",
  "ours bun",
  "native deno",
  "native node",
  "native bun",
  "shell",
  "shell",
];

/** As often as they are listed. */
export const readers: readonly Kind[] = [
  "ours deno",
  "ours node",
  "ours bun",
  "native node",
  "native bun",
];
