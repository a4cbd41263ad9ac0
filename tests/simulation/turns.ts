/**
 * Whose turn it is. Each instance runs on a thread of its own, since synchronous WASM cannot be suspended in the middle
 * of our own JavaScript otherwise, but only one at a time: whoever has the turn. Before each primitive operation it is
 * decided, by the seed's random numbers or by a schedule that is replayed, whether to go on, to hand the turn to another
 * instance, to die, or to let the operation fail.
 */

import { FileError } from "../../src/runtime/runtime.ts";

/** The most instances of one simulation. */
export const INSTANCES = 4;

/** What can happen at a primitive operation. */
export const GO_ON = 0;
/** Another instance goes on first; the parameter says which. */
export const SWITCH = 1;
/** The operation is done in two parts, and another instance goes on in between. */
export const SPLIT = 2;
/** The process dies; of a write a part is done. */
export const DIE = 3;
/** The operation fails: EIO, or ENOSPC where that is possible; of a write a part is done. */
export const FAIL = 4;
/** The power fails. */
export const POWER_FAILURE = 5;
/** The disk makes something durable of its own accord. */
export const WRITE_BACK = 6;
export const NAMES_OF_EVENTS = ["go on", "switch", "split", "die", "fail", "power failure", "write back"] as const;

/** Something that happens at the `step`-th primitive operation of an instance. */
export interface Event {
  readonly instance: number;
  readonly step: number;
  readonly kind: number;
  /** The instance to go on in the lowest two bits; above them where a write is cut, or a seed for what a disk does. */
  readonly parameter: number;
}

/**
 * Steps are counted anew from the beginning of each action, so that a schedule stays what it is when other actions are
 * left out of it: action 3's tenth step is `3 * STEPS_PER_ACTION + 10`.
 */
export const STEPS_PER_ACTION: number = 1 << 20;

/** How often what happens, as a fraction of the primitive operations, and how often at most. */
export interface Rates {
  readonly switch: number;
  readonly split: number;
  readonly die: number;
  readonly fail: number;
  /** How many operations in a row fail, whoever asks for them: a full disk, a broken one. */
  readonly burst: number;
  readonly powerFailure: number;
  readonly writeBack: number;
  readonly mostDeaths: number;
  readonly mostFailures: number;
}

/** An operation of a process that is dead. Nothing has been done. */
export class Dead extends Error {
  override readonly name = "Dead";
}

// Words of the shared memory.
const TURN = 0; // One per instance, each on a cache line of its own.
const SPACING = 16;
const RANDOM = INSTANCES * SPACING;
const STEPS = RANDOM + 1;
const POWER_FAILURES = RANDOM + 2;
const FAILED = RANDOM + 3;
const ENDED = RANDOM + 4;
const SEED = RANDOM + 5;
const EVENTS = RANDOM + 6;
const DEATHS = RANDOM + 7;
const FAILURES = RANDOM + 8;
const HANDLES = RANDOM + 9;
const STOPPED = RANDOM + 10;
const MESSAGE_BYTES = RANDOM + 11;
const SWITCHES = RANDOM + 12;
const BURST = RANDOM + 13;
const WORDS = RANDOM + 32;
const MOST_EVENTS = 1 << 16;
const EVENT_WORDS = 4;
const MESSAGE_SIZE = 1 << 16;
/** After an operation that cannot be taken back, such as cutting a file, so many are so much likelier to go wrong. */
const DELICATE_STEPS = 3;
const DELICATE_FACTOR = 10;
/** So many primitive operations mean that nobody gets anywhere. */
const MOST_STEPS = 400_000;

/** The memory of a simulation, to be sent to every instance. */
export interface TurnMemory {
  readonly words: SharedArrayBuffer;
  readonly events: SharedArrayBuffer;
  readonly message: SharedArrayBuffer;
}

export function newTurnMemory(): TurnMemory {
  return {
    words: new SharedArrayBuffer(WORDS * 4),
    events: new SharedArrayBuffer(MOST_EVENTS * EVENT_WORDS * 4),
    message: new SharedArrayBuffer(MESSAGE_SIZE),
  };
}

/** One instance's view of whose turn it is. */
export class Turns {
  readonly instance: number;
  readonly #words: Int32Array;
  readonly #events: Int32Array;
  readonly #message: Uint8Array;
  #rates: Rates | undefined;
  #script: ReadonlyMap<number, Event> | undefined;
  #step = 0;
  #delicate = 0;
  #powerFailures = 0;
  #dead = false;
  #quiet = false;
  /** Called when this instance dies: the first takes from it what is its, the second is told. */
  onDeath: () => void = () => {};
  onEnd: () => void = () => {};
  /** Called when the power fails, and when the disk writes of its own accord. */
  onPowerFailure: (seed: number) => void = () => {};
  onWriteBack: (seed: number) => void = () => {};
  /** Told what is done, where somebody wants to know. */
  trace: ((line: string) => void) | undefined;

  constructor({ words, events, message }: TurnMemory, instance: number) {
    this.instance = instance;
    this.#words = new Int32Array(words);
    this.#events = new Int32Array(events);
    this.#message = new Uint8Array(message);
  }

