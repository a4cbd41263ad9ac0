/**
 * Reading the safetensors format: eight bytes of header length, a JSON header, raw little-endian tensors.
 * Format: https://github.com/huggingface/safetensors#format
 *
 * @module
 */

import type { Files } from "../../runtime/runtime.ts";

/** A tensor, widened to float32. */
export interface FloatTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/**
 * All tensors of a file, by name.
 *
 * @throws Error when the bytes are not what their header says, or a type is not one of F32, F16, BF16.
 */
export function readTensors(bytes: Uint8Array): Map<string, FloatTensor> {
  const headerSize = readHeaderSize(bytes, bytes.length);
  const header = parseHeader(bytes.subarray(PREFIX_SIZE, PREFIX_SIZE + headerSize));
  const data = bytes.subarray(PREFIX_SIZE + headerSize);
  return new Map(Array.from(header, ([name, info]) => [name, readTensor(name, info, data)]));
}

/**
 * The names of a file's tensors, read from its header alone.
 *
 * @throws Error when the file cannot be read or its header is broken.
 */
export function readTensorNames(files: Files, path: string): string[] {
  const file = files.open(path, "read");
  try {
    const prefix = new Uint8Array(PREFIX_SIZE);
    const headerSize = readHeaderSize(prefix.subarray(0, file.read(prefix, 0)), file.size());
    const header = new Uint8Array(headerSize);
    file.read(header, PREFIX_SIZE);
    return [...parseHeader(header).keys()];
  } finally {
    file.close();
  }
}

const PREFIX_SIZE = 8;

interface TensorInfo {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly offsets: readonly [number, number];
}

interface ElementType {
  readonly size: number;
  read(view: DataView, position: number): number;
}

const ELEMENT_TYPES: Readonly<Record<string, ElementType>> = {
  F32: { size: 4, read: (view, position) => view.getFloat32(position, true) },
  F16: { size: 2, read: (view, position) => widenHalf(view.getUint16(position, true)) },
  BF16: { size: 2, read: (view, position) => widenBrain(view.getUint16(position, true)) },
};

function readHeaderSize(bytes: Uint8Array, fileSize: number): number {
  if (bytes.length < PREFIX_SIZE) throw new Error(`safetensors file is cut short: ${bytes.length} bytes`);
  const size = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  if (size > fileSize - PREFIX_SIZE) {
    throw new Error(`safetensors header does not fit the file: ${size} of ${fileSize} bytes`);
  }
  return size;
}

function parseHeader(bytes: Uint8Array): Map<string, TensorInfo> {
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new Error(`safetensors header is not JSON: ${(error as Error).message}`, { cause: error });
  }
  if (typeof header !== "object" || header === null) throw new Error(`safetensors header is no object: ${header}`);
  const entries = Object.entries(header).filter(([name]) => name !== "__metadata__");
  return new Map(entries.map(([name, info]) => [name, readInfo(name, info)]));
}

function readInfo(name: string, info: unknown): TensorInfo {
  const { dtype, shape, data_offsets: offsets } = (info ?? {}) as Record<string, unknown>;
  if (typeof dtype !== "string" || !isSizes(shape) || !isSizes(offsets) || offsets.length !== 2) {
    throw new Error(`safetensors header describes ${name} wrongly: ${JSON.stringify(info)}`);
  }
  return { dtype, shape, offsets: [offsets[0]!, offsets[1]!] };
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function readTensor(name: string, { dtype, shape, offsets: [start, end] }: TensorInfo, data: Uint8Array): FloatTensor {
  const type = Object.hasOwn(ELEMENT_TYPES, dtype) ? ELEMENT_TYPES[dtype]! : undefined;
  if (type === undefined) {
    throw new Error(`tensor ${name} has a type other than ${Object.keys(ELEMENT_TYPES).join(", ")}: ${dtype}`);
  }
  const length = shape.reduce((product, size) => product * size, 1);
  if (end > data.length) {
    throw new Error(`safetensors file is cut short: ${name} ends at byte ${end} of ${data.length}`);
  }
  if (end - start !== length * type.size) {
    throw new Error(`tensor ${name} does not fill its shape [${shape}]: ${end - start} bytes`);
  }
  const view = new DataView(data.buffer, data.byteOffset + start, end - start);
  return { shape, data: Float32Array.from({ length }, (_, index) => type.read(view, index * type.size)) };
}

/** IEEE 754 binary16. */
function widenHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = bits >> 10 & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** bfloat16: the upper half of a float32. */
function widenBrain(bits: number): number {
  word.setUint32(0, bits << 16);
  return word.getFloat32(0);
}

const word = new DataView(new ArrayBuffer(4));
