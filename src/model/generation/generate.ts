/**
 * Generation, token by token. Each step is taken when the one before it was taken up, so the model stops where its
 * reader stops.
 *
 * @module
 */

import type { GenerateEvent, GenerateRequest, ScoredToken, Token } from "../backend.ts";
import { Distribution } from "./distribution.ts";
import { ModelError } from "../error.ts";
import type { Feeds } from "../graph/graph.ts";
import type { Logits } from "./logits.ts";
import { checkLength, type EncodedPrompt, encodePrompt } from "../text/prompt.ts";
import { makeSampler } from "./sampler.ts";
import type { Scorer } from "./score.ts";
import type { KeyValueCache } from "../graph/session.ts";
import { TextStream } from "../text/text_stream.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";

/** What generating needs of a loaded model. */
export interface Generator extends Scorer {
  readonly endOfText: ReadonlySet<number>;
}

/**
 * {@link ../backend.ts View.generate}. A token that ends the text is not reported and not counted; one that completes a
 * stop text is. Log-probabilities are the model's own, before temperature and nucleus.
 */
export async function* generate(
  model: Generator,
  adapter: Feeds,
  request: GenerateRequest,
  signal?: AbortSignal,
): AsyncGenerator<GenerateEvent> {
  checkRequest(request);
  const prompt = encodePrompt(model, request.prompt);
  checkLength(model, prompt.ids.length, request.maxTokens ?? 1, prompt.parameter);
  const limit = request.maxTokens ?? model.contextLength - prompt.ids.length;
  const { temperature = 1, topP = 1, seed } = request;
  const sample = makeSampler({ temperature, topP, seed });
  const stream = new TextStream(request.stop);
  let finishReason: "stop" | "length" = "length";
  let completionTokens = 0;
  let logits: Logits | undefined;
  let cache: KeyValueCache | undefined;
  try {
    if (limit > 0 || scoresPrompt(request)) {
      ({ logits, cache } = await model.session.step(prompt.ids, undefined, adapter, signal));
    }
    yield promptEvent(model.tokenizer, prompt, request, logits);
    while (completionTokens < limit) {
      const distribution = new Distribution(logits!.last());
      const id = sample(distribution);
      if (model.endOfText.has(id)) {
        finishReason = "stop";
        break;
      }
      completionTokens++;
      const token = describe(model.tokenizer, id, distribution, request.topLogprobs);
      const { text, stopped } = stream.push(model.tokenizer.token(id).bytes);
      yield { type: "token", token, text };
      if (stopped) {
        finishReason = "stop";
        break;
      }
      if (completionTokens < limit) {
        ({ logits, cache } = await model.session.step([id], cache, adapter, signal));
      }
    }
    yield { type: "end", finishReason, completionTokens, text: stream.end() };
  } finally {
    if (cache !== undefined) model.session.release(cache);
  }
}

function checkRequest({ maxTokens, temperature = 1, topP = 1, seed, stop, topLogprobs }: GenerateRequest): void {
  const isCount = (value: number | undefined): boolean =>
    value === undefined || (Number.isSafeInteger(value) && value >= 0);
  const check = (parameter: string, valid: boolean, wanted: string, value: unknown): void => {
    if (valid) return;
    throw new ModelError("invalid_request", `${parameter} is not ${wanted}: ${JSON.stringify(value)}`, { parameter });
  };
  check("maxTokens", isCount(maxTokens), "a number of tokens", maxTokens);
  check("temperature", Number.isFinite(temperature) && temperature >= 0, "0 or more", temperature);
  check("topP", topP > 0 && topP <= 1, "above 0 and at most 1", topP);
  check("seed", seed >>> 0 === seed, "an unsigned 32-bit integer", seed);
  check("stop", stop.every((text) => text !== "" && text.isWellFormed()), "a list of texts", stop);
  check("topLogprobs", isCount(topLogprobs), "a number of tokens", topLogprobs);
}

/** Whether the prompt's own tokens are to be scored. */
function scoresPrompt({ echo, topLogprobs }: GenerateRequest): boolean {
  return echo && topLogprobs !== undefined;
}

function promptEvent(
  tokenizer: TextTokenizer,
  { ids, text }: EncodedPrompt,
  request: GenerateRequest,
  logits: Logits | undefined,
): GenerateEvent {
  if (!request.echo) return { type: "prompt", promptTokens: ids.length, tokens: [], text: "" };
  const tokens = ids.map((id, index) => {
    const scored = scoresPrompt(request) && index > 0;
    return describe(
      tokenizer,
      id,
      scored ? new Distribution(logits!.after(index - 1)) : undefined,
      request.topLogprobs,
    );
  });
  return { type: "prompt", promptTokens: ids.length, tokens, text };
}

function describe(
  tokenizer: TextTokenizer,
  id: number,
  distribution: Distribution | undefined,
  topLogprobs: number | undefined,
): ScoredToken {
  const token = shown(tokenizer, id);
  if (distribution === undefined || topLogprobs === undefined) return { ...token, logprob: null, top: [] };
  const top = distribution.likeliest(topLogprobs).map((other) => {
    return { ...shown(tokenizer, other), logprob: distribution.logprob(other) };
  });
  return { ...token, logprob: distribution.logprob(id), top };
}

function shown(tokenizer: TextTokenizer, id: number): Token {
  const { text, bytes } = tokenizer.token(id);
  return { id, text, bytes: [...bytes] };
}
