/**
 * Ids of tokens that an endpoint names by their texts only. What compares two answers goes by ids, so the same text has
 * to have the same id at every endpoint, today and tomorrow.
 *
 * @module
 */

import type { Runtime } from "../../runtime/runtime.ts";

/** vLLM's form of a token where `return_tokens_as_token_ids` is set there. */
const NAMED_BY_ID = /^token_id:(\d{1,9})$/;

/** No vocabulary has so many tokens: an id that was made up is not taken for one of the model's. */
const FIRST_MADE_UP = 2 ** 52;

/**
 * The id of a token by its text: the model's own where the text says it, else 2^52 and the first 52 bits of the text's
 * SHA-256. Among the 8192 tokens of the longest answer two share an id with a probability below 10^-8.
 */
export function idOfText({ sha256 }: Pick<Runtime, "sha256">, text: string): number {
  const [, named] = NAMED_BY_ID.exec(text) ?? [];
  if (named !== undefined) return Number(named);
  const digest = sha256(new TextEncoder().encode(text));
  return digest.subarray(0, 6).reduce((sum, byte) => sum * 256 + byte, 0) * 16 + (digest[6]! >> 4) + FIRST_MADE_UP;
}
