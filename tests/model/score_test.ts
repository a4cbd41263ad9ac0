/** Scoring with tokenizers that are not the example model's: which tokens a completion is taken for. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Logits } from "../../src/model/generation/logits.ts";
import { scoreMany, type Scorer } from "../../src/model/generation/score.ts";
import type { Prompt } from "../../src/model/backend.ts";
import { TextTokenizer } from "../../src/model/text/tokenizer.ts";

const SPACE = "\u2581";

/** A tokenizer as Llama 2 has it: a space before every text, bytes for what is not in the vocabulary. */
function sentencePiece(merges: readonly string[]): TextTokenizer {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`);
  const words = ["<unk>", "<s>", ...bytes, SPACE, ..."Helowrd,", ...merges.map((merge) => merge.replace(" ", ""))];
  return new TextTokenizer({
    added_tokens: ["<unk>", "<s>"].map((content, id) => ({ id, content, special: true, normalized: false })),
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: SPACE },
        { type: "Replace", pattern: { String: " " }, content: SPACE },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: "TemplateProcessing",
      single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
      pair: [],
    },
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: SPACE }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: {
      type: "BPE",
      unk_token: "<unk>",
      byte_fallback: true,
      fuse_unk: true,
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
      merges,
    },
  }, {});
}

/** The tokens that a completion is scored as, by their names. */
async function scoredAs(tokenizer: TextTokenizer, prompt: Prompt, completion: string): Promise<string[]> {
  const vocabularySize = 300;
  // Whatever comes, everything is as likely after it: what is looked at is what comes.
  const session = {
    score: (ids: readonly number[]) =>
      Promise.resolve(new Logits(new Float32Array(ids.length * vocabularySize), vocabularySize)),
  } as unknown as Scorer["session"];
  const scorer: Scorer = { session, tokenizer, chatTemplate: undefined, vocabularySize, contextLength: 100 };
  for await (const answer of scoreMany(scorer, {}, [{ kind: "logprobs", prompt, completion }])) {
    return answer.ids.map((id) => tokenizer.token(id).text);
  }
  throw new Error("no answer");
}

describe("logprobs with a tokenizer that puts a space before every text", () => {
  const tokenizer = sentencePiece(["l d", "r ld", `${SPACE} l`]);

  it("takes the completion's tokens from the whole text", async () => {
    assert.deepEqual(await scoredAs(tokenizer, { text: "Hello" }, " world"), [" ", "w", "o", "rld"]);
    assert.deepEqual(await scoredAs(tokenizer, { text: "Hello" }, ", ld"), [",", " ", "ld"]);
  });

  it("puts no space before a completion that the whole text would join to the prompt's last token", async () => {
    assert.deepEqual(await scoredAs(tokenizer, { text: "Hello wor" }, "ld"), ["ld"]);
    assert.deepEqual(await scoredAs(tokenizer, { text: "Hello wor" }, "ld ld"), ["ld", " ", "ld"]);
  });

  it("puts none before one that follows token ids, and keeps the completion's own", async () => {
    const ids = tokenizer.encode("Hello", { addSpecialTokens: true });
    assert.deepEqual(await scoredAs(tokenizer, { ids }, ", d"), [",", " ", "d"]);
    assert.deepEqual(await scoredAs(tokenizer, { ids }, " d"), [" ", "d"]);
  });
});
