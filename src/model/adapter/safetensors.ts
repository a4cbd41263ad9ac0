/**
 * Reading the safetensors format: eight bytes of header length, a JSON header, raw little-endian tensors.
 * Format: https://github.com/huggingface/safetensors#format
 *
 * @module
 */

import type { Files } from "../../runtime/runtime.ts";
import { widened } from "./float16.ts";

/** A tensor, widened to float32. */
export interface FloatTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A file that is read in parts. */
export interface ReadableFile {
  /** How many bytes it has. */
  readonly size: number;
  /** A copy of the bytes from `start` to `end`, which are in it. */
  read(start: number, end: number): Uint8Array;
}

/**
 * The tensors of a file, with their names, read one by one.
 *
 * @throws Error when the bytes are not what their header says, or a type is not one of F32, F16, BF16.
 */
export function* readTensors(file: ReadableFile): Generator<[name: string, tensor: FloatTensor]> {
  const start = PREFIX_SIZE + readHeaderSize(file);
  const header = parseHeader(file.read(PREFIX_SIZE, start));
  for (const [name, info] of header) yield [name, readTensor(name, info, file, start)];
}

/**
 * The names of a file's tensors, read from its header alone.
 *
 * @throws Error when the file cannot be read or its header is broken.
 */
export function readTensorNames(files: Files, path: string): string[] {
  const open = files.open(path, "read");
  try {
    const file: ReadableFile = {
      size: open.size(),
      read(start, end) {
        const bytes = new Uint8Array(end - start);
        return bytes.subarray(0, open.read(bytes, start));
      },
    };
    return [...parseHeader(file.read(PREFIX_SIZE, PREFIX_SIZE + readHeaderSize(file))).keys()];
  } finally {
    open.close();
  }
}

const PREFIX_SIZE = 8;
/** What the format's own library allows. */
const LARGEST_HEADER = 100_000_000;

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
  F16: { size: 2, read: (view, position) => widened(view.getUint16(position, true)) },
  BF16: { size: 2, read: (view, position) => widenBrain(view.getUint16(position, true)) },
};

function readHeaderSize(file: ReadableFile): number {
  if (file.size < PREFIX_SIZE) throw new Error(`safetensors file is cut short: ${file.size} bytes`);
  const prefix = file.read(0, PREFIX_SIZE);
  const size = Number(new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true));
  if (size > file.size - PREFIX_SIZE) {
    throw new Error(`safetensors header does not fit the file: ${size} of ${file.size} bytes`);
  }
  if (size > LARGEST_HEADER) throw new Error(`safetensors header has more than ${LARGEST_HEADER} bytes: ${size}`);
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

/** @param origin Where in the file the offsets count from. */
function readTensor(name: string, info: TensorInfo, file: ReadableFile, origin: number): FloatTensor {
  const { dtype, shape, offsets: [start, end] } = info;
  const type = Object.hasOwn(ELEMENT_TYPES, dtype) ? ELEMENT_TYPES[dtype]! : undefined;
  if (type === undefined) {
    throw new Error(`tensor ${name} has a type other than ${Object.keys(ELEMENT_TYPES).join(", ")}: ${dtype}`);
  }
  const length = shape.reduce((product, size) => product * size, 1);
  const available = file.size - origin;
  if (end > available) {
    throw new Error(`safetensors file is cut short: ${name} ends at byte ${end} of ${available}`);
  }
  if (end - start !== length * type.size) {
    throw new Error(`tensor ${name} does not fill its shape [${shape}]: ${end - start} bytes`);
  }
  const bytes = file.read(origin + start, origin + end);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const data = new Float32Array(length);
  for (let index = 0; index < length; index++) data[index] = type.read(view, index * type.size);
  return { shape, data };
}

/** bfloat16: the upper half of a float32. */
function widenBrain(bits: number): number {
  word.setUint32(0, bits << 16);
  return word.getFloat32(0);
}

const word = new DataView(new ArrayBuffer(4));
