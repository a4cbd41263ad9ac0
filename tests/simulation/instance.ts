/** The thread of one instance: an engine with its own heap, on the simulated machine, run after run. */

import { loadRuntime } from "../../src/runtime/load.ts";
import { workerPort } from "../../src/runtime/worker_port.ts";
import { WasmDatabase } from "../../src/sqlite/database.ts";
import { loadEngine } from "../../src/sqlite/engine.ts";
import { ReadOnlyFiles } from "../../src/sqlite/read_only_files.ts";
import { Answers } from "./answers.ts";
import { SimulatedDisk } from "./disk.ts";
import { planted } from "./faults.ts";
import { HeldClaims } from "./held_claims.ts";
import { Truth } from "./ledger.ts";
import { DATABASE, LedgerWork } from "./ledger_work.ts";
import { simulatedRuntime } from "./machine.ts";
import type { Plan } from "./plan.ts";
import { planOf } from "./plan.ts";
import type { Images } from "./images.ts";
import { makeImages } from "./images.ts";
import { longPlanOf } from "./long_plan.ts";
import type { Parts } from "./process.ts";
import { Process } from "./process.ts";
import type { Batch, Reply, Result, Schedule, Setup } from "./simulation.ts";
import { storePlanOf } from "./store_plan.ts";
import { STORE_FILES, storeDatabases, StoreWork } from "./store_work.ts";
import { traced } from "./trace.ts";
import { randomOf, Turns } from "./turns.ts";

/** What can lie beside a database, and itself. */
const PARTS = ["", "-journal", "-wal", "-shm", "-owner", "-owner.json"];

/** How often the instances' leader says how far it is, in milliseconds. */
const PROGRESS_EVERY = 2000;

const port = workerPort();
let ready: Promise<Instance> | undefined;
port.onMessage(async (message) => {
  if (ready === undefined) {
    ready = Instance.start(message as Setup);
    await ready;
    reply({ ready: true });
  } else {
    await (await ready).run(message as Batch);
    reply({ ended: true });
  }
});

function reply(message: Reply): void {
  port.post(message);
}

class Instance {
  readonly #parts: Parts;
  readonly #images: Images;
  readonly #setup: Setup;
  readonly #truth: Truth;
  #plan: Plan | undefined;

  static async start(setup: Setup): Promise<Instance> {
    // SQLite draws its salts from here; each process draws others, and the same ones when it is replayed.
    let random = randomOf(setup.instance);
    crypto.getRandomValues = <T extends ArrayBufferView | null>(array: T): T => {
      const { buffer, byteOffset, byteLength } = array!;
      const bytes = new Uint8Array(buffer, byteOffset, byteLength);
      for (let index = 0; index < bytes.length; index++) bytes[index] = random(256);
      return array;
    };
    const [real, engine] = [await loadRuntime(), await loadEngine()];
    const disk = new SimulatedDisk(setup.disk);
    const turns = new Turns(setup.turns, setup.instance);
    turns.calm();
    const runtime = simulatedRuntime(real, disk, turns);
    let images: Images = { nothing: new Map(), ledger: new Map(), "long log": new Map() };
    if (setup.instance === 0) {
      images = makeImages(engine, disk, runtime);
      // What a disk draws depends on how many names there are, which must not depend on the seeds that were run before.
      const databases = setup.layer === "store" ? storeDatabases(runtime) : [DATABASE];
      for (const path of databases) for (const part of PARTS) disk.find(path + part);
      for (const path of STORE_FILES) disk.find(path);
    }
    // What is found out once per engine, such as how rows are read, is found out before the heap is remembered.
    const warm = new WasmDatabase(engine, DATABASE, new ReadOnlyFiles(emptyFiles(runtime), undefined, DATABASE));
    const statement = warm.prepare("SELECT 1");
    statement.get();
    warm.close();
    const reseed = engine.raw as unknown as { sqlite3_randomness(bytes: number, target: number): void };
    const tell = (line: string): void => console.log(`${" ".repeat(turns.instance * 4)}${turns.instance}: ${line}`);
    if (setup.trace) turns.trace = tell;
    const heap = engine.heap.slice(0, endOf(engine.heap));
    const parts: Parts = {
      engine,
      disk,
      turns,
      runtime: planted(setup.fault, setup.trace ? traced(runtime, tell) : runtime),
      truth: setup.truth,
      consequences: setup.consequences,
      usesFlock: setup.fault?.startsWith("flock") ?? false,
      reset: (incarnation) => {
        engine.heap.set(heap);
        random = randomOf(turns.seed * 64 + turns.instance * 16 + incarnation);
        reseed.sqlite3_randomness(0, 0);
      },
    };
    return new Instance(setup, parts, images);
  }

