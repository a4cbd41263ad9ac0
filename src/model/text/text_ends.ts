/**
 * Which tokens stand around every text. `tokenizer.json` says it in its post-processor, but the tokenizers of Llama's
 * family write theirs anew whenever transformers loads them, from `add_bos_token` and `add_eos_token` in
 * `tokenizer_config.json`. Where the two files disagree, the model was trained with what transformers makes of them.
 *
 * @module
 */

import { isObject, type JsonObject } from "../files/model_files.ts";

/** Tokenizer classes of transformers that do so, whether their names end in `Fast` or not. */
const LLAMA_FAMILY = /^(?:Llama|CodeLlama|Gemma|Cohere)Tokenizer(?:Fast)?$/;

/**
 * A `tokenizer.json` whose post-processor is the one that transformers would use.
 *
 * @param config The contents of `tokenizer_config.json`.
 */
export function withTextEnds(tokenizer: JsonObject, config: JsonObject): JsonObject {
  if (!LLAMA_FAMILY.test(String(config.tokenizer_class))) return tokenizer;
  const beginning = config.add_bos_token === false ? [] : [contentOf(config.bos_token)];
  const end = config.add_eos_token === true ? [contentOf(config.eos_token)] : [];
  const known = namesOf(tokenizer.added_tokens);
  // What no token is called cannot be put around a text, whoever wanted it.
  if (![...beginning, ...end].every((name) => known.has(name))) return tokenizer;
  const special = (id: unknown): JsonObject => ({ SpecialToken: { id, type_id: 0 } });
  const single = [...beginning.map(special), { Sequence: { id: "A", type_id: 0 } }, ...end.map(special)];
  return { ...tokenizer, post_processor: { type: "TemplateProcessing", single, pair: [], special_tokens: {} } };
}

function contentOf(token: unknown): unknown {
  return isObject(token) ? token.content : token;
}

function namesOf(addedTokens: unknown): ReadonlySet<unknown> {
  return new Set(Array.isArray(addedTokens) ? addedTokens.map(contentOf) : []);
}
