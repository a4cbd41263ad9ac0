/**
 * Embeddings, text by text. A batch is divided into its texts, each with a key and a vector of its own; whatever mixture
 * of stored and bought ones a request finds, it is answered in the form it asked for. A vector under the wrong text is
 * worse than none, so an answer that is not beyond doubt is a fault.
 *
 * @see https://platform.openai.com/docs/api-reference/embeddings
 * @module
 */

import { fromBase64, toBase64 } from "../../runtime/base64.ts";
import type { Sample } from "../answer/entry.ts";
import { type InputFault, inputLength, type InputList, listedInputs, shareOut, singleInput } from "./inputs.ts";
import { isJsonObject, type JsonObject } from "../json.ts";

/** Media type of a stored vector: IEEE 754 binary32, little-endian, nothing else. */
export const FLOAT32_VECTOR = "application/vnd.warmcache.f32";

/** Media type of a stored vector that binary32 would change: IEEE 754 binary64, little-endian, nothing else. */
export const FLOAT64_VECTOR = "application/vnd.warmcache.f64";

/** A request for embeddings, divided into its texts. */
export interface EmbeddingsRequest extends InputList {
  /** The form in which vectors were asked for. */
  readonly encodingFormat: "float" | "base64";
}

/** A vector as it is stored. */
export interface StoredVector {
  /** Its values, one after the other. */
  readonly bytes: Uint8Array;
  /** {@link FLOAT32_VECTOR} where every value survives it, else {@link FLOAT64_VECTOR}. */
  readonly mediaType: string;
}

/** An answer, divided among the texts it was asked for. */
export interface EmbeddingsAnswer {
  /** A vector for each text. */
  readonly vectors: readonly StoredVector[];
  /**
   * Each text's part of the tokens billed; `null` when the provider did not say. The provider counts a batch as a whole:
   * it is divided in proportion to the texts' lengths (bytes of UTF-8, or tokens) by largest remainder, so that the
   * parts add up exactly, but a single part is an estimate.
   */
  readonly promptTokens: readonly (number | null)[];
  /** The model that answered; `null` when the provider did not say. */
  readonly model: string | null;
}

/** Other providers' names for the type of a vector's values. */
const VALUE_TYPES = ["output_dtype", "embedding_type"];

/**
 * Divides a request into its texts; a text that appears twice is one item at two places. `undefined` for a request that
 * does not divide, and must go round the cache: `input` is not a text, texts, a list of tokens or lists of tokens, or the
 * vectors are to come in a form other than `float` and `base64` (the key leaves `encoding_format` out) or as other values
 * than floats (in base64 they would be misread).
 */
export function splitEmbeddings(body: JsonObject): EmbeddingsRequest | undefined {
  const encodingFormat = body.encoding_format ?? "float";
  if (encodingFormat !== "float" && encodingFormat !== "base64") return undefined;
  if (VALUE_TYPES.some((name) => (body[name] ?? "float") !== "float")) return undefined;
  const { input } = body;
  if (isText(input) || isTokenList(input)) return { ...singleInput(body), encodingFormat };
  if (!Array.isArray(input) || input.length === 0) return undefined;
  if (!input.every(isText) && !input.every(isTokenList)) return undefined;
  return { ...listedInputs(body, input), encodingFormat };
}

/**
 * Reads an answer to a request for these items, together or the only one. Vectors belong to texts by their `index`.
 *
 * A fault is: too few, too many or doubled indexes; a vector that is empty, of another length than the others or than
 * `dimensions` asks, or neither a list of numbers nor base64 of binary32; a value that is not finite, or beyond binary32.
 */
export function readEmbeddings(answer: unknown, items: readonly JsonObject[]): EmbeddingsAnswer | InputFault {
  if (!isJsonObject(answer) || !Array.isArray(answer.data)) return { fault: "it has no list of embeddings" };
  const { data } = answer;
  if (data.length !== items.length) return { fault: `it has ${data.length} embeddings for ${items.length} texts` };
  const ordered = new Array<StoredVector | undefined>(items.length).fill(undefined);
  for (const datum of data) {
    const { index, embedding } = isJsonObject(datum) ? datum : {};
    if (!Number.isSafeInteger(index) || (index as number) < 0 || (index as number) >= items.length) {
      return { fault: `an embedding has no place among ${items.length}: index ${String(index)}` };
    }
    if (ordered[index as number] !== undefined) return { fault: `two embeddings have the index ${index}` };
    const vector = readVector(embedding);
    if (vector === undefined) return { fault: `embedding ${index} is neither finite numbers nor base64 of them` };
    ordered[index as number] = vector;
  }
  // As many as there are places, each at another one: none is left out.
  const vectors = ordered as StoredVector[];
  const lengths = new Set(vectors.map(lengthOf));
  if (lengths.size > 1) return { fault: `its embeddings have different lengths: ${[...lengths].join(", ")}` };
  const [length] = lengths;
  const dimensions = items[0]?.dimensions ?? length;
  if (dimensions !== length) return { fault: `its embeddings have ${length} dimensions, not ${String(dimensions)}` };
  return { vectors, promptTokens: promptTokens(answer.usage, items), model: modelOf(answer) };
}

