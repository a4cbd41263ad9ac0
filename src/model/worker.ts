/**
 * A model's Worker: one base, loaded by the first call, asked by all the others, ended from outside.
 *
 * @module
 */

import { loadRuntime } from "../runtime/load.ts";
import { workerPort } from "../runtime/worker_port.ts";
import { type LoadedModel, loadModel, perform } from "./loaded_model.ts";
import { loadFailure } from "./model_files.ts";
import { loadOnnxRuntime, type OnnxRuntime } from "./ort.ts";
import { Outlet } from "./outlet.ts";
import {
  type Answer,
  type DropTask,
  errorToData,
  type FromWorker,
  type Loaded,
  type LoadTask,
  type Task,
  type ToWorker,
} from "./protocol.ts";

const port = workerPort();
const outlets = new Map<number, Outlet>();
let onnx: OnnxRuntime | undefined;
let model: LoadedModel | undefined;

port.onMessage((message) => {
  const received = message as ToWorker;
  switch (received.type) {
    case "start":
      return void serve(received.call, received.task);
    case "credit":
      return outlets.get(received.call)?.grant(received.count);
    case "cancel":
      return outlets.get(received.call)?.cancel();
  }
});

async function serve(call: number, task: Task): Promise<void> {
  const outlet = new Outlet();
  outlets.set(call, outlet);
  const send = (answer: Answer): void => {
    const memory = onnx?.memory() ?? { wasm: 0, gpu: 0 };
    const message: FromWorker = { ...answer, call, memory, adapters: model?.adapters.resident ?? [] };
    port.post(message);
  };
  try {
    for await (const value of values(task, outlet.signal)) {
      send({ type: "value", value });
      await outlet.spend();
    }
    send({ type: "end" });
  } catch (error) {
    if (!outlet.signal.aborted) send({ type: "error", error: errorToData(error) });
  } finally {
    outlets.delete(call);
  }
}

function values(task: Task, signal: AbortSignal): AsyncGenerator<unknown> {
  switch (task.kind) {
    case "load":
      return load(task);
    case "drop":
      return drop(task);
    default:
      return perform(model!, task, signal);
  }
}

async function* drop({ identity }: DropTask): AsyncGenerator<undefined> {
  model!.adapters.drop(identity);
  yield await Promise.resolve(undefined);
}

async function* load({ base, knownAdapterWeights }: LoadTask): AsyncGenerator<Loaded> {
  try {
    onnx = await loadOnnxRuntime(base.device);
  } catch (error) {
    throw loadFailure(base.name, error);
  }
  model = await loadModel(await loadRuntime(), onnx, base, knownAdapterWeights);
  yield { contextLength: model.contextLength };
}