  constructor(setup: Setup, parts: Parts, images: Images) {
    this.#setup = setup;
    this.#parts = parts;
    this.#images = images;
    const { turns, disk } = parts;
    const truth = this.#truth = new Truth(parts.truth);
    turns.onDeath = () => disk.endOwner(turns.instance);
    turns.onWriteBack = (seed) => disk.writeBack(randomOf(seed));
    turns.onPowerFailure = (seed) => {
      disk.losePower(randomOf(seed));
      const { synchronous = "full" } = this.#plan ?? {};
      if (setup.layer === "store") {
        new Answers(parts.truth).losePower(synchronous);
        if (synchronous === "normal") new HeldClaims(parts.truth).clear();
      } else if (synchronous === "normal") truth.lose();
      else truth.loseUnacknowledged();
    };
  }

  async run(batch: Batch): Promise<void> {
    if (this.#setup.instance === 0) await this.#lead(batch);
    else await this.#follow(batch);
  }

  async #lead({ from, to, schedule, keepGoing }: Batch): Promise<void> {
    const { turns, disk } = this.#parts;
    const truth = this.#truth;
    let told = performance.now();
    for (let seed = from; seed < to; seed++) {
      const plan = this.#planOf(seed, schedule);
      turns.begin(seed, plan.instances);
      disk.reset();
      truth.reset();
      disk.load(this.#images[plan.image]);
      turns.join(plan.rates, schedule?.events);
      const process = this.#process(plan);
      await process.run(plan.programs[0]!);
      turns.end();
      if (!turns.failed) await process.judge();
      const { steps, switches, failure } = turns;
      const result: Result = { seed, steps, switches, commits: truth.high };
      if (failure !== undefined) {
        reply({ result: { ...result, failure, plan, events: turns.events() } });
        if (!keepGoing) break;
      } else if (performance.now() - told > PROGRESS_EVERY) {
        told = performance.now();
        reply({ result });
      }
    }
    turns.stop();
  }

  #planOf(seed: number, schedule: Schedule | undefined): Plan {
    const { layer, consequences } = this.#setup;
    const plan = layer === "store" ? storePlanOf(seed) : consequences ? longPlanOf(seed) : planOf(seed);
    return this.#plan = { ...plan, ...(schedule && { programs: schedule.programs }) };
  }

  #process(plan: Plan): Process {
    const Work = this.#setup.layer === "store" ? StoreWork : LedgerWork;
    return new Process(this.#parts, new Work(this.#parts, plan));
  }

  async #follow({ schedule }: Batch): Promise<void> {
    const { turns } = this.#parts;
    while (true) {
      turns.await();
      if (turns.stopped) return;
      const plan = this.#planOf(turns.seed, schedule);
      turns.join(plan.rates, schedule?.events);
      await this.#process(plan).run(plan.programs[turns.instance]!);
      turns.end();
    }
  }
}

/** Files of which none is there. */
function emptyFiles({ files }: Parts["runtime"]): Parts["runtime"]["files"] {
  const open = (): ReturnType<typeof files.open> => ({
    descriptor: 0,
    read: () => 0,
    write: () => {},
    truncate: () => {},
    sync: () => {},
    size: () => 0,
    isInPlace: () => true,
    close: () => {},
  });
  return Object.assign(Object.create(files), { open, exists: () => false });
}

/** Where the part of the heap ends that was ever used. */
function endOf(heap: Uint8Array): number {
  let end = heap.length;
  while (heap[end - 1] === 0) end--;
  return Math.ceil(end / 4096) * 4096 + 4096;
}
