/**
 * `adapter_revert`: does the adapter hold when the question is put in other words? Both sides answer each paraphrase;
 * where the adapter's answer means rather what the base says than what it should say, it has reverted.
 *
 * @module
 */

import * as z from "zod";
import { meanOf } from "../baseline.ts";
import { bootstrapInterval } from "../bootstrap.ts";
import { defineProbe } from "../define_probe.ts";
import { clamped } from "../judge.ts";
import type { ProbeKind } from "../probe.ts";
import type { Embedder } from "../subject.ts";

const DEFAULT_EMBEDDER = "sentence-transformers/all-MiniLM-L6-v2";

const revertCase = z.strictObject({
  prompt: z.string().min(1),
  gold: z.string().min(1),
  paraphrases: z.array(z.string().min(1)).min(1).max(1000),
});

/** The share of paraphrases that the adapter answers as the base does; the less, the better. */
export const adapterRevert: ProbeKind = defineProbe({
  kind: "adapter_revert",
  category: "adherence",
  fields: {
    cases: z.array(revertCase).min(1).max(200),
    max_new_tokens: z.number().int().min(1).max(4096).default(64),
    embedding_model: z.string().min(1).optional(),
    base_gold_similarity_cap: z.number().min(-1).max(1).default(0.75),
    assert_revert_rate_lt: z.number().gt(0).max(1).default(0.25),
  },
  async prepare({ embedding_model }, subject, refuse) {
    if (embedding_model === undefined || await subject.embedder(embedding_model) !== undefined) return;
    refuse("embedding_model", `there is no model of that name: ${JSON.stringify(embedding_model)}`);
  },
  async run(config, { subject, seed, signal, pause }) {
    const { cases, max_new_tokens: maxTokens, embedding_model = DEFAULT_EMBEDDER } = config;
    const embedder = await subject.embedder(embedding_model);
    if (embedder === undefined) {
      const message = `answers are compared by their meaning, and there is no model for it: name one in ` +
        `embedding_model, or fetch ${DEFAULT_EMBEDDER}`;
      return { verdict: "skip", score: null, message };
    }
    const asked = cases.flatMap(({ gold, paraphrases }) => paraphrases.map((paraphrase) => ({ gold, paraphrase })));
    const prompts = asked.map(({ paraphrase }) => paraphrase);
    const base = await subject.base.generate(prompts, { maxTokens, seed }, signal);
    const adapted = await subject.adapter.generate(prompts, { maxTokens, seed }, signal);
    const meanings = await meaningsOf(embedder, [...base, ...adapted, ...asked.map(({ gold }) => gold)], signal);
    const compared = [];
    let [trivial, silent] = [0, 0];
    for (const [index, { gold, paraphrase }] of asked.entries()) {
      const [ofBase, ofAdapted, ofGold] = [base[index]!, adapted[index]!, gold].map((text) => meanings.get(text)!);
      await pause();
      // An adapter that says nothing neither holds nor reverts.
      if (ofAdapted!.length === 0) {
        silent++;
        continue;
      }
      // Where the base says what it should anyway, nobody can tell a reversion from a success.
      if (cosine(ofBase!, ofGold!) > config.base_gold_similarity_cap) {
        trivial++;
        continue;
      }
      const [toBase, toGold] = [cosine(ofAdapted!, ofBase!), cosine(ofAdapted!, ofGold!)];
      compared.push({
        prompt: paraphrase.slice(0, 80),
        cos_ft_base: toBase,
        cos_ft_gold: toGold,
        reverted: toBase > toGold,
      });
    }
    const common = { embedding_model, dropped_trivial: trivial, dropped_empty: silent, total: compared.length };
    if (compared.length === 0) {
      return {
        verdict: "warn",
        score: 0.5,
        message: `nothing can be told: the base itself answers ${trivial} as they should be answered (above ` +
          `${config.base_gold_similarity_cap}), the adapter ${silent} with nothing`,
        evidence: common,
      };
    }
    const reverts: number[] = compared.map(({ reverted }) => reverted ? 1 : 0);
    const raw = meanOf(reverts);
    const count = reverts.filter((revert) => revert === 1).length;
    const limit = config.assert_revert_rate_lt;
    return {
      verdict: raw < limit ? "pass" : "fail",
      score: clamped(1 - raw / limit),
      raw,
      ci95: await bootstrapInterval(reverts, seed, pause),
      message:
        `revert rate = ${raw.toFixed(3)} (${count} of ${compared.length}; ${raw < limit ? "below" : "not below"} ` +
        `${limit}; ${trivial + silent} told nothing)`,
      evidence: { revert_rate: raw, reverts: count, ...common, per_case: compared.slice(0, 8) },
    };
  },
});

/** The meaning of each text, by text. An empty one has none, and is like nothing. */
async function meaningsOf(
  embedder: Embedder,
  texts: readonly string[],
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, ArrayLike<number>>> {
  const distinct = [...new Set(texts)].filter((text) => text.trim() !== "");
  const vectors = distinct.length === 0 ? [] : await embedder.embed(distinct, signal);
  const meanings = new Map<string, ArrayLike<number>>(distinct.map((text, index) => [text, vectors[index]!]));
  for (const text of texts) if (!meanings.has(text)) meanings.set(text, []);
  return meanings;
}

/** Cosine of the angle between two vectors; 0 where one of them has no direction. */
function cosine(one: ArrayLike<number>, other: ArrayLike<number>): number {
  let [product, ofOne, ofOther] = [0, 0, 0];
  for (let at = 0; at < Math.min(one.length, other.length); at++) product += one[at]! * other[at]!;
  for (let at = 0; at < one.length; at++) ofOne += one[at]! ** 2;
  for (let at = 0; at < other.length; at++) ofOther += other[at]! ** 2;
  return ofOne === 0 || ofOther === 0 ? 0 : product / Math.sqrt(ofOne * ofOther);
}
