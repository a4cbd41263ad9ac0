/** encodeCompletion: which tokens a text is taken for that follows another. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Prompt } from "../../src/model/backend.ts";
import { encodeCompletion } from "../../src/model/text/completion.ts";
import { encodePrompt } from "../../src/model/text/prompt.ts";
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

/** The tokens that a completion is taken for, by their names. */
function takenFor(tokenizer: TextTokenizer, prompt: Prompt, completion: string): string[] {
  const encoder = { tokenizer, chatTemplate: undefined, vocabularySize: 300, contextLength: 100 };
  const ids = encodeCompletion(encoder, encodePrompt(encoder, prompt), completion);
  return ids.map((id) => tokenizer.token(id).text);
}

describe("encodeCompletion with a tokenizer that puts a space before every text", () => {
  const tokenizer = sentencePiece(["l d", "r ld", `${SPACE} l`]);

  it("takes the completion's tokens from the whole text", () => {
    assert.deepEqual(takenFor(tokenizer, { text: "Hello" }, " world"), [" ", "w", "o", "rld"]);
    assert.deepEqual(takenFor(tokenizer, { text: "Hello" }, ", ld"), [",", " ", "ld"]);
  });

  it("puts no space before a completion that the whole text would join to the prompt's last token", () => {
    assert.deepEqual(takenFor(tokenizer, { text: "Hello wor" }, "ld"), ["ld"]);
    assert.deepEqual(takenFor(tokenizer, { text: "Hello wor" }, "ld ld"), ["ld", " ", "ld"]);
  });

  it("puts none before one that follows token ids, and keeps the completion's own", () => {
    const ids = tokenizer.encode("Hello", { addSpecialTokens: true });
    assert.deepEqual(takenFor(tokenizer, { ids }, ", d"), [",", " ", "d"]);
    assert.deepEqual(takenFor(tokenizer, { ids }, " d"), [" ", "d"]);
  });
});
