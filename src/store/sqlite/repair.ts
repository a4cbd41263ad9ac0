/**
 * Repairs the databases of a directory: what is sound is left as it is, and of what is not a new one is made of all that
 * can be read. It is verified before it takes the old one's place, and the old one is kept. Nobody else may use them
 * meanwhile: all are locked before anything is changed.
 *
 * @module
 */

import { loadChecksum } from "../../codec/checksum.ts";
import { loadZstd } from "../../codec/zstd.ts";
import type { Milliseconds, OpenFile, Runtime } from "../../runtime/runtime.ts";
import { WasmDatabase } from "../../sqlite/database.ts";
import { LOCK_LENGTH, LOCK_START } from "../../sqlite/database_files.ts";
import type { SqlDriver, SqlStatement } from "../../sqlite/driver.ts";
import { loadEngine } from "../../sqlite/engine.ts";
import { SqliteError } from "../../sqlite/error.ts";
import type { OpenDatabase } from "../../sqlite/open.ts";
import { acquireOwner, heldByStranger, type OwnerLock } from "../../sqlite/owner.ts";
import { prepareDatabase } from "../../sqlite/prepare.ts";
import { ReadOnlyFiles } from "../../sqlite/read_only_files.ts";
import { CacheError } from "../error.ts";
import type { FileRepair, RepairReport, SalvageCounts } from "../repair.ts";
import { Findings, type ModelCheck, type VerifyOptions } from "../verify.ts";
import type { RowTools } from "./entry_row.ts";
import { toCacheError } from "./failure.ts";
import { listDatabases } from "./model_list.ts";
import { databaseName } from "./names.ts";
import { DatabaseImage } from "./repair_image.ts";
import { Salvage, type Salvaged, type Survey } from "./repair_salvage.ts";
import { takeBack, Workshop } from "./repair_workshop.ts";
import { inspectFile, isBeingMade } from "./schema.ts";
import { DatabaseCheck } from "./verify_database.ts";
import { walkStructure } from "./verify_structure.ts";

/** What to repair, and how. */
export interface SqliteRepairOptions extends Pick<VerifyOptions, "onProgress" | "signal"> {
  readonly runtime: Runtime;
  readonly directory: string;
  /** The databases of these models only. */
  readonly models?: readonly string[];
  /** Whether databases are made anew too with which nothing is wrong. Default: false. */
  readonly rebuild?: boolean;
  /** How long to try for a database that somebody else uses. Default: 1000. */
  readonly lockTimeout?: Milliseconds;
}

/** A slice of work. */
const SLICE: Milliseconds = 3;
/** The new database's log is moved into it once it is so long. */
const LONG_LOG = 1024 * 1024;

/**
 * Repairs the databases of a directory.
 *
 * @throws CacheError `locked` when somebody uses one of them: nothing was changed then; `unavailable` when the directory
 * cannot be used. The reason of `signal`: what is repaired by then stays so.
 */
export async function repairDatabases(options: SqliteRepairOptions): Promise<RepairReport> {
  const { runtime, directory, models, lockTimeout = 1000 } = options;
  const { files } = runtime;
  const held: { readonly path: string; readonly lock: OwnerLock }[] = [];
  const done: FileRepair[] = [];
  try {
    if (!files.exists(directory)) {
      throw new CacheError("unavailable", `Cannot repair the cache in ${directory}: there is no such directory`);
    }
    const [zstd, checksum] = await Promise.all([loadZstd(), loadChecksum()]);
    const tools = { zstd, checksum, sha256: (bytes: Uint8Array) => runtime.sha256(bytes) };
    await takeBack(files, directory);
    const names = models && new Set(models.map((model) => databaseName(model, runtime.sha256)));
    const paths = (await listDatabases(files, directory)).filter((path) => names?.has(nameOf(path)) ?? true);
    const steps = new Steps(options);
    for (const path of paths) {
      await prepareDatabase(files, path);
      const refused = await refusalOf(options, path, tools, steps);
      if (refused) done.push(refused);
      else held.push({ path, lock: await lock(runtime, path, lockTimeout) });
    }
    for (const { path } of held) done.push(await new Repair(options, path, tools, steps).run());
  } catch (error) {
    options.signal?.throwIfAborted();
    throw toCacheError(error);
  } finally {
    for (const { lock } of held) lock.release();
  }
  const ok = done.every(({ outcome }) => outcome === "sound" || outcome === "repaired");
  return { ok, directory, files: done.sort((left, right) => left.file < right.file ? -1 : 1) };
}

/** Runs work in slices. */
class Steps {
  readonly #options: SqliteRepairOptions;
  #done = 0;

  constructor(options: SqliteRepairOptions) {
    this.#options = options;
  }

