/**
 * From the chunks of `/v1/completions` to pieces of text with their probabilities. A piece is a token, or the tokens that
 * make one character together.
 */

/** A chunk, as far as it is looked at. */
export interface CompletionChunk {
  readonly choices: readonly {
    readonly text: string;
    readonly finish_reason: string | null;
    readonly logprobs?: {
      readonly tokens: readonly string[];
      readonly token_logprobs: readonly (number | null)[];
      readonly top_logprobs?: readonly (Readonly<Record<string, number>> | null)[] | null;
    } | null;
  }[];
}

/** What might have stood in a place, and how likely it was, from 0 to 1. */
export interface Alternative {
  readonly text: string;
  readonly probability: number;
}

/** A piece of an answer. */
export interface Piece extends Omit<Alternative, "probability"> {
  /** Where it is not known, `undefined`. */
  readonly probability: number | undefined;
  /** The likeliest at its place, likeliest first; itself among them. */
  readonly alternatives: readonly Alternative[];
}

/** Part of a character is written as its bytes. */
const BYTES = /^bytes:((?:\\x[0-9a-f]{2})+)$/i;

/** Reads chunks into pieces. */
export class PieceReader {
  #decoder = new TextDecoder();
  /** The pieces that are part of a character that has not ended. */
  #begun: Piece | undefined;
  #finishReason: string | undefined;

  /** Why the answer ended; `undefined` before it has. */
  get finishReason(): string | undefined {
    return this.#finishReason;
  }

  /** The pieces that are whole with this chunk. */
  read({ choices: [choice] }: CompletionChunk): Piece[] {
    if (choice === undefined) return [];
    this.#finishReason ??= choice.finish_reason ?? undefined;
    const { text, logprobs } = choice;
    if (!logprobs) return text === "" ? [] : [{ text, probability: undefined, alternatives: [] }];
    const pieces = logprobs.tokens.flatMap((token, at) => {
      const logprob = logprobs.token_logprobs[at] ?? null;
      return this.#readToken({
        text: token,
        probability: logprob === null ? undefined : Math.exp(logprob),
        alternatives: alternativesIn(logprobs.top_logprobs?.[at]),
      });
    });
    return choice.finish_reason === null ? pieces : [...pieces, ...this.#endCharacter()];
  }

  #readToken(token: Piece): Piece[] {
    const bytes = BYTES.exec(token.text)?.[1];
    if (bytes === undefined) return [...this.#endCharacter(), token];
    const text = this.#decoder.decode(bytesOf(bytes), { stream: true });
    const { text: before = "", probability = 1, alternatives = token.alternatives } = this.#begun ?? {};
    this.#begun = { text: before + text, probability: probability * (token.probability ?? 1), alternatives };
    if (text === "") return [];
    const whole = this.#begun;
    this.#begun = undefined;
    return [whole];
  }

  /** What a character lacks at the end of a text, or before the next token, does not come any more. */
  #endCharacter(): Piece[] {
    if (this.#begun === undefined) return [];
    const whole = { ...this.#begun, text: this.#begun.text + this.#decoder.decode() };
    this.#begun = undefined;
    return [whole];
  }
}

function alternativesIn(top: Readonly<Record<string, number>> | null | undefined): Alternative[] {
  return Object.entries(top ?? {})
    .map(([text, logprob]) => ({ text: readable(text), probability: Math.exp(logprob) }))
    .sort((one, other) => other.probability - one.probability);
}

/** A token as one reads it: part of a character as its bytes. */
function readable(token: string): string {
  const bytes = BYTES.exec(token)?.[1];
  return bytes === undefined ? token : `‹${bytes.replaceAll("\\x", " ").trim()}›`;
}

function bytesOf(escaped: string): Uint8Array {
  return Uint8Array.from(escaped.split("\\x").slice(1), (digits) => Number.parseInt(digits, 16));
}
