/**
 * The text of a dummy's answer, as it becomes certain: its tokens are bytes, several of which may be one character, and
 * the beginning of a stop text must not be shown.
 *
 * @module
 */

/** Bytes in, certain text out. */
export class DummyText {
  readonly #stops: readonly string[];
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #held = "";

  /** @param stops Texts that end the answer and are not part of it. */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** Takes a token's bytes; `stopped` when a stop text is complete, which ends the answer. */
  push(bytes: readonly number[]): { readonly text: string; readonly stopped: boolean } {
    this.#held += this.#decoder.decode(Uint8Array.from(bytes), { stream: true });
    const starts = this.#stops.map((stop) => this.#held.indexOf(stop)).filter((start) => start >= 0);
    if (starts.length === 0) return { text: this.#take(this.#held.length - this.#open()), stopped: false };
    const text = this.#take(Math.min(...starts));
    this.#held = "";
    return { text, stopped: true };
  }

  /** What was held back, where no stop text ended the answer. */
  end(): string {
    return this.#take(this.#held.length) + this.#decoder.decode();
  }

  /** How many characters at the end may become a stop text. */
  #open(): number {
    const beginnings = this.#stops.flatMap((stop) => [...stop].map((_, at, all) => all.slice(0, at).join("")));
    return Math.max(0, ...beginnings.filter((text) => this.#held.endsWith(text)).map(({ length }) => length));
  }

  #take(length: number): string {
    const text = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return text;
  }
}
