/**
 * Logits, looked through where they are. A row has as many as 150,000 numbers, and of most rows no more is wanted than
 * how likely one token is, or which few are the likeliest: a shader finds that out, and a few hundred bytes come back in
 * place of 600 KB. The numbers that come back are the logits' own, but for the sign of a zero; only the sum of their
 * exponentials is computed there, in float32.
 *
 * @module
 */

import type { Ort } from "./ort.ts";
import { widened } from "../adapter/float16.ts";
import { exp, log } from "../generation/portable_math.ts";
import { MOST_OF_A_ROW, ReducedRow, type Row, type RowsWanted } from "../generation/row.ts";
import { GpuScratch } from "./gpu_scratch.ts";

/** Threads of a workgroup, and numbers that each looks at: a workgroup has a part of a row. */
const THREADS = 256;
const NUMBERS = 8;
const PART = THREADS * NUMBERS;
/** What buffers are bound, and copied, at whole multiples of. */
const BINDING = 256;
const WORD = 4;
/** So many bytes come back at once, or one row's: of a long text, as many rows are looked through at a time. */
const BACK_BYTES = 2 ** 23;

/**
 * A row's numbers are compared as integers in the order of the numbers, since shaders need not know infinities and
 * NaNs: `KEY` of the bits of a float32, in which NaN is the highest and 0 is below everything.
 */
const NAN = 0xffffffff;
const MINUS_INFINITY = 0x007fffff;
/** e to the power of it is nothing in a sum of a million numbers of which one is 1. */
const LEAST_EXPONENT = -80;

/**
 * Of a part of a row, by rounds: the highest number that is left, the first of several; and, of the highest, the sum of
 * what e is to the power of every number less that one. What comes out of a part: that sum, then key and id of each
 * round; behind all parts of a row, the key of the token that was asked for.
 */
const SHADER = `
struct Task {
  size: u32,
  first: u32,
  parts: u32,
  top: u32,
}
@group(0) @binding(0) var<storage, read> logits: array<u32>;
@group(0) @binding(1) var<storage, read> ids: array<u32>;
@group(0) @binding(2) var<storage, read_write> found: array<u32>;
@group(0) @binding(3) var<uniform> task: Task;
override halves: bool;

var<workgroup> keys: array<u32, ${PART}>;
var<workgroup> highest: array<u32, ${THREADS}>;
var<workgroup> places: array<u32, ${THREADS}>;
var<workgroup> sums: array<f32, ${THREADS}>;

fn bitsAt(index: u32) -> u32 {
  if (!halves) { return logits[index]; }
  let half = (logits[index >> 1u] >> ((index & 1u) * 16u)) & 0xffffu;
  let sign = (half & 0x8000u) << 16u;
  let exponent = (half >> 10u) & 0x1fu;
  let fraction = half & 0x3ffu;
  if (exponent == 0x1fu) { return sign | 0x7f800000u | (fraction << 13u); }
  if (exponent == 0u) { return sign | bitcast<u32>(f32(fraction) * 0x1p-24f); }
  return sign | ((exponent + 112u) << 23u) | (fraction << 13u);
}

fn keyOf(bits: u32) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return ${NAN}u; }
  if (magnitude == 0u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}

fn numberOf(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u));
}

@compute @workgroup_size(${THREADS})
fn find(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let begin = group.x * ${PART}u;
  let row = task.first + group.y * task.size;
  let width = 1u + 2u * task.top;
  let line = group.y * (task.parts * width + 1u);
  let mine = line + group.x * width;
  for (var step = 0u; step < ${NUMBERS}u; step++) {
    let place = step * ${THREADS}u + thread;
    var key = 0u;
    if (begin + place < task.size) { key = keyOf(bitsAt(row + begin + place)); }
    keys[place] = key;
  }
  workgroupBarrier();
  let asked = ids[group.y];
  if (thread == 0u && asked >= begin && asked < min(begin + ${PART}u, task.size)) {
    found[line + task.parts * width] = keys[asked - begin];
  }
  for (var round = 0u; round < task.top; round++) {
    var best = 0u;
    var at = 0u;
    for (var step = 0u; step < ${NUMBERS}u; step++) {
      let place = step * ${THREADS}u + thread;
      if (keys[place] > best) {
        best = keys[place];
        at = place;
      }
    }
    highest[thread] = best;
    places[thread] = at;
    workgroupBarrier();
    for (var half = ${THREADS / 2}u; half > 0u; half >>= 1u) {
      if (thread < half) {
        let other = highest[thread + half];
        let otherAt = places[thread + half];
        if (other > highest[thread] || (other == highest[thread] && otherAt < places[thread])) {
          highest[thread] = other;
          places[thread] = otherAt;
        }
      }
      workgroupBarrier();
    }
    let key = highest[0];
    let place = places[0];
    if (round == 0u) {
      let most = numberOf(key);
      var sum = 0f;
      for (var step = 0u; step < ${NUMBERS}u; step++) {
        let other = keys[step * ${THREADS}u + thread];
        // Not of less: a shader may take for granted that nothing it computes is infinite.
        if (other > ${MINUS_INFINITY}u) { sum += exp(max(numberOf(other) - most, ${LEAST_EXPONENT}f)); }
      }
      sums[thread] = sum;
      workgroupBarrier();
      for (var half = ${THREADS / 2}u; half > 0u; half >>= 1u) {
        if (thread < half) { sums[thread] += sums[thread + half]; }
        workgroupBarrier();
      }
    }
    if (thread == 0u) {
      if (round == 0u) { found[mine] = bitcast<u32>(sums[0]); }
      found[mine + 1u + 2u * round] = key;
      found[mine + 2u + 2u * round] = begin + place;
      keys[place] = 0u;
    }
    workgroupBarrier();
  }
}
`;

