/**
 * Generation, token by token. Each step is taken when the one before it was taken up, so the model stops where its
 * reader stops.
 *
 * @module
 */

import type { GenerateEvent, GenerateRequest, ScoredToken, Token } from "../backend.ts";
import type { CausalSession, NextWanted } from "../graph/session.ts";
import { checkLength, type EncodedPrompt, encodePrompt } from "../text/prompt.ts";
import { TextStream } from "../text/text_stream.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";
import { Distribution } from "./distribution.ts";
import { LogitsProcessor } from "./logits_processor.ts";
import { pace } from "./pace.ts";
import { makeSampler } from "./sampler.ts";
import { refuseUnless, resolveSampling, type SamplingDefaults } from "./sampling.ts";
import type { Scorer } from "./score.ts";
import { MOST_OF_A_ROW, type Row } from "./row.ts";
import type { Sampling } from "./sampling.ts";
import { type Reader, Sequence } from "./sequence.ts";

/** What generating needs of a loaded model and one of its views. */
export interface Generator extends Scorer, Reader {
  readonly session: CausalSession;
  readonly endOfText: ReadonlySet<number>;
  readonly sampling: SamplingDefaults;
}

/**
 * {@link ../backend.ts View.generate}. A token that ends the text is not reported and not counted; one that completes a
 * stop text is. Log-probabilities are the model's own, before everything that the request changes about them.
 */
export async function* generate(
  model: Generator,
  request: GenerateRequest,
  signal?: AbortSignal,
): AsyncGenerator<GenerateEvent> {
  const sampling = resolveSampling(request, model.sampling, model.vocabularySize);
  checkRequest(request, sampling.minTokens);
  const { topLogprobs } = request;
  const prompt = encodePrompt(model, request.prompt);
  checkLength(model, prompt.ids.length, request.maxTokens ?? Math.max(1, sampling.minTokens), prompt.parameter);
  const limit = request.maxTokens ?? model.contextLength - prompt.ids.length;
  const processor = new LogitsProcessor(sampling, prompt.ids);
  const sample = makeSampler(sampling);
  const wanted = wantedOf(sampling, processor, model.endOfText, topLogprobs);
  const stream = new TextStream(request.stop);
  const sequence = new Sequence(model);
  let finishReason: "stop" | "length" = "length";
  let completionTokens = 0;
  try {
    let { event, next } = await begin(model, prompt, request, signal);
    yield event;
    while (completionTokens < limit) {
      next ??= await sequence.read(prompt.ids, signal);
      const distribution = new Distribution(next);
      const mayEnd = completionTokens >= sampling.minTokens;
      const candidates = next.candidates();
      const index = sample(processor.process(candidates, mayEnd ? NONE : model.endOfText));
      const id = candidates.ids?.[index] ?? index;
      if (mayEnd && model.endOfText.has(id)) {
        finishReason = "stop";
        break;
      }
      completionTokens++;
      processor.took(id);
      const token = describe(model.tokenizer, id, distribution, topLogprobs);
      const { text, stopped } = stream.push(model.tokenizer.token(id).bytes, completionTokens >= sampling.minTokens);
      yield { type: "token", token, text };
      if (stopped) {
        finishReason = "stop";
        break;
      }
      if (completionTokens < limit) {
        if (sequence.length === 0) await sequence.read(prompt.ids, signal);
        next = await sequence.append([id], signal, wanted);
      }
    }
    yield { type: "end", finishReason, completionTokens, text: stream.end() };
  } finally {
    sequence.release();
  }
}

const NONE: ReadonlySet<number> = new Set();

/** What has to be known of the logits in each step: a few of the highest, where nothing else can be chosen. */
function wantedOf(
  { temperature, topK, minTokens }: Sampling,
  { isNeutral }: LogitsProcessor,
  endOfText: ReadonlySet<number>,
  topLogprobs: number = 0,
): NextWanted {
  const choices = temperature === 0 ? 1 : topK > 0 ? topK : Infinity;
  const top = Math.max(choices + (minTokens > 0 ? endOfText.size : 0), topLogprobs);
  return isNeutral && top <= MOST_OF_A_ROW ? { whole: "none", top } : { whole: "last", top: reportable(topLogprobs) };
}

/** How many of the highest to ask for; where more are reported, they are looked for in the whole row. */
function reportable(topLogprobs: number = 1): number {
  return Math.min(Math.max(topLogprobs, 1), MOST_OF_A_ROW);
}

function checkRequest({ maxTokens, stop, topLogprobs }: GenerateRequest, minTokens: number): void {
  const isCount = (value: number | undefined): boolean =>
    value === undefined || (Number.isSafeInteger(value) && value >= 0);
  refuseUnless(isCount(maxTokens), "maxTokens", "a number of tokens", maxTokens);
  refuseUnless(minTokens <= (maxTokens ?? Infinity), "minTokens", `at most maxTokens, ${maxTokens}`, minTokens);
  refuseUnless(stop.every((text) => text !== "" && text.isWellFormed()), "stop", "a list of texts", stop);
  refuseUnless(isCount(topLogprobs), "topLogprobs", "a number of tokens", topLogprobs);
}

/**
 * What is reported of the prompt. Where its tokens are to be scored, that is done as everywhere, in one run over all of
 * them, which also says what may follow the last one.
 */
async function begin(
  { session, adapter, tokenizer }: Generator,
  { ids, text }: EncodedPrompt,
  { echo, topLogprobs }: GenerateRequest,
  signal: AbortSignal | undefined,
): Promise<{ readonly event: GenerateEvent; readonly next: Row | undefined }> {
  const event = { type: "prompt", promptTokens: ids.length } as const;
  if (!echo) return { event: { ...event, tokens: [], text: "" }, next: undefined };
  const whole = (topLogprobs ?? 0) > MOST_OF_A_ROW ? "all" : "last";
  const wanted = { rows: ids.length, whole, top: reportable(topLogprobs), ids: ids.slice(1) } as const;
  const scored = topLogprobs === undefined ? undefined : await session.score(ids, adapter, wanted, signal);
  const worked = pace(signal);
  const tokens: ScoredToken[] = [];
  for (const [index, id] of ids.entries()) {
    const row = index === 0 ? undefined : scored?.after(index - 1);
    tokens.push(describe(tokenizer, id, row && new Distribution(row), topLogprobs));
    await worked(row?.size ?? 0);
  }
  return { event: { ...event, tokens, text }, next: scored?.last().alone() };
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
