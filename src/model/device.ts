/**
 * Where a model runs: which device `auto` is, and what a model on each device lives in.
 *
 * @module
 */

import type { Milliseconds, Runtime, WorkerHandle } from "../runtime/runtime.ts";
import { siblingModule } from "../runtime/sibling.ts";
import type { ModelDevice } from "./backend.ts";
import { ModelError } from "./error.ts";
import { WorkerLine } from "./worker/worker_line.ts";
// Started by URL below; the import tells packers that it, and what it imports, belongs to the package.
import type {} from "./worker/worker.ts";

/** Graphics drivers have been asked for that long; then there is none. */
const PATIENCE: Milliseconds = 10_000;

/**
 * What `auto` is on this machine: a real GPU where there is one, never one that the CPU plays. A process of its own
 * looks for it, since drivers stay in the memory of whoever has loaded them.
 */
export async function automaticDevice(runtime: Runtime): Promise<ModelDevice> {
  if (runtime.spawnProcess === undefined) return "wasm";
  try {
    const worker = spawnModelWorker(runtime, "webgpu", "search for a GPU");
    const line = new WorkerLine(worker, { clock: runtime.clock, silence: PATIENCE });
    try {
      return await line.ask({ kind: "device" });
    } finally {
      line.end();
    }
  } catch {
    return "wasm";
  }
}

/**
 * Starts what a model on `device` lives in. On a GPU that is a process: Deno's WebGPU panics on some mistakes, which
 * ends the process whichever Worker makes them.
 *
 * @throws ModelError `model_load_failed` where this runtime has no GPU for us; FileError when it cannot be started.
 */
export function spawnModelWorker(runtime: Runtime, device: string, name: string): WorkerHandle {
  const module = siblingModule("worker/worker", import.meta.url);
  if (!device.startsWith("webgpu")) return runtime.spawnWorker(module, name);
  if (runtime.spawnProcess !== undefined) return runtime.spawnProcess(module, name);
  const message =
    `Cannot run a ${name} on ${device}: WebGPU needs Deno, and this is ${runtime.name}; use the device wasm`;
  throw new ModelError("model_load_failed", message, { permanent: true });
}
