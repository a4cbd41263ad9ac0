/** A container's file system: what an image holds lies below, what is written lies above, and programs see one folder. */

import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { onSmallDisk } from "./small_disk.ts";

/**
 * Runs on an overlay whose lower layer `fill` fills; skips the test where this process may not mount one. `folder` must
 * not be there yet.
 */
export async function onOverlay(
  context: TestContext,
  folder: string,
  fill: (lower: string) => Promise<void>,
  run: (merged: string) => Promise<void>,
): Promise<void> {
  // An upper layer may itself lie on anything but an overlay, which /tmp is in a container.
  await onSmallDisk(context, folder, async () => {
    const [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map((name) => join(folder, name)) as [
      string,
      string,
      string,
      string,
    ];
    for (const directory of [lower, upper, work, merged]) await mkdir(directory);
    await fill(lower);
    const layers = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    try {
      execFileSync("mount", ["-t", "overlay", "-o", layers, "overlay", merged], { stdio: "pipe" });
    } catch {
      // Not a part that could be installed: an overlay cannot be mounted on every overlay.
      return context.skip("this process may not mount an overlay");
    }
    try {
      await run(merged);
    } finally {
      execFileSync("umount", ["-l", merged]);
    }
  }, "16m");
}
