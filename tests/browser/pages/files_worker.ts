/// <reference lib="dom" />
/// <reference lib="webworker" />
/** The Worker of `files.ts`: does what it is told, one thing after the other. */

import { browserRuntime } from "../../../src/runtime/browser.ts";
import { provideRuntime } from "../../../src/runtime/current.ts";
import { openOpfsFiles, opfsDirectory, type OpfsFiles } from "../../../src/runtime/opfs_files.ts";
import type { SqlRow } from "../../../src/sqlite/driver.ts";
import { type OpenDatabase, openDatabase } from "../../../src/sqlite/open.ts";
import { FILES_CONTRACT } from "../../runtime/support/files_contract.ts";

const machine = browserRuntime();
const { clock } = machine;
provideRuntime(() => Promise.resolve(machine));
let files: OpfsFiles | undefined;

/** What the Worker can do. */
const COMMANDS = {
  /** Opens the files in a directory; tells how many there are at its root. */
  async open(directory: string, patience?: number): Promise<number> {
    files = await openOpfsFiles(await opfsDirectory(directory), { clock, ...patience !== undefined && { patience } });
    return (await files.list("/")).length;
  },
  close(): void {
    files?.close();
  },
  names: (): string[] => Object.keys(FILES_CONTRACT),
  async contract(name: string): Promise<void> {
    files!.makeDirectory("/contract");
    await FILES_CONTRACT[name]!(files!, "/contract");
    await removeAll("/contract");
  },
  async list(): Promise<string[]> {
    return (await files!.list("/")).map(({ name }) => name);
  },
  async slots(directory: string): Promise<number> {
    let count = 0;
    for await (const _name of (await opfsDirectory(directory)).keys()) count++;
    return count;
  },
  async write(path: string, text: string): Promise<void> {
    await files!.replace(path, new TextEncoder().encode(text));
  },
  async read(path: string): Promise<string> {
    return new TextDecoder().decode(await files!.read(path));
  },
  remove(path: string): void {
    files!.remove(path);
  },
  async rename(from: string, to: string): Promise<void> {
    await files!.rename(from, to);
  },
  /** Writes over the label that was written last (`which` 0) or the one before (1) in the slot of a path. */
  async tear(directory: string, path: string, labels: number): Promise<void> {
    for await (const slot of slotsOf(directory)) {
      if (!slot.labels.some((label) => label.path === path)) continue;
      slot.labels.sort((one, other) => other.generation - one.generation);
      // From its middle on: as it is when the power fails.
      for (const { at } of slot.labels.slice(0, labels)) slot.access.write(new Uint8Array(2048), { at: at + 2048 });
    }
  },
  /** Has the labels of a path say another version of their layout. */
  async setVersion(directory: string, path: string, version: number): Promise<void> {
    for await (const { access, labels } of slotsOf(directory)) {
      for (const { at } of labels.filter((label) => label.path === path)) {
        const block = new Uint8Array(4096);
        access.read(block, { at });
        new DataView(block.buffer).setUint32(8, version);
        block.set(machine.sha256(block.subarray(0, 4064)), 4064);
        access.write(block, { at });
      }
    }
  },
  /** Gives the path of one file to another's slot, later, as it is when a Worker dies in the middle of a rename. */
  async halfRename(directory: string, from: string, to: string): Promise<void> {
    for await (const { access, labels } of slotsOf(directory)) {
      labels.sort((one, other) => other.generation - one.generation);
      if (labels[0]!.path !== from) continue;
      const block = new Uint8Array(4096);
      access.read(block, { at: labels[0]!.at });
      const view = new DataView(block.buffer);
      view.setBigUint64(16, 1_000_000n);
      const name = new TextEncoder().encode(to);
      view.setUint32(12, name.length);
      block.set(name, 24);
      block.set(machine.sha256(block.subarray(0, 4064)), 4064);
      access.write(block, { at: labels[1]!.at });
    }
  },
  /** Changes files in all ways there are, and tells what it has done, until it is killed. */
  async changeForEver(): Promise<void> {
    for (let version = 1;; version++) {
      const path = `/replaced-${version % 3}`;
      await files!.replace(path, contentOf(path, version), { synchronous: version % 7 === 0 });
      tell({ path, version });
      await files!.replace("/next", contentOf("/renamed", version));
      await files!.rename("/next", "/renamed");
      tell({ path: "/renamed", version });
      await files!.prepare(["/log"]);
      const log = files!.open("/log", "create");
      for (let at = 0; at < 10; at++) log.write(contentOf("/log", version), at * 1000);
      log.close();
      files!.remove("/log");
      tell({ path: "/log", version });
    }
  },
  /** Commits rows until it is killed, and tells of each. */
  async commitForEver(): Promise<void> {
    const database = await open();
    const insert = database.driver.prepare("INSERT INTO row (number, body) VALUES (?, ?)");
    for (let number = Number(first(database, "SELECT coalesce(max(number), 0) FROM row")) + 1;; number++) {
      insert.run(number, new Uint8Array(3000).fill(number));
      tell({ path: "row", version: number });
      if (number % 100 === 0) database.checkpoint();
    }
  },
  /** What a killed Worker has left of the rows. */
  async rows(): Promise<{ count: number; last: number; integrity: string; files: string[] }> {
    const database = await open();
    const count = Number(first(database, "SELECT count(*) FROM row WHERE length(body) = 3000"));
    const last = Number(first(database, "SELECT max(number) FROM row"));
    const integrity = String(first(database, "PRAGMA integrity_check"));
    database.close();
    return { count, last, integrity, files: (await files!.list("/")).map(({ name }) => name) };
  },
  /** Writes a file until there is no room; tells how much was written, and what was said then. */
  async fill(path: string, most: number): Promise<{ written: number; code: string }> {
    await files!.prepare([path]);
    const file = files!.open(path, "create");
    const block = new Uint8Array(256 * 1024).fill(7);
    try {
      for (let at = 0; at < most; at += block.length) {
        try {
          file.write(block, at);
        } catch (error) {
          return { written: at, code: (error as { code: string }).code };
        }
      }
      return { written: most, code: "none" };
    } finally {
      file.close();
    }
  },
  /** Has files at hand, and makes them, one after the other; tells what was said of the first that could not be. */
  async make(prefix: string, count: number): Promise<string> {
    for (let index = 0; index < count; index++) {
      try {
        await files!.prepare([prefix + index]);
        files!.open(prefix + index, "create").close();
      } catch (error) {
        return (error as { code: string }).code;
      }
    }
    return "none";
  },
  /** Makes files that nobody has announced; how many there were when one was refused, and how. */
  makeUnprepared(prefix: string): { count: number; code: string } {
    for (let index = 0;; index++) {
      try {
        files!.open(prefix + index, "create").close();
      } catch (error) {
        return { count: index, code: (error as { code: string }).code };
      }
    }
  },
  /** The version of what is in each file; fails if one is not whole. */
  async versions(): Promise<Record<string, number>> {
    const versions: Record<string, number> = {};
    for (const { name } of await files!.list("/")) {
      const bytes = await files!.read(`/${name}`);
      if (name === "log") continue;
      const version = new DataView(bytes.buffer).getUint32(0);
      const expected = contentOf(name === "next" ? "/renamed" : `/${name}`, version);
      if (bytes.length !== expected.length || bytes.some((byte, at) => byte !== expected[at])) {
        throw new Error(`${name} is not whole: ${bytes.length} bytes, version ${version}`);
      }
      versions[`/${name}`] = version;
    }
    return versions;
  },
} as const;

