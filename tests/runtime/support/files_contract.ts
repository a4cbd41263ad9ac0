/**
 * What all `Files` promise, wherever they keep their bytes, as functions that run anywhere: on a server's disk, in memory,
 * and in a browser's Worker. Each gets an empty folder.
 */

import type { Files, OpenFile } from "../../../src/runtime/runtime.ts";
import { present, rejects, same, truth } from "../../../src/testing/assertions.ts";

/** One promise. */
export type FilesCase = (files: Files, folder: string) => Promise<void>;

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const hasCode = (code: string) => (error: unknown): boolean =>
  error instanceof Error && error.name === "FileError" && Reflect.get(error, "code") === code;
const fails = (work: () => unknown, code: string): Promise<unknown> => rejects(work, hasCode(code), `error ${code}`);

/** A file with some bytes in it. */
async function write(files: Files, path: string, text: string): Promise<void> {
  await files.replace(path, bytesOf(text));
}

async function textOf(files: Files, path: string): Promise<string> {
  return new TextDecoder().decode(await files.read(path));
}

async function open(files: Files, path: string): Promise<OpenFile> {
  await files.prepare?.([path]);
  return files.open(path, "create");
}

/** What is promised, by what it says. */
export const FILES_CONTRACT: Readonly<Record<string, FilesCase>> = {
  async "open makes a file only if told to, and in a folder that is there"(files, folder) {
    const path = `${folder}/file`;
    await files.prepare?.([path, `${folder}/none/file`]);
    for (const mode of ["read", "write"] as const) await fails(() => files.open(path, mode), "ENOENT");
    same(files.exists(path), false);
    await fails(() => files.open(`${folder}/none/file`, "create"), "ENOENT");
    files.open(path, "create").close();
    for (const mode of ["read", "write", "create"] as const) files.open(path, mode).close();
    await fails(() => files.open(`${path}/below`, "create"), "ENOTDIR");
    await fails(() => files.open(folder, "write"), "EISDIR");
  },

  async "a file is read and written at positions, of any length, far behind its end too"(files, folder) {
    const file = await open(files, `${folder}/file`);
    const big = Uint8Array.from({ length: 300_000 }, (_, at) => at % 251);
    file.write(big, 5);
    file.write(bytesOf("abc"), 100_001);
    same(file.size(), 300_005);
    const found = new Uint8Array(300_005);
    same(file.read(found, 0), 300_005);
    const expected = new Uint8Array(300_005);
    expected.set(big, 5);
    expected.set(bytesOf("abc"), 100_001);
    same(found, expected);
    const end = new Uint8Array(10).fill(9);
    same(file.read(end, 300_001), 4, "bytes before the end");
    same(end.subarray(4), new Uint8Array(6).fill(9), "what is behind the end");
    same(file.read(end, 300_005), 0);
    same(file.read(end, 1_000_000), 0);
    file.write(bytesOf("x"), 400_000);
    same(file.size(), 400_001);
    const gap = new Uint8Array(5).fill(9);
    same(file.read(gap, 350_000), 5);
    same(gap, new Uint8Array(5), "what nobody wrote");
    file.close();
  },

  async "truncate cuts a file off and extends it by zeros, never by what was there before"(files, folder) {
    const file = await open(files, `${folder}/file`);
    file.write(new Uint8Array(100_000).fill(7), 0);
    file.truncate(50_000);
    same(file.size(), 50_000);
    file.truncate(100_000);
    const found = new Uint8Array(100_000);
    same(file.read(found, 0), 100_000);
    same(found.subarray(0, 50_000).every((byte) => byte === 7), true);
    same(found.subarray(50_000).every((byte) => byte === 0), true, "zeros behind the cut");
    file.truncate(0);
    same(file.size(), 0);
    same(file.read(found, 0), 0);
    file.close();
  },

  async "what one has written another reads at once, and so does who opens it later"(files, folder) {
    const path = `${folder}/file`;
    const writer = await open(files, path);
    const reader = files.open(path, "read");
    writer.write(bytesOf("first"), 0);
    const found = new Uint8Array(5);
    reader.read(found, 0);
    same(found, bytesOf("first"));
    await fails(() => reader.write(found, 0), "EBADF");
    writer.sync();
    writer.close();
    writer.close();
    same(await textOf(files, path), "first");
    reader.close();
  },

  async "a file that was removed is gone for all but those who have it open"(files, folder) {
    const path = `${folder}/file`;
    const old = await open(files, path);
    old.write(bytesOf("old"), 0);
    same(old.isInPlace(), true);
    files.remove(path);
    same([files.exists(path), await files.stat(path), old.isInPlace()], [false, undefined, false]);
    await fails(() => files.open(path, "read"), "ENOENT");
    const fresh = await open(files, path);
    same(fresh.size(), 0, "the size of the new one");
    fresh.write(bytesOf("new!"), 0);
    const found = new Uint8Array(3);
    same(old.read(found, 0), 3);
    same(found, bytesOf("old"));
    same([old.isInPlace(), fresh.isInPlace()], [false, true]);
    old.close();
    same(old.isInPlace(), false);
    fresh.close();
    same([fresh.isInPlace(), await textOf(files, path)], [true, "new!"]);
    files.remove(path);
    files.remove(path);
    same(files.exists(path), false);
  },

  async "logs that come and go look absent each time, and empty when they are back"(files, folder) {
    const path = `${folder}/database-journal`;
    for (let round = 0; round < 20; round++) {
      same(files.exists(path), false);
      const file = await open(files, path);
      same(file.size(), 0);
      same(file.read(new Uint8Array(10), 0), 0);
      file.write(new Uint8Array(10_000).fill(round + 1), 0);
      file.close();
      files.remove(path);
    }
    same((await files.list(folder)).length, 0);
  },

  async "replace puts a whole file in place of another, whose readers keep what they had"(files, folder) {
    const path = `${folder}/file`;
    await files.replace(path, bytesOf("one"));
    const reader = files.open(path, "read");
    await files.replace(path, bytesOf("another"), { synchronous: true });
    same(await textOf(files, path), "another");
    const found = new Uint8Array(10);
    same(reader.read(found, 0), 3);
    same(reader.isInPlace(), false);
    reader.close();
    same((await files.list(folder)).map(({ name }) => name), ["file"]);
    await fails(() => files.replace(`${folder}/none/file`, bytesOf("x")), "ENOENT");
    same((await files.list(folder)).map(({ name }) => name), ["file"], "names after a failure");
  },

  async "rename takes the place of what has the name"(files, folder) {
    const [one, other] = [`${folder}/one`, `${folder}/other`];
    await write(files, one, "one");
    await write(files, other, "other");
    const [first, second] = [files.open(one, "write"), files.open(other, "read")];
    await files.rename(one, other);
    same([files.exists(one), await textOf(files, other)], [false, "one"]);
    same([first.isInPlace(), second.isInPlace()], [false, false]);
    first.write(bytesOf("ONE"), 0);
    same(await textOf(files, other), "ONE", "what is written by the former name");
    for (const file of [first, second]) file.close();
    await files.rename(other, other);
    same(await textOf(files, other), "ONE");
    await fails(() => files.rename(one, other), "ENOENT");
    await fails(() => files.rename(other, `${folder}/none/file`), "ENOENT");
    same(await textOf(files, other), "ONE", "what could not be moved");
  },

  async "copy leaves what it copies as it is"(files, folder) {
    const [one, other] = [`${folder}/one`, `${folder}/other`];
    await files.replace(one, new Uint8Array(2_500_000).fill(5));
    await write(files, other, "other");
    await files.copy(one, other);
    same([...await Promise.all([one, other].map(async (path) => (await files.stat(path))!.size))], [
      2_500_000,
      2_500_000,
    ]);
    same((await files.read(other)).every((byte) => byte === 5), true);
    await write(files, other, "changed");
    same((await files.read(one)).length, 2_500_000);
    await fails(() => files.copy(`${folder}/none`, other), "ENOENT");
    same(await textOf(files, other), "changed");
  },

  async "stat tells sizes, what is a folder, and that a file has changed"(files, folder) {
    const path = `${folder}/file`;
    await write(files, path, "four");
    const before = present(await files.stat(path), "the file");
    same([before.isFile, before.isDirectory, before.size], [true, false, 4]);
    const file = files.open(path, "write");
    let after = before;
    // A disk's clock stands still for some milliseconds.
    while (after.mtimeNs === before.mtimeNs) {
      file.write(bytesOf("FOUR"), 0);
      after = present(await files.stat(path), "the file");
    }
    file.close();
    truth(after.mtimeNs > before.mtimeNs, "a later time");
    same([after.inode, after.size], [before.inode, 4]);
    await write(files, path, "four");
    truth(present(await files.stat(path), "the file").inode !== after.inode, "another file under its name");
    const ofFolder = present(await files.stat(folder), "the folder");
    same([ofFolder.isFile, ofFolder.isDirectory], [false, true]);
    same(await files.stat(`${folder}/none`), undefined);
  },

  async "folders are made with those above, and removed when nothing is in them"(files, folder) {
    const inner = `${folder}/some/folders`;
    files.makeDirectory(inner);
    files.makeDirectory(inner);
    await write(files, `${inner}/file`, "");
    same(await files.list(`${folder}/some`), [{ name: "folders", isFile: false, isDirectory: true }]);
    same(await files.list(inner), [{ name: "file", isFile: true, isDirectory: false }]);
    await fails(() => files.makeDirectory(`${inner}/file`), "EEXIST");
    await fails(() => files.makeDirectory(`${inner}/file/below`), "ENOTDIR");
    for (const each of [inner, `${folder}/some`]) files.removeEmptyDirectory(each);
    same(files.exists(inner), true);
    files.remove(`${inner}/file`);
    same([files.exists(inner), await files.list(inner)], [true, []]);
    for (const each of [inner, `${folder}/some`, `${folder}/some`]) files.removeEmptyDirectory(each);
    same([await files.list(`${folder}/some`), files.exists(`${folder}/some`)], [[], false]);
    await rejects(() => files.remove(folder), (error) => error instanceof Error && error.name === "FileError");
  },

  async "list sorts names"(files, folder) {
    for (const name of ["b", "a", "a-wal", "A", "c"]) await write(files, `${folder}/${name}`, name);
    same((await files.list(folder)).map(({ name }) => name), ["A", "a", "a-wal", "b", "c"]);
  },

  async "realPath is the path from the root, and none where nothing is"(files, folder) {
    await write(files, `${folder}/file`, "");
    const real = present(await files.realPath(`${folder}/file`), "the path");
    same(await files.realPath(`${folder}/./file`), real);
    same(await files.realPath(`${folder}/none`), undefined);
    truth(real.startsWith("/") || /^[A-Z]:/.test(real), "a path from the root");
    same(await textOf(files, real), "");
  },

  async "a folder is opened for its names to be on the disk, and a file's bytes are told to be"(files, folder) {
    await write(files, `${folder}/file`, "text");
    for (const path of [folder, `${folder}/file`]) await files.sync(path);
    const directory = files.open(folder, "read");
    directory.sync();
    same(directory.isInPlace(), true);
    directory.close();
    await fails(() => files.sync(`${folder}/none`), "ENOENT");
  },

  async "reading what is not there, or no file, is an error"(files, folder) {
    await fails(() => files.read(`${folder}/none`), "ENOENT");
    await fails(() => files.read(folder), "EISDIR");
    await rejects(
      () => files.fileSystem(`${folder}/none`),
      (error) => error instanceof Error && error.name === "FileError",
    );
    truth(typeof files.fileSystem(folder) === "string", "a kind of file system");
  },

  async "many files at once are told apart"(files, folder) {
    const paths = Array.from({ length: 40 }, (_, index) => `${folder}/file-${index}`);
    await files.prepare?.(paths);
    const opened = paths.map((path) => files.open(path, "create"));
    opened.forEach((file, index) => file.write(bytesOf(`bytes of ${index}`), index));
    for (const [index, file] of opened.entries()) {
      same(file.size(), `bytes of ${index}`.length + index);
      if (index % 2 === 0) files.remove(paths[index]!);
      file.close();
    }
    same((await files.list(folder)).length, 20);
    same((await textOf(files, paths[7]!)).slice(7), "bytes of 7");
  },
};
