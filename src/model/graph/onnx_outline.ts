/**
 * A model without its weights: large stored tensors say where in which file they are, and the rest is a few hundred
 * kilobytes that can be looked at and rewritten. onnxruntime then takes the weights from the files one at a time. Given
 * a file's bytes it would hold them twice over while it reads them, beside ours. Field numbers are those of
 * `onnx.proto`.
 *
 * @module
 */

import {
  cutShort,
  delimited,
  fieldsOf,
  join,
  LONGEST_HEADER,
  numbers,
  type Pieces,
  type Place,
  placeOf,
  text,
  varint,
} from "./onnx_wire.ts";
import type { VerifiedFile } from "./verified_file.ts";
import type { WeightFiles } from "./weight_files.ts";

const MODEL_GRAPH = 7;
const GRAPH_INITIALIZER = 5;
const TENSOR_DIMENSIONS = 1;
const TENSOR_TYPE = 2;
const TENSOR_NAME = 8;
const TENSOR_RAW_DATA = 9;
const TENSOR_EXTERNAL_DATA = 13;
const TENSOR_DATA_LOCATION = 14;
const ENTRY_KEY = 1;
const ENTRY_VALUE = 2;
const EXTERNAL = 1;

/**
 * Smaller tensors stay, or come: shapes and axes are among them, which onnxruntime looks at before it fetches anything.
 */
const SMALLEST = 4096;

/**
 * The model in the first of its files, in which large tensors refer to files, and small ones do not.
 *
 * @throws Error when the file is not protobuf, or refers to what is not there.
 */
export function outline(files: WeightFiles): Uint8Array<ArrayBuffer> {
  const file = files.graph;
  return join(pieces(file, 0, file.size, (model) => {
    if (model.number !== MODEL_GRAPH) return undefined;
    const graph = pieces(file, model.content, model.end, (part) => {
      return part.number === GRAPH_INITIALIZER ? outlinedTensor(files, part) : undefined;
    });
    return delimited(MODEL_GRAPH, graph);
  }));
}

/** A tensor that refers to its data, or has little of it; `undefined` when it may stay as it is. */
function outlinedTensor(files: WeightFiles, tensor: Place): Pieces | undefined {
  let isLarge = false;
  let isExternal = false;
  const rest = pieces(files.graph, tensor.content, tensor.end, ({ number, value, content, end }) => {
    if (number === TENSOR_DATA_LOCATION) isExternal = value === EXTERNAL;
    if (number !== TENSOR_RAW_DATA || end - content < SMALLEST) return undefined;
    isLarge = true;
    return referring(files.ownName, content, end);
  });
  if (isExternal) return delimited(GRAPH_INITIALIZER, externalTensor(files, join(rest)));
  return isLarge ? delimited(GRAPH_INITIALIZER, rest) : undefined;
}

/** A tensor whose data is in another file, which may say less than onnxruntime wants to know, and wrong things. */
function externalTensor(files: WeightFiles, tensor: Uint8Array): Pieces {
  const fields = fieldsOf(tensor).toArray();
  const of = (number: number) => fields.filter((field) => field.number === number);
  const name = of(TENSOR_NAME).map(text)[0] ?? "";
  const entries = new Map(
    of(TENSOR_EXTERNAL_DATA).map(({ payload }) => {
      const entry = fieldsOf(payload).toArray();
      const part = (number: number): string => entry.filter((field) => field.number === number).map(text)[0] ?? "";
      return [part(ENTRY_KEY), part(ENTRY_VALUE)];
    }),
  );
  const { name: location, file } = files.referredTo(entries.get("location") ?? "", name);
  const bytes = byteLength(of(TENSOR_DIMENSIONS).flatMap(numbers), of(TENSOR_TYPE)[0]?.value ?? 0, name);
  const stated = entries.get("length") ?? String(bytes);
  const start = Number(entries.get("offset") ?? 0);
  if (!Number.isSafeInteger(start) || start < 0 || Number(stated) !== bytes) {
    const where = `${stated} bytes at ${entries.get("offset")}`;
    throw new Error(`weights of ${name} are said to be where they cannot be, for ${bytes} bytes: ${where}`);
  }
  if (start + bytes > file.size) {
    throw new Error(`${file.path} is cut short: ${name} ends at byte ${start + bytes} of ${file.size}`);
  }
  const kept = fields
    .filter(({ number }) => number !== TENSOR_EXTERNAL_DATA && number !== TENSOR_DATA_LOCATION)
    .map(({ whole }) => whole);
  const data = bytes < SMALLEST
    ? delimited(TENSOR_RAW_DATA, [file.read(start, start + bytes)])
    : referring(location, start, start + bytes);
  return [...kept, ...data];
}

/** Bits of an element, by `TensorProto.DataType`. */
const BITS: Readonly<Record<number, number>> = {
  1: 32,
  2: 8,
  3: 8,
  4: 16,
  5: 16,
  6: 32,
  7: 64,
  9: 8,
  10: 16,
  11: 64,
  12: 32,
  13: 64,
  16: 16,
  17: 8,
  18: 8,
  19: 8,
  20: 8,
  21: 4,
  22: 4,
};

function byteLength(dimensions: readonly number[], type: number, name: string): number {
  const bits = BITS[type];
  if (bits === undefined) throw new Error(`weights of ${name} are of a type that cannot be in a file: ${type}`);
  return Math.ceil(dimensions.reduce((product, size) => product * size, 1) * bits / 8);
}

/** Fields that say that a tensor's data is in a file. */
function referring(location: string, start: number, end: number): Pieces {
  return [
    ...reference("location", location),
    ...reference("offset", String(start)),
    ...reference("length", String(end - start)),
    ...varint(TENSOR_DATA_LOCATION, EXTERNAL),
  ];
}

function reference(key: string, value: string): Pieces {
  return delimited(TENSOR_EXTERNAL_DATA, [...delimited(ENTRY_KEY, key), ...delimited(ENTRY_VALUE, value)]);
}

/** The fields of the message between two places of a file, some of them replaced; `undefined` keeps a field. */
function pieces(
  file: VerifiedFile,
  start: number,
  end: number,
  replace: (place: Place) => Pieces | undefined,
): Uint8Array[] {
  const all: Uint8Array[] = [];
  for (let position = start; position < end;) {
    const place = placeAt(file, position, end);
    all.push(...replace(place) ?? [file.read(position, place.end)]);
    position = place.end;
  }
  return all;
}

function placeAt(file: VerifiedFile, start: number, limit: number): Place {
  const place = placeOf(file.read(start, Math.min(start + LONGEST_HEADER, limit)), 0);
  const end = start + place.end;
  if (end > limit) throw cutShort(place.number, end, limit);
  return { ...place, content: start + place.content, end };
}
