/**
 * Cuts a text as a model would have sent it. One giant piece would freeze a display that writes as it reads, and a piece
 * per character would be mostly wrapping.
 *
 * @module
 */

/** A piece of a text, and which of the text's tokens it is: `from` to before `to`. */
export interface Piece {
  readonly text: string;
  readonly from: number;
  readonly to: number;
}

// About four English words, or as many tokens.
const PIECE_LENGTH = 20;
const PIECE_TOKENS = 4;
// No display shows more steps than these, and each costs an event.
const MAX_PIECES = 1000;
// How far a piece may grow to end with a word.
const MAX_WORD = 16;

/** A few words each, whole code points; together they are the text. None for an empty text. */
export function piecesOf(text: string): string[] {
  const length = Math.max(PIECE_LENGTH, Math.ceil(text.length / MAX_PIECES));
  const pieces: string[] = [];
  for (let start = 0, end; start < text.length; start = end) {
    end = wordEnd(text, start + length);
    pieces.push(text.slice(start, end));
  }
  return pieces;
}

/**
 * Cuts a text between its tokens where these are its tokens, so that every piece can carry what is known of them. Where
 * they are not (a token may be half a character), the first piece has them all.
 */
export function tokenPiecesOf(text: string, tokens: readonly unknown[]): Piece[] {
  if (tokens.length === 0 || !tokens.every(isWhole) || tokens.join("") !== text) {
    const pieces = text === "" && tokens.length > 0 ? [""] : piecesOf(text);
    return pieces.map((piece, at) => ({ text: piece, from: at === 0 ? 0 : Infinity, to: Infinity }));
  }
  const step = Math.max(PIECE_TOKENS, Math.ceil(tokens.length / MAX_PIECES));
  return Array.from({ length: Math.ceil(tokens.length / step) }, (_, at) => {
    const from = at * step;
    // A list that is longer than that of the tokens keeps its end.
    const to = from + step < tokens.length ? from + step : Infinity;
    return { text: tokens.slice(from, to).join(""), from, to };
  });
}

function isWhole(token: unknown): boolean {
  return typeof token === "string" && token.isWellFormed();
}

function wordEnd(text: string, at: number): number {
  if (at >= text.length) return text.length;
  const space = text.slice(at, at + MAX_WORD).search(/\s/);
  const end = space < 0 ? at : at + space;
  const splitsPair = isWithin(text.charCodeAt(end - 1), 0xd800) && isWithin(text.charCodeAt(end), 0xdc00);
  return splitsPair ? end + 1 : end;
}

/** Whether a code unit is one of the 1024 surrogates from `first` on. */
function isWithin(unit: number, first: number): boolean {
  return unit >= first && unit < first + 0x400;
}
