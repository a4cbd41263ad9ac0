/**
 * A model without its weights: large stored tensors say where in the file they are, and the rest is a few hundred
 * kilobytes that can be looked at and rewritten. onnxruntime then takes the weights from the file one at a time. Given
 * the file's bytes it would hold them twice over while it reads them, beside ours. Field numbers are those of
 * `onnx.proto`.
 *
 * @module
 */

import { cutShort, delimited, join, LONGEST_HEADER, type Pieces, type Place, placeOf, varint } from "./onnx_wire.ts";
import type { VerifiedFile } from "./verified_file.ts";

const MODEL_GRAPH = 7;
const GRAPH_INITIALIZER = 5;
const TENSOR_RAW_DATA = 9;
const TENSOR_EXTERNAL_DATA = 13;
const TENSOR_DATA_LOCATION = 14;
const EXTERNAL = 1;

/** Smaller tensors stay: shapes and axes are among them, which onnxruntime looks at before it fetches anything. */
const SMALLEST = 4096;

/**
 * The model in a file, in which large tensors refer to the file, called `location`.
 *
 * @throws Error when the file is not protobuf.
 */
export function outline(file: VerifiedFile, location: string): Uint8Array<ArrayBuffer> {
  return join(pieces(file, 0, file.size, (model) => {
    if (model.number !== MODEL_GRAPH) return undefined;
    const graph = pieces(file, model.content, model.end, (part) => {
      return part.number === GRAPH_INITIALIZER ? outlinedTensor(file, part, location) : undefined;
    });
    return delimited(MODEL_GRAPH, graph);
  }));
}

/** A tensor that refers to its data; `undefined` when it is not worth it. */
function outlinedTensor(file: VerifiedFile, tensor: Place, location: string): Pieces | undefined {
  let isLarge = false;
  const rest = pieces(file, tensor.content, tensor.end, ({ number, content, end }) => {
    if (number !== TENSOR_RAW_DATA || end - content < SMALLEST) return undefined;
    isLarge = true;
    return [
      ...reference("location", location),
      ...reference("offset", String(content)),
      ...reference("length", String(end - content)),
      ...varint(TENSOR_DATA_LOCATION, EXTERNAL),
    ];
  });
  return isLarge ? delimited(GRAPH_INITIALIZER, rest) : undefined;
}

function reference(key: string, value: string): Pieces {
  return delimited(TENSOR_EXTERNAL_DATA, [...delimited(1, key), ...delimited(2, value)]);
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
