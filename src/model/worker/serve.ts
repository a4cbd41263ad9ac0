/**
 * What a model's Worker does: one base, loaded by the first call, asked by all the others, ended from outside. Whoever
 * begins the Worker says which machine it is on, and which builds of onnxruntime-web are for it.
 *
 * @module
 */

import { currentRuntime } from "../../runtime/current.ts";
import type { Milliseconds, Runtime } from "../../runtime/runtime.ts";
import { workerPort } from "../../runtime/worker_port.ts";
import { type LoadedModel, loadModel } from "./loaded_model.ts";
import { runFailure } from "../failure.ts";
import { ModelError } from "../error.ts";
import { openGpu } from "./gpu.ts";
import { loadOnnxRuntime, type OnnxLibraries, type OnnxRuntime } from "./ort.ts";
import { Outlet } from "./outlet.ts";
import {
  type Answer,
  type DeviceTask,
  type DropTask,
  errorToData,
  type FromWorker,
  type Loaded,
  type LoadTask,
  type Task,
  type ToWorker,
  type ValueOf,
} from "./protocol.ts";

const port = workerPort();
/** A failed run on a GPU was its Worker's last, so there is time. */
const LOSS_IS_KNOWN_AFTER: Milliseconds = 1000;
const outlets = new Map<number, Outlet>();
let libraries: OnnxLibraries;
let onnx: OnnxRuntime | undefined;
let model: LoadedModel | undefined;

/** Begins to serve. To be called at once: a message that comes before anybody listens is lost. */
export function serveModel(builds: OnnxLibraries): void {
  libraries = builds;
  port.onMessage((message) => {
    const received = message as ToWorker;
    switch (received.type) {
      case "start":
        return void serve(received.call, received.task);
      case "credit":
        return outlets.get(received.call)?.grant(received.count);
      case "cancel":
        return outlets.get(received.call)?.cancel();
      case "ping":
        return send(0, { type: "pong", run: onnx?.lock.current });
    }
  });
}

function send(call: number, answer: Answer): void {
  const { wasm, gpu } = onnx?.memory() ?? { wasm: 0, gpu: 0 };
  const memory = { wasm: wasm + (model?.keptBytes ?? 0), gpu };
  const message: FromWorker = { ...answer, call, memory, adapters: model?.adapters.resident ?? [] };
  port.post(message);
}

async function serve(call: number, task: Task): Promise<void> {
  const outlet = new Outlet();
  outlets.set(call, outlet);
  try {
    for await (const value of values(task, outlet.signal)) {
      send(call, { type: "value", value });
      await outlet.spend();
    }
    send(call, { type: "end" });
  } catch (error) {
    if (!outlet.signal.aborted) send(call, { type: "error", error: errorToData(await whyFailed(error)) });
  } finally {
    outlets.delete(call);
  }
}

function values(task: Task, signal: AbortSignal): AsyncGenerator<unknown> {
  switch (task.kind) {
    case "load":
      return load(task);
    case "device":
      return device(task);
    case "drop":
      return drop(task);
    default:
      return model!.perform(task, signal);
  }
}

/** A run on a GPU that has gone away fails with anything, a moment before it is known why. */
async function whyFailed(error: unknown): Promise<ModelError> {
  const failure = runFailure(error);
  if (failure.code !== "worker_failed" || onnx?.lost === undefined) return failure;
  const { clock } = await currentRuntime();
  return await Promise.race([onnx.lost.then(deviceLost), clock.sleep(LOSS_IS_KNOWN_AFTER).then(() => failure)]);
}

function deviceLost(reason: string): ModelError {
  return new ModelError("device_lost", `The GPU went away: ${reason}`);
}

async function* device({ gpu }: DeviceTask): AsyncGenerator<ValueOf<DeviceTask>> {
  try {
    const { device } = await openGpu(gpu);
    yield { float16: device.features.has("shader-f16") };
  } catch (error) {
    throw new ModelError("model_load_failed", (error as Error).message, { cause: error });
  }
}

async function* drop({ identity }: DropTask): AsyncGenerator<undefined> {
  model!.adapters.drop(identity);
  yield await Promise.resolve(undefined);
}

async function* load({ base, knownAdapterWeights }: LoadTask): AsyncGenerator<Loaded> {
  try {
    onnx = await loadOnnxRuntime(base.device, libraries);
  } catch (error) {
    // Another machine, or this one later, may have the device.
    const message = `Cannot load ${base.name}: ${(error as Error).message}; use another device`;
    throw new ModelError("model_load_failed", message, { cause: error });
  }
  // Of no call in particular: nothing more can be asked of this Worker.
  void onnx.lost?.then((reason) => send(0, { type: "error", error: errorToData(deviceLost(reason)) }));
  const runtime = await currentRuntime();
  await havingAdapters(runtime, knownAdapterWeights);
  model = await loadModel(runtime, onnx, base, knownAdapterWeights);
  yield { contextLength: model.contextLength, abilities: model.abilities };
}

/** Has adapters at hand. One that cannot be had does not concern the base; it fails when it is used. */
async function havingAdapters({ files }: Runtime, weights: readonly string[]): Promise<void> {
  await Promise.all(weights.map((path) => files.prepare?.([path]).catch(() => {})));
}
