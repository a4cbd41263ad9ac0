/**
 * A simulated process: a heap as SQLite leaves it after loading, and a program that is worked off. When it dies, the
 * heap is put back and the rest of the program is a new process's.
 */

import { setImmediate } from "node:timers/promises";
import type { Runtime } from "../../src/runtime/runtime.ts";
import type { Engine } from "../../src/sqlite/engine.ts";
import { openDatabase } from "../../src/sqlite/open.ts";
import type { SimulatedDisk } from "./disk.ts";
import { NOTHING } from "./disk.ts";
import { sideFileOf } from "./flock.ts";
import type { Action } from "./plan.ts";
import type { Turns } from "./turns.ts";
import { Violation } from "./violation.ts";
import { checkWalIndex } from "./wal_check.ts";

/** The bytes of the wal-index's locks that say that somebody writes, and that somebody uses it. */
const WRITE = 120;
const IN_USE = 128;

/** What an instance has. */
export interface Parts {
  readonly engine: Engine;
  readonly runtime: Runtime;
  readonly disk: SimulatedDisk;
  readonly turns: Turns;
  /** What is known beside the simulated machine, by all instances. */
  readonly truth: SharedArrayBuffer;
  /** Whether it is asked what comes of a fault: a wal-index that disagrees with its log is no violation by itself then. */
  readonly consequences: boolean;
  /** Whether locks are taken on side files. */
  readonly usesFlock: boolean;
  /** Makes a new process of the instance. */
  readonly reset: (incarnation: number) => void;
}

/** What a process does. */
export interface Work {
  /** Paths of the databases. */
  readonly databases: readonly string[];
  perform(action: Action): Promise<void>;
  /** Looks, when all others have ended and nothing goes wrong any more, at what is left, and closes it. */
  judge(): Promise<void>;
  /** Whether an operation that fails may fail like this. */
  isTolerable(error: unknown): boolean;
  close(): void | Promise<void>;
  /** The process is dead: nothing of it is to be used again. */
  forget(): void;
}

/** Runs an instance's program until it ends. */
export class Process {
  readonly #parts: Parts;
  readonly #work: Work;
  #incarnation = 0;

  constructor(parts: Parts, work: Work) {
    this.#parts = parts;
    this.#work = work;
  }

  async run(program: readonly Action[]): Promise<void> {
    const { turns, reset } = this.#parts;
    reset(0);
    for (const [number, action] of program.entries()) {
      turns.enter(number);
      await this.#survive(() => this.#perform(action));
      if (turns.failed) return;
    }
    turns.enter(program.length);
    await this.#survive(() => this.#work.close());
  }

  /** What is left when all others have ended, looked at by a new process in peace. */
  async judge(): Promise<void> {
    const { turns, disk } = this.#parts;
    turns.calm();
    this.#restart();
    await this.#survive(async () => {
      await this.#work.judge();
      for (const path of this.#work.databases) {
        if (disk.find(path) !== NOTHING) await this.#checkIntegrity(path);
        for (const part of ["-wal", "-shm"]) {
          if (disk.find(path + part) !== NOTHING) throw new Violation(`left behind: ${part}`);
        }
      }
    });
  }

  /** Runs something; if the process dies of it, another one takes its place. */
  async #survive(run: () => unknown): Promise<void> {
    const { turns } = this.#parts;
    // What it does beside its program may have killed it between two actions.
    while (turns.dead && !turns.failed) await this.#succeed();
    // Of what the process has begun something may never end, its attempt to clean up after a failure included.
    const died = new Promise<void>((resolve) => turns.onEnd = resolve);
    let isOver = false;
    await Promise.race([this.#attempt(run, () => isOver || turns.dead), died]);
    isOver = true;
    if (turns.dead && !turns.failed) await this.#succeed();
  }

  /** Another process takes the place of the one that died. */
  async #succeed(): Promise<void> {
    // Whatever else it was doing comes to its end: dead, it cannot do anything.
    await setImmediate();
    this.#restart();
    try {
      // Whatever it was doing, the others find a log and a wal-index that agree.
      this.#checkWalIndexes();
    } catch (error) {
      await this.#fail(error);
    }
  }

  async #attempt(run: () => unknown, isOver: () => boolean): Promise<void> {
    try {
      await run();
      if (!isOver()) this.#checkWalIndexes();
    } catch (error) {
      if (!isOver()) await this.#fail(error);
    }
  }

  #restart(): void {
    const { turns, reset } = this.#parts;
    this.#work.forget();
    reset(++this.#incarnation);
    turns.trace?.(`=== process ${this.#incarnation}`);
    turns.restart();
  }

  async #fail(error: unknown): Promise<void> {
    const { turns } = this.#parts;
    const violates = error instanceof Violation;
    if (!violates && this.#work.isTolerable(error)) {
      // A connection that cannot tell others what it has changed stays in their way until it is closed.
      try {
        await this.#work.close();
      } catch {
        // As above.
      }
      return;
    }
    try {
      turns.fail(violates ? error.message : `unexpected: ${(error as Error).stack ?? error}`);
    } catch {
      // Told.
    }
  }

  async #perform(action: Action): Promise<void> {
    this.#parts.turns.trace?.(`=== ${JSON.stringify(action)}`);
    if (action.kind === "die") this.#parts.turns.die();
    if (action.kind !== "nothing") await this.#work.perform(action);
  }

  async #checkIntegrity(path: string): Promise<void> {
    const { runtime } = this.#parts;
    const options = { create: false, locking: "shared", synchronous: "normal", lockTimeout: 0 } as const;
    const database = await openDatabase({ ...options, runtime, path, schema: () => {} });
    const found = database.driver.prepare("PRAGMA integrity_check").all().map(([line]) => line);
    database.close();
    if (found.length !== 1 || found[0] !== "ok") throw new Violation(`corrupt: ${found.slice(0, 3).join("; ")}`);
  }

  /** Compares logs with their wal-indexes, where nobody writes either. */
  #checkWalIndexes(): void {
    const { disk, consequences, usesFlock } = this.#parts;
    if (consequences) return;
    for (const path of this.#work.databases) {
      const index = disk.find(`${path}-shm`);
      if (index === NOTHING) continue;
      const isHeld = (byte: number, any: boolean): boolean => {
        const side = usesFlock ? disk.find(sideFileOf(`${path}-shm`, byte)) : NOTHING;
        return disk.isLocked(side === NOTHING ? index : side, 0, byte, 1, any);
      };
      // What is left of one that nobody uses any more nobody will trust: whoever comes first sets it up anew.
      if (!isHeld(IN_USE, true) || isHeld(IN_USE, false) || isHeld(WRITE, true)) continue;
      const wrong = checkWalIndex(disk.copy(`${path}-wal`), disk.copy(`${path}-shm`));
      if (wrong !== undefined) throw new Violation(`wal-index: ${wrong}`);
    }
  }
}
