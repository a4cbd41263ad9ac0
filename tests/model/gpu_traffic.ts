/** A model on a GPU whose work is counted. */

import type { Backend, OnnxBase } from "../../src/model/backend.ts";
import { loadOnnxBackend, type LoadOptions } from "../../src/model/onnx_backend.ts";
import type { Runtime, WorkerHandle } from "../../src/runtime/runtime.ts";
import type { Traffic } from "./counting_gpu_worker.ts";

/** A backend, and what its GPU was asked for so far. */
export interface CountedBackend {
  readonly backend: Backend;
  readonly traffic: () => Promise<Traffic>;
}

/** Loads a base into a process that counts. */
export async function loadCounted(
  runtime: Runtime,
  base: OnnxBase,
  options: LoadOptions = {},
): Promise<CountedBackend> {
  let handle: WorkerHandle | undefined;
  const waiting: ((traffic: Traffic) => void)[] = [];
  const spawnProcess = (_: URL, name: string): WorkerHandle => {
    const started = runtime.spawnProcess!(new URL("./counting_gpu_worker.ts", import.meta.url), name);
    handle = started;
    const onMessage: WorkerHandle["onMessage"] = (handler) =>
      started.onMessage((message) => {
        const { type, traffic } = message as { readonly type: string; readonly traffic: Traffic };
        if (type === "counted") waiting.shift()!(traffic);
        else handler(message);
      });
    return { ...started, onMessage };
  };
  const backend = await loadOnnxBackend({ ...runtime, spawnProcess }, base, options);
  const traffic = (): Promise<Traffic> =>
    new Promise((resolve) => {
      waiting.push(resolve);
      handle!.post({ type: "count" });
    });
  return { backend, traffic };
}

/** What doing something moves, when it was done before. */
export async function moved({ traffic }: CountedBackend, ask: () => Promise<unknown>): Promise<Traffic> {
  await ask();
  const before = await traffic();
  await ask();
  const after = await traffic();
  return combined(after, before, (one, other) => one - other);
}

/** What each further step of something moves: the difference between few steps and more. */
export async function movedByStep(
  counted: CountedBackend,
  ask: (steps: number) => Promise<unknown>,
  few: number = 3,
  more: number = 7,
): Promise<Traffic> {
  const [less, all] = [await moved(counted, () => ask(few)), await moved(counted, () => ask(more))];
  return combined(all, less, (one, other) => (one - other) / (more - few));
}

function combined(one: Traffic, other: Traffic, combine: (one: number, other: number) => number): Traffic {
  const kinds = Object.keys(one) as (keyof Traffic)[];
  return Object.fromEntries(kinds.map((kind) => [kind, combine(one[kind], other[kind])])) as unknown as Traffic;
}
