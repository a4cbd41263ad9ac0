/**
 * Values as bytes and back, for what goes over the wire: little-endian, text in UTF-8, whatever has no fixed length behind
 * its own. What is read may come from anybody, so no length is believed before the bytes are there.
 *
 * @module
 */

const encoder = new TextEncoder();
/** Text is given back as it was sent, a byte order mark in front included. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Bytes that are not what they should be. */
export class BadBytes extends Error {
  override readonly name = "BadBytes";
}

/** Writes values one behind the other. */
export class ByteWriter {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** An unsigned 8-bit integer. */
  byte(value: number): this {
    // Taken first: it may be other bytes afterwards.
    const at = this.#room(1);
    this.#bytes[at] = value;
    return this;
  }

  /** A count: an unsigned 32-bit integer. */
  count(value: number): this {
    const at = this.#room(4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  /** A 64-bit float: any number there is. */
  number(value: number): this {
    const at = this.#room(8);
    this.#view.setFloat64(at, value, true);
    return this;
  }

  text(value: string): this {
    return this.blob(encoder.encode(value));
  }

  /** Bytes behind their count. */
  blob(value: Uint8Array): this {
    this.count(value.byteLength);
    const at = this.#room(value.byteLength);
    this.#bytes.set(value, at);
    return this;
  }

  /** A value that may be `null`, and how it is written if it is not. */
  nullable<T>(value: T | null, write: (value: T) => unknown): this {
    this.byte(value === null ? 0 : 1);
    if (value !== null) write(value);
    return this;
  }

  /** A list behind its count. */
  list<T>(values: readonly T[], write: (value: T) => unknown): this {
    this.count(values.length);
    for (const value of values) write(value);
    return this;
  }

  /** How many bytes were written. */
  get length(): number {
    return this.#length;
  }

  /** What was written. Nothing more may be. */
  done(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Makes room for so many bytes; where it begins. */
  #room(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#bytes.byteLength) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.byteLength));
      larger.set(this.#bytes.subarray(0, at));
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}

/** Reads what a {@link ByteWriter} wrote. Every method throws {@link BadBytes} where there is something else. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  byte(): number {
    return this.#bytes[this.#take(1)]!;
  }

  count(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  number(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  text(): string {
    return decoder.decode(this.blob());
  }

  /** A view, not a copy. */
  blob(): Uint8Array {
    const length = this.count();
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  nullable<T>(read: () => T): T | null {
    return this.byte() === 0 ? null : read();
  }

  list<T>(read: () => T): T[] {
    const length = this.count();
    // Each takes a byte at least.
    if (length > this.#bytes.byteLength - this.#at) throw new BadBytes(`a list of ${length} is not there`);
    return Array.from({ length }, read);
  }

  /** Whether all was read. */
  get isAtEnd(): boolean {
    return this.#at === this.#bytes.byteLength;
  }

  /** Makes sure that all was read. */
  end(): void {
    if (!this.isAtEnd) throw new BadBytes(`${this.#bytes.byteLength - this.#at} bytes too many`);
  }

  #take(bytes: number): number {
    const at = this.#at;
    if (bytes > this.#bytes.byteLength - at) throw new BadBytes(`${bytes} bytes are not there`);
    this.#at += bytes;
    return at;
  }
}
