/**
 * The token ids of a text that follows another. Its own ids are not always those that it has there: a token may reach
 * over the border, and some vocabularies put a space before every text.
 *
 * @module
 */

import { type EncodedPrompt, encodeText, type PromptEncoder } from "./prompt.ts";

type Encoder = Pick<PromptEncoder, "tokenizer" | "contextLength">;

/**
 * A completion's ids after a prompt: what the tokenizer makes of both together, where that begins with the prompt's own
 * ids; else of the completion alone, since the prompt is given and no token may reach over its end.
 *
 * @throws ModelError `prompt_too_long`
 */
export function encodeCompletion(encoder: Encoder, prompt: EncodedPrompt, completion: string): readonly number[] {
  const special = prompt.parameter === "prompt";
  const together = encodeText(encoder, prompt.text + completion, special, "completion");
  const begins = prompt.ids.every((id, index) => id === together[index]);
  return begins ? together.slice(prompt.ids.length) : encodeAlone(encoder, completion);
}

/** No token reaches over it into what follows, in vocabularies that put a space before every text. */
const BEFORE = "\n";

/** A text's ids as they are within a longer text: SentencePiece's vocabularies put a space before one that begins. */
function encodeAlone(encoder: Encoder, completion: string): readonly number[] {
  const { tokenizer } = encoder;
  const alone = encodeText(encoder, completion, false, "completion");
  const before = tokenizer.encode(BEFORE, { addSpecialTokens: false });
  const within = tokenizer.encode(BEFORE + completion, { addSpecialTokens: false }).slice(before.length);
  return tokenizer.decode(alone) === ` ${tokenizer.decode(within)}` ? within : alone;
}