/** What the Worker can be told. */
export type FilesCommands = typeof COMMANDS;

function open(): Promise<OpenDatabase> {
  return openDatabase({
    runtime: browserRuntime(files!),
    path: "/database",
    locking: "exclusive",
    create: true,
    synchronous: "normal",
    lockTimeout: 0,
    schema: (driver) => driver.exec("CREATE TABLE IF NOT EXISTS row (number INTEGER PRIMARY KEY, body BLOB)"),
  });
}

function first({ driver }: OpenDatabase, sql: string): SqlRow[number] | undefined {
  const statement = driver.prepare(sql);
  try {
    return statement.get()?.[0];
  } finally {
    statement.finalize();
  }
}

interface RawLabel {
  readonly at: number;
  readonly path: string;
  readonly generation: number;
}

/** The slots as they lie in a directory whose files are closed. */
async function* slotsOf(
  directory: string,
): AsyncGenerator<{ readonly access: FileSystemSyncAccessHandle; readonly labels: RawLabel[] }> {
  let root = await navigator.storage.getDirectory();
  for (const name of directory.split("/")) root = await root.getDirectoryHandle(name);
  for await (const handle of root.values()) {
    const access = await (handle as FileSystemFileHandle).createSyncAccessHandle();
    const labels = [0, 4096].map((at) => {
      const block = new Uint8Array(4096);
      access.read(block, { at });
      const view = new DataView(block.buffer);
      const path = new TextDecoder().decode(block.subarray(24, 24 + Math.min(4000, view.getUint32(12))));
      return { at, path, generation: Number(view.getBigUint64(16)) };
    });
    try {
      yield { access, labels };
    } finally {
      access.close();
    }
  }
}

async function removeAll(folder: string): Promise<void> {
  for (const { name, isDirectory } of await files!.list(folder)) {
    if (isDirectory) await removeAll(`${folder}/${name}`);
    else files!.remove(`${folder}/${name}`);
  }
  files!.removeEmptyDirectory(folder);
}

/** Bytes that show which version of which file they are, and whether all of them are there. */
function contentOf(path: string, version: number): Uint8Array {
  const bytes = new Uint8Array(1000 + (version * 7919) % 50_000).fill(version + path.length);
  new DataView(bytes.buffer).setUint32(0, version);
  return bytes;
}

function tell(done: { path: string; version: number }): void {
  postMessage({ done });
}

addEventListener("message", async ({ data: { id, command, args } }) => {
  try {
    const run = COMMANDS[command as keyof FilesCommands] as (...args: unknown[]) => unknown;
    postMessage({ id, value: await run(...args) });
  } catch (error) {
    const { name, message, code } = error as Error & { code?: string };
    postMessage({ id, failure: { name, message, code } });
  }
});
