/**
 * Text from tokens, as it becomes certain: a character may be spread over several tokens, and the beginning of a stop
 * text must not be shown before it is known whether the rest follows.
 *
 * @module
 */

/** Bytes in, certain text out. */
export class TextStream {
  readonly #stops: readonly string[];
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #held = "";
  #stopped = false;

  /** @param stops Texts that end the stream and are not part of it; none is empty. */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /**
   * Takes the next token's bytes. Returns the text that is certain now; `stopped` when a stop text ended the stream.
   *
   * @param mayStop Whether a stop text that is complete with this token ends the stream; else it is text like any
   * other.
   */
  push(bytes: Uint8Array, mayStop = true): { readonly text: string; readonly stopped: boolean } {
    this.#held += this.#decoder.decode(bytes, { stream: true });
    const stop = mayStop ? this.#findStop() : undefined;
    this.#stopped = stop !== undefined;
    return { text: this.#take(stop ?? this.#held.length - this.#possibleStop()), stopped: this.#stopped };
  }

  /** The text that was held back, none after a stop text; an unfinished character shows as U+FFFD. */
  end(): string {
    if (this.#stopped) return "";
    this.#held += this.#decoder.decode();
    return this.#take(this.#held.length);
  }

  #take(length: number): string {
    const text = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return text;
  }

  /** Where the stop text begins that is complete first, the longest of several. The same wherever tokens end. */
  #findStop(): number | undefined {
    const found = this.#stops
      .map((stop) => ({ start: this.#held.indexOf(stop), length: stop.length }))
      .filter(({ start }) => start >= 0)
      .sort((one, other) => one.start + one.length - (other.start + other.length) || one.start - other.start);
    return found[0]?.start;
  }

  /** Length of the longest end of the text that is the beginning of a stop text. */
  #possibleStop(): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, this.#held.length); length > longest; length--) {
        if (this.#held.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
