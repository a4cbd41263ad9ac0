/**
 * Sets real processes on one database, kills them at random moments, and compares what is left with what they were
 * promised. The seed fixes what is drawn, not how the processes interleave.
 */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { SqlDriver } from "../../src/sqlite/driver.ts";
import { openDatabase } from "../../src/sqlite/open.ts";
import { commandOf, type RuntimeName } from "../support/runtimes.ts";
import { readAcknowledgements } from "./acknowledgements.ts";
import { audit } from "./audit.ts";
import { createLedgerOnce } from "./ledger.ts";
import { openNative } from "./native_driver.ts";
import type { Obstacle } from "./obstacle.ts";
import { RandomNumbers } from "./random.ts";
import { CLOSE, CLOSED, noScores, OPEN, RUN, Scoreboard, type Scores, STOP } from "./scoreboard.ts";
import { mayCheckpoint, shellScript, shellVersion } from "./shell.ts";
import { EXIT_VIOLATION, type Fault, type WorkerOptions } from "./worker.ts";

/** Who takes part: our engine or the runtime's own SQLite on a runtime, or the `sqlite3` shell. */
export type Kind = `${"ours" | "native"} ${RuntimeName}` | "shell";

/** How to torture. Durations in milliseconds. */
export interface TortureOptions {
  /** How many committed transactions to see. */
  readonly transactions: number;
  readonly seed: number;
  /** An empty folder for the database, the acknowledgements and the logs. */
  readonly folder: string;
  /** Who takes part, as often as listed. */
  readonly writers: readonly Kind[];
  readonly readers: readonly Kind[];
  /** How many run at a time. */
  readonly processes: number;
  /** One is killed every so often, but not before some transactions were done since: a start costs far more than they. */
  readonly killEvery: number;
  /** All stop, and everything is compared, after so many transactions. */
  readonly settleEvery: number;
  /** Bytes of the largest content. */
  readonly largest?: number;
  /** One reopening in so many actions of a process. */
  readonly reopenOnceIn?: number;
  /** Something in the way of the disk, now and then. */
  readonly obstacle?: Obstacle;
  /** Plants a fault into one process at a time. */
  readonly fault?: Fault;
  /** Told every few seconds. */
  readonly progress?: (line: string) => void;
}

/** What came of it. */
export interface Report {
  readonly violations: readonly string[];
  /** Numbers of all processes of a kind, over the whole run. */
  readonly byKind: ReadonlyMap<Kind, Scores & { processes: number }>;
  readonly transactions: number;
  readonly kills: number;
  /** Times that all were killed at once. */
  readonly massacres: number;
  readonly pauses: number;
  /** Times that all closed the database together, and how often nothing was left of the log afterwards. */
  readonly retreats: number;
  readonly cleanRetreats: number;
  readonly settlements: number;
  readonly obstructions: number;
  /** Rows that were there although nobody had been told so, since the process was killed in between. */
  readonly inFlight: number;
  /** Milliseconds. */
  readonly duration: number;
}

/** The longest that anybody may be kept from the database. */
const DEADLINE = 30_000;
/** So many transactions pass between two kills, or so many milliseconds. */
const BETWEEN_KILLS = 200;
const LONGEST_PEACE = 5000;
const PROGRAMS = { ours: "ours.ts", native: "native.ts" } as const;

/** Runs the torture; resolves with what was found, with everything left in `folder` when that is a violation. */
export async function torture(options: TortureOptions): Promise<Report> {
  return await new Conductor(options).run();
}

interface Part {
  readonly kind: Kind;
  readonly role: "writer" | "reader";
}

interface Running extends Part {
  readonly slot: number;
  readonly writer: number;
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  killed: boolean;
}

class Conductor {
  readonly #options: TortureOptions;
  readonly #random: RandomNumbers;
  readonly #database: string;
  readonly #acknowledged: string;
  readonly #logs: string;
  readonly #board: Scoreboard;
  readonly #running = new Map<number, Running>();
  readonly #orderly = new Set<number>();
  readonly #byKind = new Map<Kind, Scores & { processes: number }>();
  readonly #violations: string[] = [];
  readonly #checkpointsInShell: boolean;
  #deck: Part[] = [];
  #writer = 0;
  #faulty = 0;
  #keepStarting = false;
  #high = 0;
  #finished = 0;
  #nextKill = 0;
  #nextProgress = 0;
  #nextObstacle = 0;
  #kills = 0;
  #massacres = 0;
  #pauses = 0;
  #retreats = 0;
  #cleanRetreats = 0;
  #settlements = 0;
  #obstructions = 0;
  #inFlight = 0;

