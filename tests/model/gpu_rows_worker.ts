/** Looks through rows of numbers on a GPU that the CPU plays, and reports what was found. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { RowsWanted } from "../../src/model/generation/row.ts";
import { openGpu } from "../../src/model/worker/gpu.ts";
import { GpuRows } from "../../src/model/worker/gpu_rows.ts";
import type { FloatType } from "../../src/model/worker/tensors.ts";
import type { Ort } from "../../src/model/worker/ort.ts";
import { turn } from "../../src/model/worker/turn.ts";
import { workerPort } from "../../src/runtime/worker_port.ts";

/** Numbers to look through, and what to look for. */
export interface Search {
  readonly type: FloatType;
  /** Bits of the numbers: of a tensor [1, any, size]. */
  readonly bits: Uint32Array | Uint16Array;
  readonly size: number;
  readonly wanted: RowsWanted;
  /** How often to look for it. */
  readonly times?: number;
  /** So often the numbers lie behind each other in the tensor; once when left out. */
  readonly repeated?: number;
  /** The device has no room for buffers of so many bytes. */
  readonly roomBelow?: number;
  /** It is out of memory then; else it cannot have them at all. */
  readonly isFull?: boolean;
  /** The device's exponential is so many times what it should be. WGSL allows as much as 3 units in the last place. */
  readonly exponential?: number;
}

/** What was found of a row. */
export interface Found {
  readonly highest: number;
  readonly logSum: number;
  readonly top: readonly (readonly [id: number, logit: number])[];
  readonly asked: number | undefined;
  readonly whole: Float32Array | undefined;
}

/** What came of it. */
export interface SearchOutcome {
  readonly rows: readonly Found[];
  /** Buffers that were made. */
  readonly buffers: number;
  /** Bytes on the device, that the tensor has apart. */
  readonly left: number;
  /** Bytes of the largest buffer among them. */
  readonly largest: number;
  /** Bytes of what came back that are still held, more than the last row of the first search says that it takes. */
  readonly unsaid: number;
  readonly failure?: string;
}

const port = workerPort();
port.onMessage(async (message) => {
  port.post(await search(message as Search).catch((error) => ({ failure: String(error.message) })));
});

async function search(
  { type, bits, size, wanted, times = 1, repeated = 1, roomBelow, isFull = false, exponential }: Search,
): Promise<SearchOutcome> {
  const { device, bytes } = await openGpu("software");
  const buffer = device.createBuffer({
    size: Math.ceil(bits.byteLength * repeated / 16) * 16,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
  });
  const padded = new Uint8Array(repeated === 1 ? buffer.size : bits.byteLength);
  padded.set(new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength));
  for (let time = 0; time < repeated; time++) device.queue.writeBuffer(buffer, time * bits.byteLength, padded);
  let buffers = 0;
  let largest = 0;
  const create = device.createBuffer;
  device.createBuffer = (descriptor) => {
    buffers++;
    largest = Math.max(largest, descriptor.size);
    const isTooLarge = roomBelow !== undefined && descriptor.size >= roomBelow;
    return create(isTooLarge ? { ...descriptor, size: 2 ** 52 } : descriptor);
  };
  const pop = device.popErrorScope.bind(device);
  device.popErrorScope = async () => await pop() && isFull ? new GPUOutOfMemoryError("Not enough memory left.") : null;
  if (!isFull) device.popErrorScope = pop;
  const createModule = device.createShaderModule.bind(device);
  device.createShaderModule = ({ code, ...rest }) => {
    return createModule({
      ...rest,
      code: exponential === undefined ? code : code.replace("exp(", `${exponential} * exp(`),
    });
  };
  let refusal: string | undefined;
  device.addEventListener("uncapturederror", (event) => {
    refusal ??= (event as GPUUncapturedErrorEvent).error.message;
  });
  const came = watchCopies();
  const count = bits.length * repeated;
  const tensor = { type, dims: [1, count / size, size], size: count, gpuBuffer: buffer };
  const rows = new GpuRows(device);
  let found = await rows.find(tensor as unknown as Ort.Tensor, wanted);
  const last = found.at(-1)!.alone();
  for (let time = 1; time < times; time++) found = await rows.find(tensor as unknown as Ort.Tensor, wanted);
  await turn();
  if (refusal !== undefined) throw new Error(refusal);
  const outcome = {
    rows: found.map((row, index) => {
      const asked = wanted.ids?.[index];
      const { ids = [], logits } = row.candidates();
      const isWhole = ids.length === 0 && logits.length > 0;
      const top = row.likeliest(Math.min(wanted.top ?? 1, size)).map((id) => [id, row.at(id)] as const);
      const { highest, logSum } = row;
      const whole = isWhole ? row.whole() : undefined;
      return { highest, logSum, top, asked: asked === undefined ? undefined : row.at(asked), whole };
    }),
    buffers,
    left: bytes() - buffer.size,
    largest,
  };
  found = [];
  await turn();
  return { ...outcome, unsaid: came() - last.bytes };
}

/** Watches what is copied out of the device's buffers; tells of how many bytes of it somebody still holds. */
function watchCopies(): () => number {
  const copies: WeakRef<ArrayBuffer>[] = [];
  const slice = ArrayBuffer.prototype.slice;
  ArrayBuffer.prototype.slice = function (...parameters) {
    const copy = slice.apply(this, parameters);
    copies.push(new WeakRef(copy));
    return copy;
  };
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  return () => {
    collect();
    return copies.reduce((sum, copy) => sum + (copy.deref()?.byteLength ?? 0), 0);
  };
}
