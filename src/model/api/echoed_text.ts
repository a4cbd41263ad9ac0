/**
 * Where in an echoed text each token lies. A log-probability of the wrong tokens looks as good as one of the right ones,
 * so a border that cannot be placed for certain is refused.
 *
 * @module
 */

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

const encoder = new TextEncoder();

/**
 * Places the tokens of an answer in the text that was sent. Where the tokens' own texts make up that text, byte for
 * byte, they are believed; else the endpoint's offsets are, if the last one agrees with the text.
 *
 * @throws UnusableAnswer when the text did not come back, or tokens cannot be placed in it.
 */
export function placeTokens(tokens: readonly ApiToken[], text: string): EchoedText {
  return byTexts(tokens, text) ?? byOffsets(tokens, text);
}

function byTexts(tokens: readonly ApiToken[], text: string): EchoedText | undefined {
  const pieces = tokens.map(bytesOf);
  const wanted = encoder.encode(text);
  for (let special = 0; special <= Math.min(MOST_SPECIAL, tokens.length); special++) {
    const begins = startsOf(pieces, special, wanted);
    if (begins === undefined) continue;
    const length = begins.length;
    return {
      length,
      tokenAt: (characters) => {
        const border = encoder.encode(text.slice(0, characters)).length;
        // Special tokens begin where the text does, and belong to what comes before.
        return tokenFrom(begins, border, special);
      },
    };
  }
  return undefined;
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

function byOffsets(tokens: readonly ApiToken[], text: string): EchoedText {
  const all = charactersOf(text);
  const offsets = tokens.map(({ offset }) => offset);
  if (offsets.some((offset) => offset === undefined)) {
    throw new UnusableAnswer("its tokens do not make up the text, and no text_offset says where they lie in it");
  }
  const starts = (offsets as number[]).filter((offset) => offset < all);
  const last = starts.length - 1;
  const end = last < 0 ? 0 : starts[last]! + charactersOf(tokens[last]!.text);
  // A tokenizer that marks spaces or bytes in its own way shows other texts, but hardly longer or shorter ones.
  if (end !== all) {
    const where = `its tokens end at character ${end} of ${all}`;
    throw new UnusableAnswer(`it ignored echo, or its text_offset does not fit the text: ${where}`);
  }
  return {
    length: starts.length,
    tokenAt: (characters) => tokenFrom(starts, charactersOf(text.slice(0, characters)), 0),
  };
}

/** The first token from `from` on that begins at `border`. */
function tokenFrom(starts: readonly number[], border: number, from: number): number | undefined {
  const index = starts.indexOf(border, from);
  return index < 0 ? undefined : index;
}

/** Unicode characters. */
function charactersOf(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** A token's bytes; `undefined` where its text does not tell them. */
function bytesOf({ text }: ApiToken): Uint8Array | undefined {
  if (text.startsWith("bytes:") && /^bytes:(\\x[0-9a-f]{2})+$/i.test(text)) {
    return Uint8Array.from(text.slice(6).split("\\x").slice(1), (digits) => parseInt(digits, 16));
  }
  return text.includes("\uFFFD") ? undefined : encoder.encode(text);
}