/**
 * The answer to a whole request, from one sample for each of its items: OpenAI's shape, in the form asked for. Tokens
 * are added up, those of a text that appears twice once, as it was bought.
 *
 * `undefined` when the samples do not belong together, because other models answered or their lengths differ (the name
 * that was asked for has come to mean another model): vectors of two models must not be compared. So it is when one is no
 * vector at all. Then all have to be bought anew.
 */
export function joinEmbeddings(request: EmbeddingsRequest, samples: readonly Sample[]): JsonObject | undefined {
  const vectors = samples.map((sample) => ({ bytes: sample.bytes(), mediaType: sample.mediaType }));
  if (!vectors.every(isVector) || new Set(vectors.map(lengthOf)).size > 1) return undefined;
  if (new Set(samples.map((sample) => sample.modelAnswered)).size > 1) return undefined;
  const encode = request.encodingFormat === "base64" ? base64Of : numbersOf;
  const tokens = samples.map((sample) => sample.promptTokens).filter((count) => count !== null);
  const total = tokens.reduce((sum, count) => sum + count, 0);
  const { modelAnswered, modelAsked } = samples[0]!;
  return {
    object: "list",
    data: request.places.map((item, index) => ({ object: "embedding", index, embedding: encode(vectors[item]!) })),
    model: modelAnswered ?? modelAsked,
    // Half a bill would pass for the whole one.
    ...(tokens.length === samples.length && { usage: { prompt_tokens: total, total_tokens: total } }),
  };
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isTokenList(value: unknown): value is number[] {
  return Array.isArray(value) && value.length > 0 && value.every((token) => Number.isSafeInteger(token) && token >= 0);
}

function modelOf({ model }: JsonObject): string | null {
  return typeof model === "string" ? model : null;
}

function promptTokens(usage: unknown, items: readonly JsonObject[]): (number | null)[] {
  const { prompt_tokens, total_tokens } = isJsonObject(usage) ? usage : {};
  const total = prompt_tokens ?? total_tokens;
  if (!Number.isSafeInteger(total) || (total as number) < 0) return items.map(() => null);
  return shareOut(total as number, items.map(inputLength));
}

function readVector(embedding: unknown): StoredVector | undefined {
  if (typeof embedding === "string") return vectorIn(embedding);
  if (!Array.isArray(embedding) || embedding.length === 0) return undefined;
  // A loop, because `every` passes over gaps, and because a batch has millions of values.
  for (let index = 0; index < embedding.length; index++) {
    const value: unknown = embedding[index];
    if (typeof value !== "number" || !Number.isFinite(Math.fround(value))) return undefined;
  }
  return fromNumbers(embedding);
}

function fromNumbers(values: readonly number[]): StoredVector {
  let survives = true;
  for (let index = 0; survives && index < values.length; index++) {
    survives = Math.fround(values[index]!) === values[index];
  }
  const bytes = new Uint8Array(values.length * (survives ? 4 : 8));
  const view = new DataView(bytes.buffer);
  for (let index = 0; index < values.length; index++) {
    if (survives) view.setFloat32(index * 4, values[index]!, true);
    else view.setFloat64(index * 8, values[index]!, true);
  }
  return { bytes, mediaType: survives ? FLOAT32_VECTOR : FLOAT64_VECTOR };
}

function vectorIn(base64: string): StoredVector | undefined {
  let bytes: Uint8Array;
  try {
    bytes = fromBase64(base64);
  } catch {
    return undefined;
  }
  if (bytes.length === 0 || bytes.length % 4 !== 0) return undefined;
  // Infinities and NaN are what has all bits of the exponent set; it lies in the last two of four bytes.
  for (let at = 0; at < bytes.length; at += 4) {
    if ((bytes[at + 3]! & 0x7f) === 0x7f && bytes[at + 2]! >= 0x80) return undefined;
  }
  return { bytes, mediaType: FLOAT32_VECTOR };
}

function lengthOf(vector: StoredVector): number {
  return vector.bytes.length / widthOf(vector);
}

/** Bytes of one value. */
function widthOf({ mediaType }: StoredVector): number {
  return mediaType === FLOAT32_VECTOR ? 4 : 8;
}

function isVector(vector: StoredVector): boolean {
  const { bytes, mediaType } = vector;
  const isKnown = mediaType === FLOAT32_VECTOR || mediaType === FLOAT64_VECTOR;
  return isKnown && bytes.length > 0 && bytes.length % widthOf(vector) === 0;
}

function numbersOf(vector: StoredVector): number[] {
  const { bytes } = vector;
  const width = widthOf(vector);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const numbers = new Array<number>(bytes.length / width);
  for (let index = 0; index < numbers.length; index++) {
    numbers[index] = width === 4 ? view.getFloat32(index * 4, true) : view.getFloat64(index * 8, true);
  }
  return numbers;
}

/** As the provider gives it: binary32, whatever is stored. */
function base64Of(vector: StoredVector): string {
  return toBase64(vector.mediaType === FLOAT32_VECTOR ? vector.bytes : roundedToFloat32(vector));
}

function roundedToFloat32(vector: StoredVector): Uint8Array {
  return fromNumbers(numbersOf(vector).map(Math.fround)).bytes;
}
