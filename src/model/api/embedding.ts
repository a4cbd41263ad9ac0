/**
 * Embeddings by an endpoint's `/embeddings`, one text a request, since only so it says how many tokens each had.
 *
 * @module
 */

import type { Embedding, EmbedInput, EmbedOptions } from "../backend.ts";
import { ModelError } from "../error.ts";
import { type ApiModel, explained } from "./api_model.ts";
import { record, UnusableAnswer } from "./legacy_logprobs.ts";

const PATH = "/embeddings";

/** Places one text. */
export async function embedOne(
  model: ApiModel,
  input: EmbedInput,
  { dimensions }: EmbedOptions,
  signal: AbortSignal,
): Promise<Embedding> {
  if (input.length === 0) throw new ModelError("invalid_request", "There is nothing to embed", { parameter: "input" });
  const body = {
    model: model.base.model,
    input,
    encoding_format: "float",
    ...(dimensions === undefined ? {} : { dimensions }),
  };
  try {
    const { data, usage } = record(await model.client.ask(PATH, body, signal), "an answer");
    const { embedding } = record(Array.isArray(data) ? data[0] : undefined, "data");
    if (!Array.isArray(embedding) || embedding.length === 0 || !embedding.every(Number.isFinite)) {
      throw new UnusableAnswer("its embedding is no list of finite numbers");
    }
    if (dimensions !== undefined && embedding.length !== dimensions) {
      throw new UnusableAnswer(`it ignored dimensions: ${embedding.length} numbers came for ${dimensions}`);
    }
    const { prompt_tokens: tokens } = record(usage, "usage");
    if (!Number.isSafeInteger(tokens)) throw new UnusableAnswer("its usage has no prompt_tokens");
    return { vector: Float32Array.from(embedding as number[]), tokens: tokens as number };
  } catch (error) {
    throw explained(model, error, PATH, "input");
  }
}
