/**
 * `/v1/embeddings`: texts, or their token ids, placed in a model's space of meanings. Each text is looked up in the
 * response cache by itself, and the model is asked for those that are missing, if any are.
 *
 * @see https://platform.openai.com/docs/api-reference/embeddings/create
 * @module
 */

import type { Context } from "hono";
import * as z from "zod";
import type { CacheCallOptions, CacheStatus } from "../cache/call_options.ts";
import type { Embedding, EmbedInput, View } from "../model/backend.ts";
import { fromBase64, toBase64 } from "../runtime/base64.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import type { ResolvedModel } from "../warm/identity.ts";
import { formatModelName, parseModelName } from "../warm/spec.ts";
import type { CacheDirectives } from "./cache_directives.ts";
import { cacheHeaders } from "./cache_headers.ts";
import { invalidRequest } from "./api_error.ts";
import { unlessCold, unlessLoading } from "./loading.ts";
import { askModel, underIdentity } from "./local_model.ts";
import { readLocalRequest } from "./local_request.ts";
import { longJson } from "./long_json.ts";
import type { Residency } from "./own_fields.ts";
import type { ServerParts } from "./parts.ts";
import type { RequestBody } from "./request_body.ts";
import { empty, type Harmless, readBody, refuseUnsupported } from "./request_fields.ts";
import { isEmpty, readIds, readText } from "./token_ids.ts";

/** The path, which is also the endpoint in the cache's scope. */
export const EMBEDDINGS_PATH = "/v1/embeddings";

/** As many as OpenAI takes. */
const MOST_INPUTS = 2048;

const schema = z.object({
  model: z.string().min(1).describe("One that makes embeddings, as `/v1/models` calls it."),
  input: z.union([z.string(), z.array(z.unknown())], { error: "expected a text, texts, token ids or lists of them" })
    .describe(`A text, texts, token ids, or lists of them; ${MOST_INPUTS} at most.`),
  encoding_format: z.enum(["float", "base64"]).nullish()
    .describe("Numbers, or the bytes of little-endian float32. Default: `float`."),
  dimensions: z.number().int().min(1).nullish().describe("Only the first so many numbers, scaled to length 1 again."),
  user: z.string().nullish().describe("Changes nothing."),
});

/** What a request is checked with. */
export const embeddingsSchema: z.ZodObject = schema;

/** A request for embeddings. */
export interface EmbeddingsRequest {
  readonly model: string;
  readonly inputs: readonly EmbedInput[];
  readonly encodingFormat: "float" | "base64";
  readonly dimensions: number | undefined;
}

const saysFloat: Harmless = (value) => empty(value) || value === "float";

/** What other servers know, and would change the vectors. */
const UNSUPPORTED: Readonly<Record<string, Harmless>> = {
  embedding_type: saysFloat,
  embedding_types: empty,
  input_type: empty,
  output_dimension: empty,
  output_dtype: saysFloat,
  prompt: empty,
  prompt_name: empty,
  task: empty,
  task_type: empty,
  truncate: empty,
  // 0 tokens are not all of them.
  truncate_prompt_tokens: (value) => value === null,
};

/** The names of all fields that it knows. */
const FIELDS: readonly string[] = [...Object.keys(schema.shape), ...Object.keys(UNSUPPORTED)];

/**
 * Reads a request.
 *
 * @throws ApiError 400 with the field at fault.
 */
export function readEmbeddingsRequest(fields: Record<string, unknown>): EmbeddingsRequest {
  const { model, input, encoding_format, dimensions } = readBody(schema, fields);
  refuseUnsupported(fields, UNSUPPORTED);
  return {
    model,
    inputs: readInputs(input),
    encodingFormat: encoding_format ?? "float",
    dimensions: dimensions ?? undefined,
  };
}

function readInputs(input: string | unknown[]): readonly EmbedInput[] {
  if (typeof input === "string") return [readFullText(input, "input")];
  if (input.length === 0) throw isEmpty("input");
  if (typeof input[0] === "number") return [readIds(input, "input")];
  if (input.length > MOST_INPUTS) {
    throw invalidRequest(`Invalid value for 'input': it has more than ${MOST_INPUTS} texts: ${input.length}`, "input");
  }
  return typeof input[0] === "string"
    ? input.map((text, at) => readFullText(text, `input[${at}]`))
    : input.map((ids, at) => readIds(ids, `input[${at}]`));
}

function readFullText(text: unknown, param: string): string {
  if (text === "") throw isEmpty(param);
  return readText(text, param);
}

