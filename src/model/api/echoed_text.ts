/**
 * Where in an echoed text each token lies. A log-probability of the wrong tokens looks as good as one of the right ones,
 * so only tokens that make up the text byte for byte are believed. `text_offset` is not: servers count it in characters,
 * code units or lengths of what they show of their tokens, and it can look right where it is not.
 *
 * @module
 */

import { readTokenDecoder } from "../text/token_bytes.ts";
import { type ApiToken, UnusableAnswer } from "./legacy_logprobs.ts";

/** The tokens of an echoed text. */
export interface EchoedText {
  /** How many tokens belong to the text, special ones before it included; what was generated comes after them. */
  readonly length: number;
  /**
   * The token with which a later part of the text begins.
   *
   * @param characters How long the part before it is, in UTF-16 code units.
   * @returns `undefined` when a token reaches over the border.
   */
  tokenAt(characters: number): number | undefined;
}

/** Special tokens that a tokenizer puts before a text: `<s>`, say, or a token for the language. */
const MOST_SPECIAL = 4;

const SPACE = 0x20;

const encoder = new TextEncoder();

/** How servers show a token: as its text, or with the marks of SentencePiece or of byte-level BPE. */
const SPELLINGS: readonly ((text: string) => Uint8Array)[] = [
  spelledOut,
  readTokenDecoder({ type: "Sequence", decoders: [{ type: "Metaspace" }, { type: "ByteFallback" }] }),
  readTokenDecoder({ type: "ByteLevel" }),
];

/**
 * Places the tokens of an answer in the text that was sent.
 *
 * @throws UnusableAnswer when they do not make it up.
 */
export function placeTokens(tokens: readonly ApiToken[], text: string): EchoedText {
  const wanted = encoder.encode(text);
  for (const spelling of SPELLINGS) {
    const pieces = tokens.map((token) => bytesOf(token, spelling));
    for (let special = 0; special <= Math.min(MOST_SPECIAL, tokens.length); special++) {
      const begins = startsOf(pieces, special, wanted) ?? startsOf(withoutSpace(pieces, special), special, wanted);
      if (begins === undefined) continue;
      return {
        length: begins.length,
        tokenAt: (characters) => {
          // Special tokens begin where the text does, and belong to what comes before.
          const index = begins.indexOf(encoder.encode(text.slice(0, characters)).length, special);
          return index < 0 ? undefined : index;
        },
      };
    }
  }
  throw new UnusableAnswer("it ignored echo, or its tokens do not make up the text: where they lie is not known");
}

/** Where each token begins, in bytes, if those from `special` on make up the text. */
function startsOf(
  pieces: readonly (Uint8Array | undefined)[],
  special: number,
  wanted: Uint8Array,
): number[] | undefined {
  const starts = Array.from({ length: special }, () => 0);
  let at = 0;
  for (const piece of pieces.slice(special)) {
    if (at === wanted.length) return starts;
    if (piece === undefined || at + piece.length > wanted.length) return undefined;
    if (piece.some((byte, index) => byte !== wanted[at + index])) return undefined;
    starts.push(at);
    at += piece.length;
  }
  return at === wanted.length ? starts : undefined;
}

/** SentencePiece puts a space before a text. */
function withoutSpace(
  pieces: readonly (Uint8Array | undefined)[],
  first: number,
): readonly (Uint8Array | undefined)[] {
  return pieces.map((piece, index) => index === first && piece?.[0] === SPACE ? piece.subarray(1) : piece);
}

/** A token's bytes; `undefined` where its text does not tell them. */
function bytesOf({ text }: ApiToken, spelling: (text: string) => Uint8Array): Uint8Array | undefined {
  return text.includes("\uFFFD") ? undefined : spelling(text);
}

/** OpenAI shows a token that is no text as `bytes:` and its bytes, those that are ASCII as they are. */
function spelledOut(text: string): Uint8Array {
  if (!/^bytes:(?=.*\\x)(\\x[0-9a-f]{2}|[^\\])+$/is.test(text)) return encoder.encode(text);
  const parts = text.slice(6).match(/\\x[0-9a-f]{2}|[^\\]/gi)!;
  return Uint8Array.from(parts, (part) => part.length > 1 ? parseInt(part.slice(2), 16) : part.charCodeAt(0));
}