  /** Whether the process that this instance stands for is dead. */
  get dead(): boolean {
    return this.#dead;
  }

  /** Primitive operations of all instances so far; the simulation's time. */
  get steps(): number {
    return this.#words[STEPS]!;
  }

  get switches(): number {
    return this.#words[SWITCHES]!;
  }

  get powerFailures(): number {
    return this.#words[POWER_FAILURES]!;
  }

  get seed(): number {
    return this.#words[SEED]!;
  }

  /** How the run went wrong, or `undefined`. */
  get failure(): string | undefined {
    if (this.#words[FAILED] === 0) return undefined;
    return new TextDecoder().decode(this.#message.slice(0, this.#words[MESSAGE_BYTES]!));
  }

  /** Sets up a run of `count` instances; the caller has the first turn. */
  begin(seed: number, count: number): void {
    this.#words.fill(0, RANDOM);
    this.#words[SEED] = seed;
    this.#words[RANDOM] = Math.imul(seed, 0x9e3779b1) ^ 0x5eed;
    this.#words[ENDED] = (0xf << count) & 0xf;
  }

  /** Joins the run: with random events at these rates, or with those of a script only. */
  join(rates: Rates, script: readonly Event[] | undefined): void {
    this.#rates = rates;
    this.#script = script &&
      new Map(script.filter(({ instance }) => instance === this.instance).map((event) => [event.step, event]));
    this.#step = 0;
    this.#quiet = false;
    this.restart();
  }

  /** The program's next action begins. */
  enter(action: number): void {
    this.#step = action * STEPS_PER_ACTION;
  }

  /** Something was done that cannot be taken back: now is a bad moment to die. */
  delicate(): void {
    this.#delicate = DELICATE_STEPS;
  }

  /** Becomes a new process. */
  restart(): void {
    this.#delicate = 0;
    this.#dead = false;
    this.#powerFailures = this.#words[POWER_FAILURES]!;
  }

  /** From here on nothing happens. */
  calm(): void {
    this.#quiet = true;
  }

  /** A number that the seed decides. */
  random(limit: number): number {
    const state = this.#words[RANDOM] = (this.#words[RANDOM]! + 0x6d2b79f5) | 0;
    return Math.floor(mixed(state) * limit);
  }

  /** The number of a newly opened file. */
  nextHandle(): number {
    return ++this.#words[HANDLES]!;
  }

  /**
   * Before a primitive operation. Returns what is to happen within it: {@link GO_ON}, {@link SPLIT}, {@link DIE} or
   * {@link FAIL}, and where a write is cut, as a fraction.
   *
   * @throws Dead
   */
  step(divisible = false): { readonly kind: number; readonly cut: number; readonly next: number } {
    this.live();
    const step = this.#step++;
    if (++this.#words[STEPS]! > MOST_STEPS) this.fail("stuck: nobody gets anywhere");
    if (this.#quiet) return NOTHING_HAPPENS;
    const event = this.#script ? this.#script.get(step) : this.#draw(step, divisible);
    if (event === undefined) return NOTHING_HAPPENS;
    this.#record(event);
    this.trace?.(`=== ${NAMES_OF_EVENTS[event.kind]}`);
    const next = event.parameter & 3;
    const rest = event.parameter >>> 2;
    switch (event.kind) {
      case SWITCH:
        this.handOver(next);
        return NOTHING_HAPPENS;
      case WRITE_BACK:
        this.onWriteBack(rest);
        return NOTHING_HAPPENS;
      case POWER_FAILURE:
        this.onPowerFailure(rest);
        this.#words[POWER_FAILURES]!++;
        return this.die();
      case DIE:
        if (!divisible) this.die();
        break;
      case SPLIT:
        if (divisible) break;
        this.handOver(next);
        return NOTHING_HAPPENS;
    }
    return { kind: event.kind, cut: (rest & 0xffff) / 0x10000, next };
  }

  /** Ends the process. */
  die(): never {
    this.#dead = true;
    this.onDeath();
    this.onEnd();
    throw new Dead("This process is dead");
  }

  /** Lets somebody else go on, because there is nothing to do but to wait. */
  rest(): void {
    this.live();
    if (++this.#words[STEPS]! > MOST_STEPS) this.fail("stuck: nobody gets anywhere");
    if (!this.#quiet) this.handOver(this.#next());
  }

  /** Hands the turn to another instance and waits until it comes back; nothing if that one has ended. */
  handOver(to: number): void {
    if (this.#quiet) return;
    const target = this.#runnable(to);
    if (target === this.instance) return;
    this.#words[SWITCHES]!++;
    this.#give(target);
    this.await();
    this.live();
  }

  /** Waits for the turn. */
  await(): void {
    const at = TURN + this.instance * SPACING;
    while (Atomics.load(this.#words, at) === 0) Atomics.wait(this.#words, at, 0);
    Atomics.store(this.#words, at, 0);
  }

  /** Has nothing more to do; the last to end wakes instance 0. Returns once the turn is somebody else's or back. */
  end(): void {
    this.#words[ENDED]! |= 1 << this.instance;
    const next = this.#words[ENDED] === 0xf ? 0 : this.#runnable(this.#next());
    if (this.instance === 0) {
      if (next === 0) return;
      this.#give(next);
      this.await();
    } else {
      this.#give(next);
    }
  }

  /** Wakes all others, who find that there is nothing more to do. */
  stop(): void {
    this.#words[STOPPED] = 1;
    for (let other = 1; other < INSTANCES; other++) this.#give(other);
  }

  get stopped(): boolean {
    return this.#words[STOPPED] === 1;
  }

  /** Ends the run: something is wrong. */
  fail(message: string): never {
    if (this.#words[FAILED] === 0) {
      const bytes = new TextEncoder().encode(message).subarray(0, MESSAGE_SIZE);
      this.#message.set(bytes);
      this.#words[MESSAGE_BYTES] = bytes.length;
      this.#words[FAILED] = 1;
    }
    return this.die();
  }

  get failed(): boolean {
    return this.#words[FAILED] === 1;
  }

  /** Everything that has happened. */
  events(): Event[] {
    const events: Event[] = [];
    for (let at = 0; at < this.#words[EVENTS]! * EVENT_WORDS; at += EVENT_WORDS) {
      const [instance = 0, step = 0, kind = 0, parameter = 0] = this.#events.subarray(at, at + EVENT_WORDS);
      events.push({ instance, step, kind, parameter });
    }
    return events;
  }

  /**
   * A dead process does nothing; and it is dead if the power was cut meanwhile, or the run has failed.
   *
   * @throws Dead
   */
  live(): void {
    if (this.#dead) throw new Dead("This process is dead");
    if (this.#words[FAILED] === 1 || this.#words[POWER_FAILURES] !== this.#powerFailures) this.die();
  }

  /** Who goes on when this instance waits. */
  #next(): number {
    const step = this.#step++;
    const next = this.#script ? (this.#script.get(step)?.parameter ?? this.instance + 1) & 3 : this.random(INSTANCES);
    if (!this.#script || this.#script.has(step)) {
      this.#record({ instance: this.instance, step, kind: SWITCH, parameter: next });
    }
    return next;
  }

  #draw(step: number, divisible: boolean): Event | undefined {
    const rates = this.#rates!;
    let chance = this.random(1 << 30) / (1 << 30);
    const isBelow = (rate: number): boolean => (chance -= rate) < 0;
    const factor = this.#delicate > 0 ? DELICATE_FACTOR : 1;
    if (this.#delicate > 0) this.#delicate--;
    let kind = GO_ON;
    if (this.#words[BURST]! > 0) kind = FAIL;
    else if (isBelow(rates.switch)) kind = SWITCH;
    else if (isBelow(divisible ? rates.split : 0)) kind = SPLIT;
    else if (isBelow(rates.die * factor)) kind = this.#words[DEATHS]! < rates.mostDeaths ? DIE : GO_ON;
    else if (isBelow(rates.fail)) kind = this.#words[FAILURES]! < rates.mostFailures ? FAIL : GO_ON;
    else if (isBelow(rates.powerFailure)) kind = this.#words[POWER_FAILURES] === 0 ? POWER_FAILURE : GO_ON;
    else if (isBelow(rates.writeBack)) kind = WRITE_BACK;
    if (kind === GO_ON) return undefined;
    if (kind === DIE) this.#words[DEATHS]!++;
    if (kind === FAIL && --this.#words[BURST]! < 0) {
      this.#words[FAILURES]!++;
      this.#words[BURST] = this.random(rates.burst);
    }
    return { instance: this.instance, step, kind, parameter: this.random(1 << 28) };
  }

  #record({ instance, step, kind, parameter }: Event): void {
    const count = this.#words[EVENTS]!;
    if (count >= MOST_EVENTS) return;
    this.#events.set([instance, step, kind, parameter], count * EVENT_WORDS);
    this.#words[EVENTS] = count + 1;
  }

  /** The instance, or the next one that has not ended. */
  #runnable(instance: number): number {
    for (let tries = 0; tries < INSTANCES; tries++) {
      const candidate = (instance + tries) & 3;
      if ((this.#words[ENDED]! & (1 << candidate)) === 0) return candidate;
    }
    return this.instance;
  }

  #give(instance: number): void {
    const at = TURN + instance * SPACING;
    Atomics.store(this.#words, at, 1);
    Atomics.notify(this.#words, at, 1);
  }
}

const NOTHING_HAPPENS = { kind: GO_ON, cut: 0, next: 0 };

/** Mulberry32's output. */
function mixed(state: number): number {
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

/** Random numbers apart from those of a run. */
export function randomOf(seed: number): (limit: number) => number {
  let state = seed | 0;
  return (limit) => Math.floor(mixed(state = (state + 0x6d2b79f5) | 0) * limit);
}

/** The failure of an operation, as the machine would tell it. */
export function failure(action: string, code: string): FileError {
  return new FileError(`Cannot ${action}: ${code} (simulated)`, code);
}