  /** Runs some until it says it is done, and lets others have their turn in between. */
  async run(some: (end: Milliseconds) => boolean): Promise<void> {
    const { runtime: { clock }, onProgress, signal } = this.#options;
    for (;;) {
      signal?.throwIfAborted();
      const isDone = some(clock.monotonic() + SLICE);
      onProgress?.({ done: this.#done, unit: "pages and rows" });
      if (isDone) return;
      await new Promise<void>((resolve) => clock.afterTurn(resolve));
    }
  }

  /** Runs a generator to its end. `around` is given each slice of it. */
  async all<T>(steps: Generator<undefined, T>, around: (slice: () => void) => void = (slice) => slice()): Promise<T> {
    const { clock } = this.#options.runtime;
    let result: IteratorResult<undefined, T>;
    await this.run((end) => {
      around(() => {
        do {
          result = steps.next();
          this.#done++;
        } while (!result.done && clock.monotonic() < end);
      });
      return result.done === true;
    });
    return result!.value as T;
  }
}

/** One database's repair. */
class Repair {
  readonly #options: SqliteRepairOptions;
  readonly #path: string;
  readonly #tools: RowTools;
  readonly #steps: Steps;

  constructor(options: SqliteRepairOptions, path: string, tools: RowTools, steps: Steps) {
    this.#options = options;
    this.#path = path;
    this.#tools = tools;
    this.#steps = steps;
  }

  /** @throws the signal's reason */
  async run(): Promise<FileRepair> {
    const result: { -readonly [name in keyof FileRepair]: FileRepair[name] } = {
      ...blank(this.#path),
      outcome: "sound",
    };
    try {
      const real = await this.#options.runtime.files.realPath(this.#path) ?? this.#path;
      const { check, isSound } = await this.#verify(real);
      result.problems = check.problems;
      const image = new DatabaseImage(this.#options.runtime.files, real);
      try {
        result.notes = image.notes;
        if (image.count === 0) return result;
        const isWhole = isSound && image.beyond === 0;
        if (isWhole && !this.#options.rebuild) return { ...result, model: check.model };
        const survey = await surveyOf(image, this.#tools, this.#steps);
        const model = result.model = chooseModel(this.#options.runtime, this.#path, survey);
        const { salvaged, kept } = await this.#replace(real, image, survey, model);
        return { ...result, outcome: "repaired", salvaged, kept };
      } finally {
        image.close();
      }
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      const { code, message } = toCacheError(error);
      return { ...result, outcome: "failed", code, reason: `${message}; ${this.#path} is as it was` };
    }
  }

  /** Looks at all of it, as whoever opens it would find it. */
  async #verify(path: string): Promise<{ check: ModelCheck; isSound: boolean }> {
    const { runtime } = this.#options;
    const findings = new Findings({ name: "sqlite", location: path }, {});
    let model = nameOf(path);
    if (inspect(runtime, path) === "empty") {
      // SQLite would throw away the log of a database of which nothing else is left.
      const hasLog = runtime.files.exists(`${path}-wal`);
      if (hasLog) findings.of(model).add("unreadable", "the file is empty, and has a log");
      return { check: findings.of(model).check, isSound: !hasLog };
    }
    const engine = await loadEngine();
    let driver: SqlDriver | undefined;
    try {
      driver = new WasmDatabase(engine, path, new ReadOnlyFiles(runtime.files, undefined, path));
      driver.exec("PRAGMA locking_mode = EXCLUSIVE");
      model = modelIn(driver) ?? model;
      await this.#check(driver, findings, model);
    } catch (error) {
      if (!(error instanceof SqliteError)) throw error;
      // Nothing was ever put into what was still being made.
      const isUnmade = error.code === "SQLITE_READONLY" && isBeingMade(runtime.files, path);
      if (!isUnmade) findings.of(model).add("unreadable", error.message);
    } finally {
      driver?.close();
    }
    return { check: findings.of(model).check, isSound: findings.report.ok };
  }

  async #check(driver: SqlDriver, findings: Findings, model: string): Promise<void> {
    const statements = new Map<string, SqlStatement>();
    const statement = (sql: string): SqlStatement => {
      if (!statements.has(sql)) statements.set(sql, driver.prepare(sql));
      return statements.get(sql)!;
    };
    const check = new DatabaseCheck(this.#tools, this.#options.runtime.clock, findings.of(model), { deep: true });
    await this.#steps.run(() => check.some({ stamp: 0, statement }));
  }

  async #replace(
    path: string,
    image: DatabaseImage,
    survey: Survey & { readonly pages: Uint8Array },
    model: string,
  ): Promise<{ salvaged: SalvageCounts; kept: string }> {
    const workshop = new Workshop(this.#options.runtime, path);
    try {
      const database = await workshop.open(model);
      let salvaged: SalvageCounts;
      try {
        const copied = await this.#copy(database, image, survey);
        const findings = new Findings({ name: "sqlite", location: path }, {});
        await this.#check(database.driver, findings, model);
        // Nothing else was copied that belongs to nothing.
        salvaged = { ...copied, withoutRequest: findings.of(model).check.problems.orphan ?? 0 };
        const { ok, problems } = findings.report;
        if (!ok) {
          throw new CacheError("corrupt", `Cannot repair ${path}: what was made of it is wrong: ${problems[0]!.what}`);
        }
      } finally {
        database.close();
      }
      return { salvaged, kept: await workshop.swap() };
    } finally {
      workshop.clear();
    }
  }

  async #copy(
    database: OpenDatabase,
    image: DatabaseImage,
    survey: Survey & { readonly pages: Uint8Array },
  ): Promise<Salvaged> {
    const { driver } = database;
    const copy = new Salvage(image, survey.pages, this.#tools).copy(driver, survey);
    return await this.#steps.all(copy, (slice) => {
      driver.exec("BEGIN");
      slice();
      driver.exec("COMMIT");
      if (database.logged > LONG_LOG) database.checkpoint();
    });
  }
}

async function surveyOf(
  image: DatabaseImage,
  tools: RowTools,
  steps: Steps,
): Promise<Survey & { readonly pages: Uint8Array }> {
  const { pages } = await steps.all(walkStructure(image, () => {}));
  return { pages, ...await steps.all(new Salvage(image, pages, tools).survey()) };
}

/** What is said of a file that is not ours to repair, without leaving a trace; `undefined` where it is. */
async function refusalOf(
  { runtime, signal }: SqliteRepairOptions,
  path: string,
  tools: RowTools,
  steps: Steps,
): Promise<FileRepair | undefined> {
  try {
    inspectFile(runtime.files, path);
    return undefined;
  } catch (error) {
    const { code, message } = toCacheError(error);
    // A header that is broken says of none that it is ours; its rows do.
    if (code === "foreign_file" && await isOurs(runtime, path, tools, steps)) return undefined;
    signal?.throwIfAborted();
    const outcome = code === "foreign_file" || code === "newer_schema" ? "refused" : "failed";
    return { ...blank(path), outcome, code, reason: message };
  }
}

async function isOurs(runtime: Runtime, path: string, tools: RowTools, steps: Steps): Promise<boolean> {
  const image = new DatabaseImage(runtime.files, path);
  try {
    return (await surveyOf(image, tools, steps)).isOurs;
  } finally {
    image.close();
  }
}

/** The model whose database has the file's name. */
function chooseModel(runtime: Runtime, path: string, { models }: Survey): string {
  const model = [...models, "", "_none"].find((model) => databaseName(model, runtime.sha256) === nameOf(path));
  if (model !== undefined) return model;
  if (models.length === 0) {
    const advice = "move it away, and a new one is made when it is needed";
    throw new CacheError("corrupt", `Cannot repair ${path}: nothing in it can be read any more; ${advice}`);
  }
  const names = models.map((model) => `${databaseName(model, runtime.sha256)} for ${JSON.stringify(model)}`);
  throw new CacheError(
    "corrupt",
    `Cannot repair ${path}: it has not the name of its model; rename it to ${names.join(" or to ")}`,
  );
}

/**
 * Keeps everybody else out of a database.
 *
 * @throws CacheError `locked`
 */
async function lock(runtime: Runtime, path: string, timeout: Milliseconds): Promise<OwnerLock> {
  const { files, rangeLocks } = runtime;
  const real = await files.realPath(path) ?? path;
  let owner: OwnerLock | undefined;
  let file: OpenFile | undefined;
  try {
    owner = await acquireOwner(runtime, real, "exclusive", timeout);
    if (rangeLocks) {
      file = files.open(real, "write");
      if (!rangeLocks.tryLock(file.descriptor, LOCK_START, LOCK_LENGTH, "exclusive")) throw heldByStranger(real);
    }
  } catch (error) {
    file?.close();
    owner?.release();
    const failure = toCacheError(error);
    if (failure.code !== "locked") throw failure;
    const reason = failure.message.slice(failure.message.indexOf(real) + real.length + 2).split(";")[0];
    const advice = "close it there, and repair again; nothing was changed";
    throw new CacheError("locked", `Cannot repair ${path}: ${reason}; ${advice}`, { cause: error });
  }
  return {
    release() {
      file?.close();
      owner.release();
    },
  };
}

function inspect(runtime: Runtime, path: string): "missing" | "empty" | "ours" | "unknown" {
  try {
    return inspectFile(runtime.files, path);
  } catch {
    return "unknown";
  }
}

function modelIn(driver: SqlDriver): string | undefined {
  const statement = driver.prepare("SELECT value FROM meta WHERE name = 'model'");
  try {
    const model = statement.get()?.[0];
    return typeof model === "string" ? model : undefined;
  } finally {
    statement.finalize();
  }
}

function blank(path: string): FileRepair {
  return {
    file: path,
    model: null,
    outcome: "failed",
    reason: null,
    code: null,
    kept: null,
    problems: {},
    salvaged: null,
    notes: [],
  };
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
