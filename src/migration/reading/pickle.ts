/**
 * Reads plain data out of a Python pickle without running anything. A pickle is a program for a stack machine, and its
 * opcodes that import and call are how files take over computers; this machine has no such opcodes. What it does not know
 * it refuses, whole.
 *
 * @see https://docs.python.org/3/library/pickletools.html
 * @module
 */

/** What a pickle may hold here. A dictionary with names that are not texts is refused. */
export type PlainData =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | PlainData[]
  | { [name: string]: PlainData };

/** The pickle holds more than plain data, or is broken. */
export class PickleError extends Error {
  override readonly name = "PickleError";
}

/** Objects in each other, and objects altogether, at most. */
const DEEPEST = 64;
const MOST_OBJECTS = 1_000_000;

const MARK = Symbol("mark");
type Item = PlainData | typeof MARK;

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The value of a pickle of protocol 2 to 5 that is made of dictionaries, lists, tuples (read as lists), texts, bytes,
 * numbers and constants.
 *
 * @throws PickleError
 */
export function readPickle(bytes: Uint8Array): PlainData {
  try {
    return new Unpickler(bytes).run();
  } catch (error) {
    if (error instanceof PickleError) throw error;
    throw new PickleError("it is broken", { cause: error });
  }
}

class Unpickler {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #stack: Item[] = [];
  readonly #memo = new Map<number, PlainData>();
  #at = 0;
  #objects = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  run(): PlainData {
    for (;;) {
      if (++this.#objects > MOST_OBJECTS) throw new PickleError("it has too many objects");
      const opcode = this.#byte();
      if (opcode === 0x2e) break;
      this.#step(opcode);
    }
    const value = this.#pop();
    if (this.#stack.length > 0 || this.#at !== this.#bytes.byteLength) throw new PickleError("it is broken");
    refuseDepth(value);
    return value;
  }

  #step(opcode: number): void {
    switch (opcode) {
      case 0x80: {
        const protocol = this.#byte();
        if (protocol < 2 || protocol > 5) throw new PickleError(`its protocol is ${protocol}`);
        return;
      }
      case 0x95: // FRAME: how many bytes follow
        this.#take(8);
        return;
      case 0x28:
        this.#stack.push(MARK);
        return;
      case 0x4e:
        return this.#push(null);
      case 0x88:
        return this.#push(true);
      case 0x89:
        return this.#push(false);
      case 0x4b:
        return this.#push(this.#byte());
      case 0x4d:
        return this.#push(this.#view.getUint16(this.#skip(2), true));
      case 0x4a:
        return this.#push(this.#view.getInt32(this.#skip(4), true));
      case 0x8a:
        return this.#push(this.#long(this.#byte()));
      case 0x47:
        return this.#push(this.#view.getFloat64(this.#skip(8)));
      case 0x8c:
        return this.#push(this.#text(this.#byte()));
      case 0x58:
        return this.#push(this.#text(this.#length(4)));
      case 0x8d:
        return this.#push(this.#text(this.#length(8)));
      case 0x43:
        return this.#push(this.#take(this.#byte()).slice());
      case 0x42:
        return this.#push(this.#take(this.#length(4)).slice());
      case 0x8e:
        return this.#push(this.#take(this.#length(8)).slice());
      case 0x5d:
      case 0x29:
        return this.#push([]);
      case 0x7d:
        return this.#push(newObject());
      case 0x61: {
        const value = this.#pop();
        this.#list().push(value);
        return;
      }
      case 0x65: {
        const values = this.#toMark();
        const list = this.#list();
        for (const value of values) list.push(value);
        return;
      }
      case 0x73: {
        const value = this.#pop();
        const name = this.#pop();
        return this.#set(name, value);
      }
      case 0x75: {
        const values = this.#toMark();
        if (values.length % 2 !== 0) throw new PickleError("it is broken");
        for (let at = 0; at < values.length; at += 2) this.#set(values[at]!, values[at + 1]!);
        return;
      }
      case 0x74:
        return this.#push(this.#toMark());
      case 0x85:
      case 0x86:
      case 0x87: {
        const count = opcode - 0x84;
        const values = Array.from({ length: count }, () => this.#pop());
        return this.#push(values.reverse());
      }
      case 0x94:
        this.#memo.set(this.#memo.size, this.#top());
        return;
      case 0x71:
        this.#memo.set(this.#byte(), this.#top());
        return;
      case 0x72:
        this.#memo.set(this.#length(4), this.#top());
        return;
      case 0x68:
        return this.#recall(this.#byte());
      case 0x6a:
        return this.#recall(this.#length(4));
      default:
        throw new PickleError(`it holds more than plain data (opcode 0x${opcode.toString(16)})`);
    }
  }

  #push(value: PlainData): void {
    this.#stack.push(value);
  }

  #pop(): PlainData {
    const item = this.#stack.pop();
    if (item === undefined || item === MARK) throw new PickleError("it is broken");
    return item as PlainData;
  }

  #top(): PlainData {
    const item = this.#stack.at(-1);
    if (item === undefined || item === MARK) throw new PickleError("it is broken");
    return item as PlainData;
  }

  #toMark(): PlainData[] {
    const mark = this.#stack.lastIndexOf(MARK);
    if (mark < 0) throw new PickleError("it is broken");
    const values = this.#stack.splice(mark);
    return values.slice(1) as PlainData[];
  }

  #list(): PlainData[] {
    const list = this.#top();
    if (!Array.isArray(list)) throw new PickleError("it is broken");
    return list;
  }

  #set(name: PlainData, value: PlainData): void {
    const object = this.#top();
    if (typeof object !== "object" || object === null || Array.isArray(object) || object instanceof Uint8Array) {
      throw new PickleError("it is broken");
    }
    if (typeof name !== "string") throw new PickleError("a name in a dictionary is no text");
    object[name] = value;
  }

  #recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw new PickleError("it is broken");
    this.#push(value);
  }

  #byte(): number {
    return this.#view.getUint8(this.#skip(1));
  }

  #length(bytes: 4 | 8): number {
    if (bytes === 4) return this.#view.getUint32(this.#skip(4), true);
    return Number(this.#view.getBigUint64(this.#skip(8), true));
  }

  /** A whole number, little-endian in two's complement. */
  #long(length: number): number {
    if (length > 8) throw new PickleError("a number in it is too large");
    let value = 0n;
    this.#take(length).forEach((byte, index) => value |= BigInt(byte) << BigInt(8 * index));
    const number = Number(BigInt.asIntN(8 * length, value));
    if (!Number.isSafeInteger(number)) throw new PickleError("a number in it is too large");
    return number;
  }

  #text(length: number): string {
    return strict.decode(this.#take(length));
  }

  #take(length: number): Uint8Array {
    const start = this.#skip(length);
    return this.#bytes.subarray(start, start + length);
  }

  #skip(length: number): number {
    if (!(length <= this.#bytes.byteLength - this.#at)) throw new PickleError("it ends in the middle");
    const start = this.#at;
    this.#at += length;
    return start;
  }
}

/** Without a prototype, `__proto__` is a name like all others. */
function newObject(): { [name: string]: PlainData } {
  return Object.create(null);
}

/** What holds itself has no end either. */
function refuseDepth(value: PlainData, depth = 0): void {
  if (depth > DEEPEST) throw new PickleError("its objects are nested too deeply");
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return;
  for (const member of Array.isArray(value) ? value : Object.values(value)) refuseDepth(member, depth + 1);
}
