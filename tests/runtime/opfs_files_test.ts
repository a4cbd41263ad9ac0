/**
 * Files in a private file system when the power fails, simulated; what real browsers do is in `tests/browser/files_test.ts`.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openOpfsFiles, type OpfsFiles } from "../../src/runtime/opfs_files.ts";
import { browserRuntime } from "../../src/runtime/browser.ts";
import type { OpenFile } from "../../src/runtime/runtime.ts";
import { FILES_CONTRACT } from "./support/files_contract.ts";
import { SimulatedDirectory } from "./support/simulated_opfs.ts";
import { randomBelow } from "../support/random.ts";

const { clock } = browserRuntime();
const SEEDS = 150;
const NAMES = ["/a", "/b", "/c", "/d"];

describe("files in a private file system", () => {
  for (const [says, run] of Object.entries(FILES_CONTRACT)) {
    it(says, async () => {
      const files = await openOpfsFiles(new SimulatedDirectory(), { clock });
      files.makeDirectory("/folder");
      await run(files, "/folder");
      files.close();
    });
  }

  it("are, after a power failure, as they were when names were last synchronized, or at some time since", async () => {
    for (let seed = 1; seed <= SEEDS; seed++) await new History(seed).run();
  });

  it("do not take a name for written that the disk had no room for", async () => {
    const directory = new SimulatedDirectory();
    const files = await openOpfsFiles(directory, { clock });
    await files.replace("/a", new Uint8Array(5));
    directory.isFull = true;
    await assert.rejects(files.rename("/a", "/b"), { name: "FileError", code: "ENOSPC" });
    assert.throws(() => files.remove("/a"), { name: "FileError", code: "ENOSPC" });
    directory.isFull = false;
    assert.deepEqual([files.exists("/a"), files.exists("/b")], [true, false]);
    files.close();
    const again = await openOpfsFiles(directory, { clock });
    assert.equal((await again.read("/a")).length, 5);
    again.close();
  });

  it("are refused where somebody else has them open, and go on once he is gone", async () => {
    const directory = new SimulatedDirectory();
    const files = await openOpfsFiles(directory, { clock });
    await files.replace("/file", new Uint8Array(5));
    await assert.rejects(openOpfsFiles(directory, { clock, patience: 0 }), {
      name: "FileError",
      code: "EBUSY",
      message: "Cannot open the files in simulated: it is open",
    });
    const next = openOpfsFiles(directory, { clock });
    files.close();
    assert.equal((await (await next).read("/file")).length, 5);
    assert.throws(() => files.open("/new", "create"), { code: "EBADF" });
    await assert.rejects(files.prepare(["/new"]), { code: "EBADF" });
    await assert.rejects(files.read("/file"), { code: "EIO" });
    files.close();
  });
});

/** Lives of a directory, each ended by a power failure or by the end of the Worker alone. */
class History {
  readonly #where: string;
  readonly #below: (count: number) => number;
  readonly #directory = new SimulatedDirectory();
  #files!: OpfsFiles;
  #version = 0;
  /** The versions that names have. */
  #current = new Map<string, number>();
  /** The versions that names had since they were last synchronized; 0: none. */
  #possible = new Map<string, Set<number>>();
  /** The versions that were there then and that nobody has removed or replaced. */
  #kept = new Set<number>();

  constructor(seed: number) {
    this.#where = `seed ${seed}`;
    this.#below = randomBelow(seed);
  }

  async run(): Promise<void> {
    for (let life = 0; life < 4; life++) {
      this.#files = await openOpfsFiles(this.#directory, { clock });
      const found = await this.#look();
      if (life > 0) this.#judge(found, life);
      this.#current = found;
      await this.#synchronize();
      for (let step = this.#below(30); step > 0; step--) await this.#change();
      if (this.#below(4) === 0) this.#directory.kill();
      else this.#directory.failPower(this.#below);
    }
  }

  #judge(found: ReadonlyMap<string, number>, life: number): void {
    for (const name of NAMES) {
      const versions = this.#possible.get(name)!;
      const has = found.get(name) ?? 0;
      assert.ok(versions.has(has), `${this.#where}, life ${life}: ${name} has ${has}, none of ${[...versions]}`);
    }
    for (const version of this.#kept) {
      assert.ok([...found.values()].includes(version), `${this.#where}, life ${life}: ${version} is lost`);
    }
    assert.equal(new Set(found.values()).size, found.size, `${this.#where}, life ${life}: something is there twice`);
  }

  /** The versions of what is there, all of it. */
  async #look(): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for (const name of NAMES) {
      if (!this.#files.exists(name)) continue;
      const bytes = await this.#files.read(name);
      const version = bytes.length < 4 ? 0 : new DataView(bytes.buffer).getUint32(0);
      assert.deepEqual(bytes, contentOf(version), `${this.#where}: ${name} is not whole`);
      found.set(name, version);
    }
    return found;
  }

  async #synchronize(): Promise<void> {
    await this.#files.sync("/");
    for (const name of NAMES) this.#possible.set(name, new Set([this.#current.get(name) ?? 0]));
    this.#kept = new Set(this.#current.values());
  }

  #note(name: string, version: number): void {
    const before = this.#current.get(name);
    if (version === 0) this.#current.delete(name);
    else this.#current.set(name, version);
    this.#possible.get(name)!.add(version);
    if (before !== undefined && ![...this.#current.values()].includes(before)) this.#kept.delete(before);
  }

  async #change(): Promise<void> {
    const name = NAMES[this.#below(NAMES.length)]!;
    switch (this.#below(6)) {
      case 0:
        await this.#files.replace(name, contentOf(++this.#version), { synchronous: true });
        return this.#note(name, this.#version);
      case 1:
        return await this.#create(name);
      case 2:
        this.#files.remove(name);
        return this.#note(name, 0);
      case 3:
        return await this.#rename(NAMES[this.#below(NAMES.length)]!, name);
      case 4:
        return await this.#synchronize();
      default: {
        // Logs come and go, and are never seen as anything else.
        const log = await this.#open(`${name}-log`);
        log.write(new Uint8Array(2000).fill(0xee), 0);
        if (this.#below(2) === 0) log.sync();
        log.close();
        this.#files.remove(`${name}-log`);
      }
    }
  }

  /** As SQLite makes a file: until it has synchronized it and its folder, it may be there in part. */
  async #create(name: string): Promise<void> {
    if (this.#current.has(name)) return;
    const file = await this.#open(name);
    file.write(contentOf(++this.#version), 0);
    file.sync();
    file.close();
    this.#note(name, this.#version);
    await this.#synchronize();
  }

  async #rename(from: string, to: string): Promise<void> {
    const version = this.#current.get(from);
    if (from === to || version === undefined) return;
    await this.#files.rename(from, to);
    this.#note(to, version);
    this.#note(from, 0);
  }

  async #open(path: string): Promise<OpenFile> {
    await this.#files.prepare([path]);
    return this.#files.open(path, "create");
  }
}

/** Bytes that show which version they are, and whether all of them are there. */
function contentOf(version: number): Uint8Array {
  const bytes = new Uint8Array(600 + (version * 977) % 9000).fill(version);
  new DataView(bytes.buffer).setUint32(0, version);
  return bytes;
}
