/** Makes tensors on the device it is told, has onnxruntime read them, and reports what came back. */

import { loadOnnxRuntime, type OnnxLibraries } from "../../src/model/worker/ort.ts";
import type { FloatType } from "../../src/model/worker/tensors.ts";
import { workerPort } from "../../src/runtime/worker_port.ts";
import { GraphBuilder } from "../support/onnx_builder.ts";

const LIBRARIES: OnnxLibraries = {
  wasm: () => import("onnxruntime-web"),
  webgpu: () => import("onnxruntime-web/webgpu"),
};

/** What to try. */
export interface Trial {
  readonly device: string;
  readonly type: FloatType;
  readonly dims: readonly number[];
  /** So many positions are kept. */
  readonly length: number;
  /** The device refuses all buffers that are made for it from then on. */
  readonly full?: boolean;
}

/** What came of it. */
export interface Outcome {
  /** What was put in; integers that both types hold exactly. */
  readonly whole: readonly number[];
  /** What the library read from a resident tensor, from that one trimmed, and from its own output trimmed. */
  readonly read: readonly (readonly number[])[];
  readonly dims: readonly (readonly number[])[];
  /** How often bytes were fetched from the GPU while it was trimmed. */
  readonly downloads: number;
  /** Bytes on the GPU that two tensors took, and that were left when they were disposed. */
  readonly taken: number;
  readonly left: number;
  readonly failure: string | undefined;
}

let downloads = 0;
if ("GPUBuffer" in globalThis) {
  const map = GPUBuffer.prototype.mapAsync;
  GPUBuffer.prototype.mapAsync = function (...parameters) {
    downloads++;
    return map.apply(this, parameters);
  };
}

const port = workerPort();
port.onMessage(async (message) => {
  const outcome: Partial<Outcome> = await attempt(message as Trial).catch((error) => ({ failure: error.message }));
  port.post(outcome);
});

async function attempt({ device, type, dims, length, full = false }: Trial): Promise<Outcome> {
  if (full) refuseBuffers();
  const onnx = await loadOnnxRuntime(device, LIBRARIES);
  const session = await onnx.ort.InferenceSession.create(negation(type), onnx.sessionOptions);
  const negated = async (tensor: typeof resident) => (await session.run({ x: tensor })).y!;
  const numbers = async (tensor: typeof resident): Promise<number[]> => {
    const data = await tensor.getData() as Float32Array;
    return Array.from(data, Number);
  };
  const whole = Array.from({ length: dims.reduce((product, size) => product * size) }, (_, index) => index % 2000);
  const data = type === "float32" ? Float32Array.from(whole) : new Uint16Array(Float16Array.from(whole).buffer);

  const before = onnx.memory().gpu;
  const resident = await onnx.resident(type, data, dims);
  const trimmed = await onnx.trimmed(resident, length);
  const taken = onnx.memory().gpu - before;
  const output = await negated(resident);
  const unasked = downloads;
  const trimmedOutput = await onnx.trimmed(output, length);
  const during = downloads - unasked;
  const read = [output, await negated(trimmed), await negated(trimmedOutput)];
  const outcome = {
    whole,
    read: await Promise.all([numbers(read[0]!), numbers(read[1]!), numbers(read[2]!)]),
    dims: read.map((tensor) => tensor.dims),
    downloads: during,
    taken,
    failure: undefined,
  };
  const held = onnx.memory().gpu;
  resident.dispose();
  trimmed.dispose();
  return { ...outcome, left: taken - (held - onnx.memory().gpu) };
}

/** A model that gives the negative of what it takes. */
function negation(type: FloatType): Uint8Array {
  const graph = new GraphBuilder();
  graph.input("x", type, ["batch", "heads", "positions", "size"]);
  graph.node("Neg", ["x"], { outputs: ["y"] });
  graph.output("y", type, ["batch", "heads", "positions", "size"]);
  return graph.finish().graph;
}

function refuseBuffers(): void {
  const create = GPUDevice.prototype.createBuffer;
  GPUDevice.prototype.createBuffer = function (descriptor) {
    return create.call(this, { ...descriptor, size: 2 ** 52 });
  };
}