/** The handler. */
export function embeddingsRoute(parts: ServerParts): (context: Context) => Promise<Response> {
  return async (context) => {
    parts.activity.request();
    const asked = await readLocalRequest(context, parts, FIELDS);
    const request = readEmbeddingsRequest(asked.body);
    return await underIdentity(parts, parseModelName(request.model), asked.signal, async (model) => {
      const status: CacheStatus = {};
      asked.watched.facts.baseIdentity = model.base.identity;
      asked.watched.fared(status);
      const answer = await unlessLoading(
        parts,
        model,
        asked.signal,
        (signal) =>
          unlessCold(parts, model, asked, (directives) => {
            const options = { ...directives, bypass: asked.bypass, signal, status };
            const queued = (time: Milliseconds): void => void (asked.watched.facts.queueTime = time);
            return lookedUp(parts, asked.body, model, options, { ...asked.residency.lease, queued });
          }),
      );
      const facts = { mode: asked.directives.mode, now: parts.clock.now() };
      return longJson(textsOf(answer, request), { ...asked.headers, ...cacheHeaders(status, facts) }, parts.clock);
    });
  };
}

/**
 * The vectors of texts, as whoever asks for them by HTTP gets them: from the cache where they are there. What became of
 * each lookup is added to `statuses`.
 */
export async function embeddingsOf(
  parts: ServerParts,
  model: ResolvedModel,
  texts: readonly string[],
  options: CacheDirectives & { readonly signal: AbortSignal },
  statuses: CacheStatus[],
): Promise<readonly number[][]> {
  const vectors: number[][] = [];
  for (let from = 0; from < texts.length; from += MOST_INPUTS) {
    const body = { model: formatModelName(model.spec), input: texts.slice(from, from + MOST_INPUTS) };
    const status: CacheStatus = {};
    const { data } = await lookedUp(parts, body, model, { ...options, status });
    statuses.push(status);
    for (const { embedding } of data) vectors.push(numbersOf(embedding));
  }
  return vectors;
}

/** For how long the model stays, and who is told how long it was waited for. */
type Stay = Residency["lease"] & { readonly queued?: (time: Milliseconds) => void };

async function lookedUp(
  parts: ServerParts,
  body: RequestBody["body"],
  model: ResolvedModel,
  options: CacheDirectives & Pick<CacheCallOptions, "bypass" | "signal" | "status">,
  lease: Stay = {},
): Promise<EmbeddingsAnswer> {
  return await parts.cache.wrapEmbeddings<EmbeddingsAnswer, RequestBody["body"]>(
    // In the short form, whatever was asked for; the key leaves the form out.
    { ...body, encoding_format: "base64" },
    (missing, { signal }) => embed(parts, readEmbeddingsRequest(missing), model, { ...lease, signal }),
    { ...options, provider: "local", endpoint: EMBEDDINGS_PATH, identity: model.identity },
  );
}

/** OpenAI's answer, its vectors in base64. */
interface EmbeddingsAnswer {
  readonly object: "list";
  readonly data: readonly { readonly object: "embedding"; readonly index: number; readonly embedding: string }[];
  readonly model: string;
  readonly usage?: { readonly prompt_tokens: number; readonly total_tokens: number };
}

async function embed(
  parts: ServerParts,
  { model: name, inputs, dimensions }: EmbeddingsRequest,
  model: ResolvedModel,
  lease: Stay & { readonly signal: AbortSignal },
): Promise<EmbeddingsAnswer> {
  const data: EmbeddingsAnswer["data"][number][] = [];
  let tokens = 0;
  const ask = (view: View): AsyncIterable<Embedding> => view.embed(inputs, { dimensions }, lease.signal);
  for await (const one of askModel(parts, model, lease, ask)) {
    data.push({ object: "embedding", index: data.length, embedding: base64Of(one.vector) });
    tokens += one.tokens;
  }
  return { object: "list", data, model: name, usage: { prompt_tokens: tokens, total_tokens: tokens } };
}

/** The answer in the form asked for, text by text. */
function* textsOf({ data, ...rest }: EmbeddingsAnswer, { encodingFormat }: EmbeddingsRequest): Generator<string> {
  yield `{"data":[`;
  for (const [at, { embedding, ...datum }] of data.entries()) {
    const vector = encodingFormat === "base64" ? embedding : numbersOf(embedding);
    yield `${at === 0 ? "" : ","}${JSON.stringify({ ...datum, embedding: vector })}`;
  }
  yield `],${JSON.stringify(rest).slice(1)}`;
}

/** IEEE 754 binary32, little-endian, whatever this machine is. */
function base64Of(vector: Float32Array): string {
  const bytes = new DataView(new ArrayBuffer(vector.length * 4));
  vector.forEach((number, at) => bytes.setFloat32(at * 4, number, true));
  return toBase64(new Uint8Array(bytes.buffer));
}

function numbersOf(base64: string): number[] {
  const { buffer } = fromBase64(base64);
  const bytes = new DataView(buffer);
  return Array.from({ length: buffer.byteLength / 4 }, (_, at) => bytes.getFloat32(at * 4, true));
}
