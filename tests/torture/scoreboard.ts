/**
 * A file of numbers that the conductor and its processes share: what they are told to do, how far each has come. Written
 * and read whole slots at a time, it survives kill -9 of anybody and costs a microsecond or two a transaction.
 */

import fs from "node:fs";

/** What the conductor asks for. */
export const RUN = 0;
export const CLOSE = 1;
export const STOP = 2;

/** Where a process is. */
export const STARTING = 0;
export const OPEN = 1;
export const CLOSED = 2;

/** The numbers of a slot. `high` is the highest counter value that its process has seen committed. */
export const FIELDS = [
  "state",
  "high",
  "transactions",
  "rollbacks",
  "reads",
  "busy",
  "refused",
  "passive",
  "full",
  "restart",
  "truncate",
  "aside",
  "reopened",
  "undone",
  "uncertain",
  "longestWait",
] as const;
/** One of {@link FIELDS}. */
export type Field = (typeof FIELDS)[number];
/** A slot's numbers by name. */
export type Scores = Record<Field, number>;

const WIDTH = 20;
const SLOT_BYTES = WIDTH * 8;

/** All zero. */
export function noScores(): Scores {
  return Object.fromEntries(FIELDS.map((field) => [field, 0])) as Scores;
}

/** The file. Slot 0 is the conductor's: its `state` is the command to all, its `high` outlives the processes. */
export class Scoreboard {
  readonly #descriptor: number;
  readonly #slots: number;
  readonly #numbers: Float64Array;
  readonly #bytes: Uint8Array;
  readonly #own: Float64Array = new Float64Array(WIDTH);
  readonly #ownBytes: Uint8Array = new Uint8Array(this.#own.buffer);

  constructor(path: string, slots: number) {
    this.#descriptor = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
    this.#slots = slots;
    this.#numbers = new Float64Array(slots * WIDTH);
    this.#bytes = new Uint8Array(this.#numbers.buffer);
    if (fs.fstatSync(this.#descriptor).size < this.#bytes.length) fs.writeSync(this.#descriptor, this.#bytes, 0);
  }

  /** Replaces a slot. */
  write(slot: number, scores: Scores): void {
    FIELDS.forEach((field, i) => this.#own[i] = scores[field]);
    fs.writeSync(this.#descriptor, this.#ownBytes, 0, SLOT_BYTES - 8, slot * SLOT_BYTES);
  }

  /** Reads all slots, for {@link command}, {@link high} and {@link scores}. */
  refresh(): void {
    fs.readSync(this.#descriptor, this.#bytes, 0, this.#bytes.length, 0);
  }

  /** What this slot is to do. */
  command(slot: number): number {
    return Math.max(this.#numbers[0]!, this.#numbers[slot * WIDTH + WIDTH - 1]!);
  }

  /** Tells one slot what to do, whatever all are told. */
  order(slot: number, command: number): void {
    const value = new Float64Array([command]);
    fs.writeSync(this.#descriptor, new Uint8Array(value.buffer), 0, 8, slot * SLOT_BYTES + (WIDTH - 1) * 8);
  }

  /** The highest counter value that anybody has seen committed. */
  get high(): number {
    let high = 0;
    for (let slot = 0; slot < this.#slots; slot++) high = Math.max(high, this.#numbers[slot * WIDTH + 1]!);
    return high;
  }

  /** A slot's numbers as of the last {@link refresh}. */
  scores(slot: number): Scores {
    return Object.fromEntries(FIELDS.map((field, i) => [field, this.#numbers[slot * WIDTH + i]!])) as Scores;
  }

  close(): void {
    fs.closeSync(this.#descriptor);
  }
}
