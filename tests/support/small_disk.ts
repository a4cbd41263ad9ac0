/** A disk that is soon full, or may only be read. */

import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import type { TestContext } from "node:test";
import { skipForWant } from "./parts.ts";

/** Runs on a file system of `size` at `directory`; skips the test where this process may not mount one. */
export async function onSmallDisk(
  context: TestContext,
  directory: string,
  run: (directory: string) => Promise<void>,
  size = "1m",
): Promise<void> {
  await mkdir(directory);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size},mode=0700`, "tmpfs", directory], { stdio: "pipe" });
  } catch {
    return skipForWant(context, "this process may not mount a file system");
  }
  try {
    await run(directory);
  } finally {
    execFileSync("umount", ["-l", directory]);
  }
}

/** Makes the file system at `directory` one that may only be read. */
export function makeReadOnly(directory: string): void {
  execFileSync("mount", ["-o", "remount,ro", directory]);
}
