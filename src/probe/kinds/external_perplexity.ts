/**
 * `external_perplexity`: has the adapter cost the model its fluency elsewhere? The mean change of the log-probability of
 * a token of prose that has nothing to do with what the adapter was trained on.
 *
 * @module
 */

import * as z from "zod";
import type { RollingLogprobs } from "../../model/backend.ts";
import { meanOf } from "../baseline.ts";
import { bootstrapInterval } from "../bootstrap.ts";
import { PUBLIC_DOMAIN_EN } from "../corpus.ts";
import { defineProbe } from "../define_probe.ts";
import { judge, signed } from "../judge.ts";
import type { ProbeKind } from "../probe.ts";

/** A rest shorter than this says more about where it was cut than about the model. */
const LEAST_CHUNK = 64;

/** The change of the mean log-probability per token on unrelated prose, in nats; the more, the better. */
export const externalPerplexity: ProbeKind = defineProbe({
  kind: "external_perplexity",
  category: "calibration",
  isCalibrated: true,
  fields: {
    corpus: z.enum(["public_domain_en"]).default("public_domain_en"),
    /** Prose of one's own in place of the corpus. */
    texts: z.array(z.string().min(1)).min(1).max(1000).optional(),
    chunk_chars: z.number().int().min(128).max(16_384).default(2048),
    max_chunks: z.number().int().min(1).max(128).default(16),
    assert_mean_delta_gte: z.number().default(-0.1),
    assert_z_gte: z.number().default(3),
  },
  check({ texts, chunk_chars }, refuse) {
    if (texts !== undefined && chunksOf(texts, chunk_chars, 1).length === 0) {
      refuse("texts", `none of them has the ${LEAST_CHUNK} characters that a chunk needs`);
    }
  },
  async run({ corpus, texts, chunk_chars, max_chunks, assert_mean_delta_gte, assert_z_gte }, context) {
    const { subject, signal, seed } = context;
    const chunks = chunksOf(texts ?? [PUBLIC_DOMAIN_EN], chunk_chars, max_chunks);
    const questions = chunks.map((text) => ({ kind: "rollingLogprobs", text }) as const);
    const base = await subject.base.score(questions, signal);
    const adapted = await subject.adapter.score(questions, signal);
    const perChunk = base.map((answer, index) => meanOf(adapted[index]!.logprobs) - meanOf(answer.logprobs));
    const raw = meanOf(perChunk);
    // Of all tokens alike, not of all chunks.
    const [baseValue, ftValue] = [perToken(base), perToken(adapted)];
    const passes = raw >= assert_mean_delta_gte;
    const { evidence, ...judgement } = judge({
      raw,
      better: "higher",
      words: `log-probability ${signed(raw, 3)} nats per token`,
      leastZ: assert_z_gte,
      fixed: {
        passes,
        words: `${passes ? "at least" : "below"} ${assert_mean_delta_gte}`,
        score: 0.5 + raw,
      },
    }, context);
    return {
      ...judgement,
      baseValue,
      ftValue,
      ci95: await bootstrapInterval(perChunk, seed, context.pause),
      evidence: {
        corpus: texts === undefined ? corpus : "texts",
        chunk_chars,
        num_chunks: chunks.length,
        per_chunk_delta: perChunk,
        base_mean_logprob_per_tok: baseValue,
        ft_mean_logprob_per_tok: ftValue,
        base_perplexity: Math.exp(-baseValue),
        ft_perplexity: Math.exp(-ftValue),
        ...evidence,
      },
    };
  },
});

/** Mean log-probability of the tokens of all chunks. */
function perToken(chunks: readonly Pick<RollingLogprobs, "logprobs">[]): number {
  let [sum, count] = [0, 0];
  for (const { logprobs } of chunks) {
    for (const logprob of logprobs) sum += logprob;
    count += logprobs.length;
  }
  return sum / count;
}

/** Texts cut into pieces of so many characters, from the beginning of each; the first `most` of them. */
function chunksOf(texts: readonly string[], size: number, most: number): string[] {
  const chunks: string[] = [];
  for (const text of texts) {
    let [chunk, count] = ["", 0];
    // By characters and not by halves of them: a lone surrogate is no text.
    for (const character of text) {
      chunk += character;
      if (++count < size) continue;
      chunks.push(chunk);
      if (chunks.length === most) return chunks;
      [chunk, count] = ["", 0];
    }
    if (chunk.length >= LEAST_CHUNK) chunks.push(chunk);
    if (chunks.length === most) return chunks;
  }
  return chunks;
}
