/** The GPU that tests use: one that the CPU plays, lavapipe from Debian's `mesa-vulkan-drivers`. */

import process from "node:process";
import { deviceFacts } from "../../src/model/device.ts";
import { loadRuntime } from "../../src/runtime/load.ts";

const { reason = "" } = await deviceFacts(await loadRuntime(), "webgpu:software");
const isMissing = /has no software WebGPU adapter/.test(reason);

/**
 * Why tests that need it are skipped; `false` where they are not. On CI everything has to be there; a GPU that is there
 * and does not work is no reason anywhere.
 */
export const skipWithoutGpu: string | false = /needs Deno/.test(reason) || (isMissing && process.env.CI !== "true")
  ? `${reason}: run on Deno, with mesa-vulkan-drivers`
  : false;