  constructor(options: TortureOptions) {
    this.#options = options;
    this.#random = new RandomNumbers(options.seed);
    const data = options.obstacle?.directory ?? join(options.folder, "data");
    this.#acknowledged = join(options.folder, "acknowledged");
    this.#logs = join(options.folder, "logs");
    for (const folder of [data, this.#acknowledged, this.#logs]) fs.mkdirSync(folder, { recursive: true });
    this.#database = join(data, "torture.sqlite");
    this.#board = new Scoreboard(join(options.folder, "scoreboard"), options.processes + 1);
    this.#checkpointsInShell = mayCheckpoint(shellVersion());
  }

  async run(): Promise<Report> {
    const { settleEvery } = this.#options;
    const start = performance.now();
    const endAll = () => this.#killAll();
    process.on("exit", endAll);
    try {
      for (let goal = 0; goal < this.#options.transactions && this.#isRight;) {
        goal = Math.min(this.#options.transactions, goal + settleEvery);
        await this.#round(goal, start);
      }
    } finally {
      this.#keepStarting = false;
      await this.#killAll();
      process.off("exit", endAll);
    }
    const transactions = this.#transactions();
    this.#board.close();
    return {
      violations: this.#violations,
      byKind: this.#byKind,
      transactions,
      kills: this.#kills,
      massacres: this.#massacres,
      pauses: this.#pauses,
      retreats: this.#retreats,
      cleanRetreats: this.#cleanRetreats,
      settlements: this.#settlements,
      obstructions: this.#obstructions,
      inFlight: this.#inFlight,
      duration: performance.now() - start,
    };
  }

  get #isRight(): boolean {
    return this.#violations.length === 0;
  }

  /** Lets everybody work until so many transactions are done in all, stops them, and compares. */
  async #round(goal: number, start: number): Promise<void> {
    this.#command(RUN);
    this.#keepStarting = true;
    for (let slot = 1; slot <= this.#options.processes; slot++) this.#start(slot);
    this.#nextKill = this.#nextObstacle = performance.now() + this.#options.killEvery;
    let last = this.#transactions();
    let enough = last + BETWEEN_KILLS;
    let moved = performance.now();
    while (this.#isRight && this.#transactions() < goal) {
      await sleep(20);
      const now = performance.now();
      if (this.#transactions() !== last) [last, moved] = [this.#transactions(), now];
      else if (now - moved > DEADLINE) this.#violations.push(`stuck: no transaction for ${DEADLINE} ms`);
      if (now >= this.#nextProgress) {
        this.#nextProgress = now + 5000;
        this.#options.progress?.(this.#progressLine(now - start));
      }
      if (now >= this.#nextKill && (last >= enough || now >= this.#nextKill + LONGEST_PEACE)) {
        await this.#disturb();
        enough = this.#transactions() + BETWEEN_KILLS;
        this.#nextKill = performance.now() + this.#options.killEvery * (0.5 + this.#random.fraction());
      }
      if (this.#options.obstacle !== undefined && now >= this.#nextObstacle) {
        await this.#obstruct(this.#options.obstacle);
        this.#nextObstacle = performance.now() + this.#random.between(200, 800);
      }
    }
    this.#keepStarting = false;
    if (!this.#isRight) return;
    if (this.#random.once(3)) await this.#killAll();
    else await this.#stop();
    if (this.#isRight) await this.#settle();
  }

  #start(slot: number): void {
    const { seed, slots, part } = {
      seed: this.#random.between(1, 2 ** 30),
      slots: this.#options.processes + 1,
      part: this.#deal(),
    };
    const writer = ++this.#writer;
    const log = fs.openSync(join(this.#logs, `${writer}`), "w");
    const acknowledged = join(this.#acknowledged, `${writer}`);
    const { largest = 150_000, reopenOnceIn = 300, obstacle, fault } = this.#options;
    this.#board.order(slot, RUN);
    this.#board.write(slot, noScores());
    let child: ChildProcess;
    if (part.kind === "shell") {
      const output = fs.openSync(acknowledged, "a");
      const [program, ...args] = [...(obstacle?.prefix ?? []), "sqlite3", "-batch", this.#database];
      child = spawn(program!, args, { stdio: ["pipe", output, log] });
      fs.closeSync(output);
      child.stdin!.on("error", () => {});
      const random = new RandomNumbers(seed);
      child.stdin!.end(shellScript(random, writer, Math.min(largest, 4000), this.#checkpointsInShell, DEADLINE));
    } else {
      const [engine, runtime] = part.kind.split(" ") as ["ours" | "native", RuntimeName];
      const isFaulty = fault !== undefined && !this.#isAlive(this.#faulty) && part.role === "writer" &&
        (fault !== "no-locks" || engine === "ours");
      if (isFaulty) this.#faulty = writer;
      const options: WorkerOptions = {
        database: this.#database,
        scoreboard: join(this.#options.folder, "scoreboard"),
        slots,
        slot,
        acknowledged,
        writer,
        seed,
        role: part.role,
        largest,
        reopenOnceIn,
        tolerates: obstacle?.tolerates ?? [],
        deadline: DEADLINE,
        ...(isFaulty ? { fault } : {}),
      };
      const command = commandOf(runtime);
      if (command === undefined) throw new Error(`Cannot start ${part.kind}: ${runtime} is not installed`);
      const path = fileURLToPath(new URL(PROGRAMS[engine], import.meta.url));
      const [program, ...args] = [...(obstacle?.prefix ?? []), ...command, path, JSON.stringify(options)];
      child = spawn(program!, args, { stdio: ["ignore", log, log] });
    }
    fs.closeSync(log);
    const running: Running = { ...part, slot, writer, child, ended: Promise.resolve(), killed: false };
    const ended = once(child, "exit").then(([code, signal]) => this.#onEnd(running, code, signal));
    this.#running.set(slot, Object.assign(running, { ended }));
  }

  #onEnd(running: Running, code: number | null, signal: string | null): void {
    const { slot, writer, kind, killed } = running;
    this.#running.delete(slot);
    const said = fs.readFileSync(join(this.#logs, `${writer}`), "utf8").trim();
    if (code === 0) this.#orderly.add(writer);
    else if (!killed && !(kind === "shell" && this.#isTolerated(said))) {
      const how = code === EXIT_VIOLATION ? "found" : `ended with ${code ?? signal}`;
      this.#violations.push(`${kind} (process ${writer}) ${how}: ${said.split("\n").slice(0, 3).join(" | ")}`);
    }
    this.#fold(running, said);
    if (this.#keepStarting && this.#isRight) this.#start(slot);
  }

  #isAlive(writer: number): boolean {
    return [...this.#running.values()].some((running) => running.writer === writer);
  }

  #isTolerated(said: string): boolean {
    const tolerates = this.#options.obstacle?.shellTolerates;
    return tolerates !== undefined && tolerates.test(said);
  }

  /** Adds what a process had counted to its kind's numbers. */
  #fold({ slot, writer, kind }: Running, said: string): void {
    this.#board.refresh();
    const scores = this.#board.scores(slot);
    if (kind === "shell") {
      const text = fs.readFileSync(join(this.#acknowledged, `${writer}`), "latin1");
      scores.transactions = text.split("\n").filter((line) => line.startsWith("a ")).length;
      scores.refused = this.#isTolerated(said) ? 1 : 0;
      const complaint = /^violation: .*$/m.exec(text);
      if (complaint) this.#violations.push(`shell (process ${writer}) found: ${complaint[0]}`);
    }
    const total = this.#byKind.get(kind) ?? { ...noScores(), processes: 0 };
    for (const field of Object.keys(scores) as (keyof Scores)[]) {
      if (field === "longestWait" || field === "high") total[field] = Math.max(total[field], scores[field]);
      else total[field] += scores[field];
    }
    total.processes++;
    this.#byKind.set(kind, total);
    this.#finished += scores.transactions;
    this.#high = Math.max(this.#high, scores.high);
    this.#command(this.#board.command(0));
    this.#board.write(slot, noScores());
  }

  #transactions(): number {
    this.#board.refresh();
    let sum = this.#finished;
    for (const { slot } of this.#running.values()) sum += this.#board.scores(slot).transactions;
    return sum;
  }

  #command(command: number): void {
    this.#board.write(0, { ...noScores(), state: command, high: this.#high });
  }

  /** The next to take part, from a shuffled deck, so that all come round. */
  #deal(): Part {
    if (this.#deck.length === 0) {
      this.#deck = [
        ...this.#options.writers.map((kind) => ({ kind, role: "writer" }) as const),
        ...this.#options.readers.map((kind) => ({ kind, role: "reader" }) as const),
      ];
      for (let i = this.#deck.length - 1; i > 0; i--) {
        const j = this.#random.between(0, i);
        [this.#deck[i], this.#deck[j]] = [this.#deck[j]!, this.#deck[i]!];
      }
    }
    if (this.#transactions() > 0) return this.#deck.pop()!;
    // The shell makes no tables.
    return this.#deck.splice(this.#deck.findIndex(({ kind }) => kind !== "shell"), 1)[0]!;
  }

  async #disturb(): Promise<void> {
    const what = this.#random.fraction();
    // Rarely one that has only just been started: on a slow machine nobody else would be left.
    const running = [...this.#running.values()];
    const open = running.filter(({ kind, slot }) => kind === "shell" || this.#board.scores(slot).state === OPEN);
    const victim = this.#random.pick(this.#random.once(8) ? running : open);
    if (victim === undefined) return;
    if (what < 0.8) this.#kill(victim);
    else if (what < 0.9) await this.#pause(victim);
    else if (what < 0.96) await this.#retreat();
    else {
      this.#massacres++;
      for (const running of this.#running.values()) this.#kill(running);
    }
  }

  #kill(running: Running): void {
    if (running.killed || running.child.pid === undefined) return;
    running.killed = true;
    this.#kills++;
    signal(running.child.pid, "SIGKILL");
  }

  /** Stops a process where it is, perhaps with locks held, and kills it or lets it go on. */
  async #pause(running: Running): Promise<void> {
    const { pid } = running.child;
    if (pid === undefined) return;
    this.#pauses++;
    signal(pid, "SIGSTOP");
    await sleep(this.#random.between(30, 300));
    if (this.#random.once(3)) this.#kill(running);
    else signal(pid, "SIGCONT");
  }

  /** Has all close the database, and open it again together. */
  async #retreat(): Promise<void> {
    this.#keepStarting = false;
    this.#command(CLOSE);
    const start = performance.now();
    while (true) {
      this.#board.refresh();
      const running = [...this.#running.values()];
      if (running.every(({ slot }) => this.#board.scores(slot).state === CLOSED)) break;
      if (!this.#isRight || performance.now() - start > DEADLINE) {
        if (this.#isRight) this.#violations.push(`stuck: not all have closed within ${DEADLINE} ms`);
        return;
      }
      await sleep(2);
    }
    this.#retreats++;
    if (!fs.existsSync(`${this.#database}-wal`) && !fs.existsSync(`${this.#database}-shm`)) this.#cleanRetreats++;
    this.#keepStarting = true;
    this.#command(RUN);
    for (let slot = 1; slot <= this.#options.processes; slot++) if (!this.#running.has(slot)) this.#start(slot);
  }

  async #obstruct(obstacle: Obstacle): Promise<void> {
    this.#obstructions++;
    obstacle.put();
    await sleep(this.#random.between(20, 300));
    if (this.#random.once(3)) this.#kill(this.#random.pick([...this.#running.values()]));
    await sleep(this.#random.between(0, 100));
    obstacle.clear();
    const before = this.#transactions();
    const start = performance.now();
    while (this.#isRight && this.#transactions() < before + 10) {
      if (performance.now() - start > DEADLINE) {
        this.#violations.push(`stuck: nobody went on after the obstacle was gone`);
      }
      await sleep(5);
    }
  }

  /** Ends all in order, one after the last of the others. */
  async #stop(): Promise<void> {
    this.#board.refresh();
    const workers = [...this.#running.values()].filter(({ kind, killed }) => kind !== "shell" && !killed);
    const used = workers.filter(({ slot }) => {
      const { state, transactions, reads } = this.#board.scores(slot);
      return state === OPEN && transactions + reads > 0;
    });
    const last = used.length > 0 ? this.#random.pick(used) : undefined;
    const others = [...this.#running.values()].filter((running) => running !== last);
    for (const { slot } of others) this.#board.order(slot, STOP);
    await this.#endWithin(others);
    if (last === undefined) return;
    this.#board.order(last.slot, STOP);
    await this.#endWithin([last]);
    const left = ["-wal", "-shm"].filter((part) => fs.existsSync(this.#database + part));
    if (left.length > 0) {
      this.#violations.push(
        `left behind: ${left.join(" and ")}, by ${last.kind} (process ${last.writer})`,
      );
    }
  }

  async #endWithin(running: readonly Running[]): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(true), 2 * DEADLINE));
    const all = Promise.all(running.map(({ ended }) => ended)).then(() => false);
    if (await Promise.race([all, late])) this.#violations.push(`stuck: not all have ended within ${2 * DEADLINE} ms`);
    clearTimeout(timer);
  }

  async #killAll(): Promise<void> {
    const running = [...this.#running.values()];
    for (const one of running) this.#kill(one);
    await Promise.all(running.map(({ ended }) => ended));
  }

  /** Compares the database with what was acknowledged, in our engine, the native one and the shell. */
  async #settle(): Promise<void> {
    this.#settlements++;
    const acknowledged = readAcknowledgements(this.#acknowledged, (writer) => this.#orderly.has(writer));
    const check = async (name: string, path: string, open: (path: string) => Promise<SqlDriver>) => {
      const driver = await open(path);
      try {
        const { violations, inFlight } = audit(driver, acknowledged);
        for (const violation of violations.slice(0, 20)) this.#violations.push(`${name}: ${violation}`);
        return inFlight;
      } catch (error) {
        this.#violations.push(`${name}: ${(error as Error).stack}`);
        return 0;
      } finally {
        driver.close();
      }
    };
    // Killed ones leave a log to recover, which each engine has to do by itself.
    const copy = join(this.#options.folder, "copy.sqlite");
    for (const part of ["", "-wal"]) {
      fs.rmSync(copy + part, { force: true });
      if (fs.existsSync(this.#database + part)) fs.copyFileSync(this.#database + part, copy + part);
    }
    const oursFirst = this.#random.once(2);
    await check("ours", oursFirst ? this.#database : copy, openOurs);
    this.#inFlight += await check("native", oursFirst ? copy : this.#database, openNative);
    const said = execFileSync("sqlite3", [this.#database, "PRAGMA integrity_check"], { encoding: "utf8" }).trim();
    if (said !== "ok") this.#violations.push(`shell: corrupt: ${said.slice(0, 500)}`);
    if (!this.#isRight) return;
    for (const part of ["", "-wal", "-shm", "-owner"]) fs.rmSync(copy + part, { force: true });
    // What was found right makes room, so that readers can count rows at any time.
    const driver = await openNative(this.#database);
    driver.exec("BEGIN IMMEDIATE; UPDATE counter SET removed = n; DELETE FROM log; COMMIT");
    driver.close();
    for (const folder of [this.#acknowledged, this.#logs]) {
      for (const name of fs.readdirSync(folder)) fs.rmSync(join(folder, name));
    }
    this.#orderly.clear();
  }

  #progressLine(elapsed: number): string {
    const total = this.#transactions();
    return `${Math.round(elapsed / 1000)} s: ${total} transactions (${Math.round(total / elapsed * 1000)} a second), ` +
      `${this.#kills} kills, ${this.#retreats} retreats, ${this.#settlements} settlements, ` +
      `${this.#obstructions} obstructions, ${this.#violations.length} violations`;
  }
}

async function openOurs(path: string): Promise<SqlDriver> {
  const runtime = await loadRuntime();
  const { driver, close } = await openDatabase({
    runtime,
    path,
    create: false,
    locking: "shared",
    synchronous: "normal",
    lockTimeout: DEADLINE,
    schema: createLedgerOnce,
  }).then((database) => ({ driver: database.driver, close: () => database.close() }));
  return { exec: (sql) => driver.exec(sql), prepare: (sql) => driver.prepare(sql), close };
}

function signal(pid: number, name: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself meanwhile.
  }
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