/** Rows that lie behind each other in a buffer, and what to look for. */
interface Search {
  readonly size: number;
  readonly bytesEach: number;
  /** Where the first begins, in bytes. */
  readonly start: number;
  readonly rows: number;
  /** So many of the last ones come back in full. */
  readonly inFull: number;
  readonly parts: number;
  /** Words that are found of a row. */
  readonly line: number;
  readonly top: number;
  readonly ids: readonly number[];
}

/** Looks through logits on a device. One tensor at a time. */
export class GpuRows {
  readonly #device: GPUDevice;
  readonly #scratch: GpuScratch;
  readonly #pipelines = new Map<number, Promise<GPUComputePipeline>>();

  constructor(device: GPUDevice) {
    this.#device = device;
    this.#scratch = new GpuScratch(device);
  }

  /**
   * What is wanted of a tensor [1, tokens, size] in a buffer.
   *
   * @throws Error when the device has no room, or is gone.
   */
  async find(tensor: Ort.Tensor, { rows = 1, whole, top = 1, ids = [] }: RowsWanted): Promise<Row[]> {
    if (!(top >= 1 && top <= MOST_OF_A_ROW)) throw new RangeError(`Cannot find the ${top} highest of a row`);
    const size = tensor.dims.at(-1)!;
    const bytesEach = tensor.type === "float16" ? 2 : 4;
    const rowBytes = size * bytesEach;
    const parts = Math.ceil(size / PART);
    const line = parts * (1 + 2 * top) + 1;
    const inFull = { none: 0, last: 1, all: rows }[whole];
    const { maxStorageBufferBindingSize, maxComputeWorkgroupsPerDimension } = this.#device.limits;
    const atOnce = Math.min(
      Math.floor(BACK_BYTES / (line * WORD + (whole === "all" ? rowBytes : 0))),
      Math.floor((maxStorageBufferBindingSize - BINDING - WORD) / rowBytes),
      maxComputeWorkgroupsPerDimension,
    );
    const start = tensor.size * bytesEach - rows * rowBytes;
    const found: Row[] = [];
    while (found.length < rows) {
      const first = found.length;
      const end = Math.min(first + Math.max(atOnce, 1), rows);
      found.push(
        ...await this.#findAtOnce(tensor.gpuBuffer as GPUBuffer, {
          ...{ size, bytesEach, parts, line, top },
          start: start + first * rowBytes,
          rows: end - first,
          inFull: Math.max(0, end - Math.max(first, rows - inFull)),
          ids: ids.slice(first, end),
        }),
      );
    }
    return found;
  }

  async #findAtOnce(source: GPUBuffer, search: Search): Promise<Row[]> {
    const { size, bytesEach, start, rows, inFull, parts, line, top, ids } = search;
    const end = start + rows * size * bytesEach;
    // In full, from the word on that the first number is in.
    const firstInFull = end - inFull * size * bytesEach;
    const fullStart = floor(firstInFull, WORD);
    const fullBytes = inFull === 0 ? 0 : ceil(end, WORD) - fullStart;
    const foundBytes = rows * line * WORD;

    const pipeline = await this.#pipelineOf(bytesEach);
    const device = this.#device;
    const scratch = await this.#scratch.of({ ids: rows * WORD, found: foundBytes, back: foundBytes + fullBytes });
    const offset = floor(start, BINDING);
    const task = Uint32Array.of(size, (start - offset) / bytesEach, parts, top);
    const asked = Uint32Array.from({ length: rows }, (_, row) => ids[row] ?? NAN);
    device.queue.writeBuffer(scratch.task, 0, task);
    device.queue.writeBuffer(scratch.ids, 0, asked);
    const binding = (place: number, buffer: GPUBuffer, offset: number, size: number): GPUBindGroupEntry => {
      return { binding: place, resource: { buffer, offset, size } };
    };
    const commands = device.createCommandEncoder();
    const pass = commands.beginComputePass();
    pass.setPipeline(pipeline);
    const entries = [
      binding(0, source, offset, ceil(end, WORD) - offset),
      binding(1, scratch.ids, 0, rows * WORD),
      binding(2, scratch.found, 0, foundBytes),
      binding(3, scratch.task, 0, task.byteLength),
    ];
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(parts, rows);
    pass.end();
    commands.copyBufferToBuffer(scratch.found, 0, scratch.back, 0, foundBytes);
    if (fullBytes > 0) commands.copyBufferToBuffer(source, fullStart, scratch.back, foundBytes, fullBytes);
    device.queue.submit([commands.finish()]);
    const bytes = await this.#scratch.read(foundBytes + fullBytes);

    const words = new Uint32Array(bytes, 0, foundBytes / WORD);
    return Array.from({ length: rows }, (_, row) => {
      const facts = factsOf(words.subarray(row * line, (row + 1) * line), { size, parts, top, asked: ids[row] });
      const place = row - (rows - inFull);
      if (place < 0) return new ReducedRow(facts);
      const from = foundBytes + firstInFull - fullStart + place * size * bytesEach;
      return new ReducedRow({ ...facts, all: readerOf(bytes.slice(from, from + size * bytesEach), bytesEach) });
    });
  }

  #pipelineOf(bytesEach: number): Promise<GPUComputePipeline> {
    const known = this.#pipelines.get(bytesEach);
    if (known !== undefined) return known;
    const module = this.#device.createShaderModule({ code: SHADER, label: "warmcache rows" });
    const pipeline = this.#device.createComputePipelineAsync({
      layout: "auto",
      compute: { module, entryPoint: "find", constants: { halves: Number(bytesEach === 2) } },
    });
    this.#pipelines.set(bytesEach, pipeline);
    return pipeline;
  }
}

