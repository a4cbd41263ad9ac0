/** Looks through rows of numbers on a GPU that the CPU plays, and reports what was found. */

import type { RowsWanted } from "../../src/model/generation/row.ts";
import { openGpu } from "../../src/model/worker/gpu.ts";
import { GpuRows } from "../../src/model/worker/gpu_rows.ts";
import type { FloatType } from "../../src/model/worker/tensors.ts";
import type { Ort } from "../../src/model/worker/ort.ts";
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
  /** The device has no room for buffers of so many bytes. */
  readonly roomBelow?: number;
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
  readonly failure?: string;
}

const port = workerPort();
port.onMessage(async (message) => {
  port.post(await search(message as Search).catch((error) => ({ failure: String(error.message) })));
});

async function search({ type, bits, size, wanted, times = 1, roomBelow }: Search): Promise<SearchOutcome> {
  const { device, bytes } = await openGpu("software");
  const buffer = device.createBuffer({
    size: Math.ceil(bits.byteLength / 16) * 16,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
  });
  const padded = new Uint8Array(buffer.size);
  padded.set(new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength));
  device.queue.writeBuffer(buffer, 0, padded);
  let buffers = 0;
  const create = device.createBuffer;
  device.createBuffer = (descriptor) => {
    buffers++;
    const isTooLarge = roomBelow !== undefined && descriptor.size >= roomBelow;
    return create(isTooLarge ? { ...descriptor, size: 2 ** 52 } : descriptor);
  };
  const tensor = { type, dims: [1, bits.length / size, size], size: bits.length, gpuBuffer: buffer };
  const rows = new GpuRows(device);
  let found = await rows.find(tensor as unknown as Ort.Tensor, wanted);
  for (let time = 1; time < times; time++) found = await rows.find(tensor as unknown as Ort.Tensor, wanted);
  return {
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
  };
}
