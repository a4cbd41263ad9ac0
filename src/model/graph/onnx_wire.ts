/**
 * The protobuf wire format, as far as an ONNX file needs it: walking a message's fields and putting a message together
 * again from pieces of the old one. Weights can be gigabytes, so nothing is decoded that is not looked at and nothing
 * is copied before {@link join}; that is why no protobuf library is used.
 * Format: https://protobuf.dev/programming-guides/encoding/
 *
 * @module
 */

/** One field of a message; the bytes are windows on the message. */
export interface Field {
  readonly number: number;
  /** The value of a varint field (exact up to 2^53), else 0. */
  readonly value: number;
  /** The content of a length-delimited field, else the bytes of the value. */
  readonly payload: Uint8Array;
  /** Tag, length and content. */
  readonly whole: Uint8Array;
}

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/**
 * The fields of a message, in order.
 *
 * @throws Error when the message is cut short or is not protobuf.
 */
export function* fieldsOf(message: Uint8Array): Generator<Field> {
  for (let start = 0; start < message.length;) {
    const { number, value, content, end } = placeOf(message, start);
    if (end > message.length) throw cutShort(number, end, message.length);
    yield { number, value, payload: message.subarray(content, end), whole: message.subarray(start, end) };
    start = end;
  }
}

/** Where a field is in its message, in bytes. */
export interface Place {
  readonly number: number;
  /** As {@link Field.value}. */
  readonly value: number;
  /** Where its content begins. */
  readonly content: number;
  /** Where the next field begins, which may be beyond what was given of the message. */
  readonly end: number;
}

/** A tag and a length, or a tag and a number, have at most so many bytes. */
export const LONGEST_HEADER = 20;

/** The field that begins at `start`. Only its tag and its length, or its number, are looked at. */
export function placeOf(message: Uint8Array, start: number): Place {
  const reader = new Reader(message, start);
  const tag = reader.varint();
  const number = Math.floor(tag / 8);
  if (number === 0) throw new Error(`protobuf has a field of number 0: at byte ${start}`);
  const content = reader.position;
  switch (tag % 8) {
    case VARINT: {
      const value = reader.varint();
      return { number, value, content, end: reader.position };
    }
    case FIXED64:
      return { number, value: 0, content, end: content + 8 };
    case LENGTH_DELIMITED: {
      const length = reader.varint();
      return { number, value: 0, content: reader.position, end: reader.position + length };
    }
    case FIXED32:
      return { number, value: 0, content, end: content + 4 };
    default:
      throw new Error(`protobuf has a field of unknown wire type: ${tag % 8} at byte ${start}`);
  }
}

/** The error for a message that ends within a field. */
export function cutShort(number: number, end: number, length: number): Error {
  return new Error(`protobuf is cut short: field ${number} ends at byte ${end} of ${length}`);
}

class Reader {
  position: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, position: number = 0) {
    this.#bytes = bytes;
    this.position = position;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 70; scale *= 128) {
      const byte = this.#bytes[this.position++];
      if (byte === undefined) throw new Error(`protobuf is cut short: a number goes on at byte ${this.#bytes.length}`);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new Error(`protobuf has a number of more than 10 bytes: it ends at byte ${this.position}`);
  }
}

/** A message in pieces, to be joined once. */
export type Pieces = readonly Uint8Array[];

/** The message with some fields replaced (by any number of fields); `undefined` keeps a field's bytes as they are. */
export function rewrite(message: Uint8Array, replace: (field: Field) => Pieces | undefined): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (const field of fieldsOf(message)) pieces.push(...replace(field) ?? [field.whole]);
  return pieces;
}

/** A length-delimited field: a message in pieces, or a string. */
export function delimited(number: number, content: Pieces | string): Uint8Array[] {
  const pieces = typeof content === "string" ? [encoder.encode(content)] : content;
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  return [new Uint8Array([...varintBytes(number * 8 + LENGTH_DELIMITED), ...varintBytes(length)]), ...pieces];
}

/** A varint field. */
export function varint(number: number, value: number): Uint8Array[] {
  return [new Uint8Array([...varintBytes(number * 8 + VARINT), ...varintBytes(value)])];
}

/** A length-delimited field's content as a string. */
export function text(field: Field): string {
  return decoder.decode(field.payload);
}

/** The numbers of a repeated varint field: one, or several packed together. */
export function numbers(field: Field): number[] {
  if (field.whole[0]! % 8 === VARINT) return [field.value];
  const reader = new Reader(field.payload);
  const values: number[] = [];
  while (reader.position < field.payload.length) values.push(reader.varint());
  return values;
}

/** All pieces in one buffer. */
export function join(pieces: Pieces): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let position = 0;
  for (const piece of pieces) {
    joined.set(piece, position);
    position += piece.length;
  }
  return joined;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function varintBytes(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 128)) bytes.push(value % 128 + 128);
  return [...bytes, value];
}