/** By itself, so that it keeps nothing else in memory. */
function readerOf(full: ArrayBuffer, bytesEach: number): () => Float32Array {
  return () => bytesEach === 2 ? Float32Array.from(new Uint16Array(full), widened) : new Float32Array(full);
}

/** What the parts of a row have found, put together. */
function factsOf(
  words: Uint32Array,
  { size, parts, top, asked }: {
    readonly size: number;
    readonly parts: number;
    readonly top: number;
    readonly asked: number | undefined;
  },
) {
  const sums = new Float32Array(words.buffer, words.byteOffset, words.length);
  const width = 1 + 2 * top;
  const starts = Array.from({ length: parts }, (_, part) => part * width);
  const highestKey = starts.reduce((most, start) => Math.max(most, words[start + 1]!), 0);
  const highest = numberOf(highestKey);
  const found: [key: number, id: number][] = [];
  let sum = 0;
  for (const start of starts) {
    const most = words[start + 1]!;
    if (most > MINUS_INFINITY && Number.isFinite(highest)) sum += sums[start]! * exp(numberOf(most) - highest);
    for (let round = 0; round < top; round++) {
      const key = words[start + 1 + 2 * round]!;
      if (key <= MINUS_INFINITY) break;
      found.push([key, words[start + 2 + 2 * round]!]);
    }
  }
  found.sort(([one, oneId], [other, otherId]) => other - one || oneId - otherId);
  return {
    size,
    highest,
    // The highest number's share of it is 1, which a shader's exponential need not be to the last bit.
    logSum: log(Math.max(sum, 1)),
    top: found.slice(0, top).map(([key, id]) => [id, numberOf(key)] as const),
    topWanted: top,
    ...(asked !== undefined && { asked: [asked, numberOf(words.at(-1)!)] as const }),
  };
}

const KEY = new Uint32Array(1);
const NUMBER = new Float32Array(KEY.buffer);

/** The number of a key. */
function numberOf(key: number): number {
  if (key === NAN) return NaN;
  KEY[0] = key >= 0x80000000 ? key & 0x7fffffff : ~key;
  return NUMBER[0]!;
}

function floor(bytes: number, step: number): number {
  return Math.floor(bytes / step) * step;
}

function ceil(bytes: number, step: number): number {
  return Math.ceil(bytes / step) * step;
}
