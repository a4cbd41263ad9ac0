/** Files whose place changes, what is no file, and folders with broken links in them. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFile, readlink, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Files } from "../../src/runtime/runtime.ts";
import { requirePart } from "../support/parts.ts";
import { temporaryFolder } from "../support/temporary.ts";

describe("files", () => {
  let files: Files;
  before(async () => {
    ({ files } = await loadRuntime());
  });

  it("isInPlace is false once the file was removed, renamed or replaced, and asked for after closing too", async () => {
    const folder = await temporaryFolder();
    const path = join(folder, "file");
    const file = files.open(path, "create");
    assert.equal(file.isInPlace(), true);
    await rename(path, join(folder, "elsewhere"));
    assert.equal(file.isInPlace(), false);
    await writeFile(path, "another");
    assert.equal(file.isInPlace(), false);
    await rename(join(folder, "elsewhere"), path);
    assert.equal(file.isInPlace(), true);
    file.close();
    assert.equal(file.isInPlace(), true);
    await rm(folder, { recursive: true });
    assert.equal(file.isInPlace(), false);
  });

  it("open does not wait for somebody to write to a FIFO, and reading one is an error", async (context) => {
    if (!requirePart(context, "mkfifo")) return;
    const path = join(await temporaryFolder(), "fifo");
    execFileSync("mkfifo", [path]);
    const file = files.open(path, "read");
    assert.throws(() => file.read(new Uint8Array(1), 0), { name: "FileError", code: "ESPIPE" });
    file.close();
  });

  it("replace and sync wait for the disk, of a file and of a folder, and say what they could not", async () => {
    const folder = await temporaryFolder();
    const path = join(folder, "file");
    await files.replace(path, new Uint8Array([1, 2]), { synchronous: true });
    assert.deepEqual(await files.read(path), new Uint8Array([1, 2]));
    for (const each of [path, folder]) await files.sync(each);
    await assert.rejects(files.sync(join(folder, "nowhere")), { name: "FileError", code: "ENOENT" });
    const nowhere = files.replace(join(folder, "nowhere", "file"), new Uint8Array(1), { synchronous: true });
    await assert.rejects(nowhere, { name: "FileError", code: "ENOENT" });
  });

  it("rename takes the place of what has the name, and copy does", async () => {
    const folder = await temporaryFolder();
    const [one, other] = [join(folder, "one"), join(folder, "other")];
    await writeFile(one, "one");
    await writeFile(other, "other, and longer");
    await files.copy(one, other);
    assert.equal(await readFile(other, "utf8"), "one");
    await writeFile(other, "other");
    await files.rename(one, other);
    assert.equal(await readFile(other, "utf8"), "one");
    assert.equal(files.exists(one), false);
    for (const move of [files.rename, files.copy]) {
      await assert.rejects(move(one, other), { name: "FileError", code: "ENOENT" });
    }
  });

  it("link leads from its own folder, and takes no name that is taken", async () => {
    const folder = await temporaryFolder();
    files.makeDirectory(join(folder, "inner"));
    await writeFile(join(folder, "file"), "text");
    await files.link("../file", join(folder, "inner", "link"));
    assert.equal(await readFile(join(folder, "inner", "link"), "utf8"), "text");
    assert.equal(await readlink(join(folder, "inner", "link")), "../file");
    const again = files.link("../file", join(folder, "inner", "link"));
    await assert.rejects(again, { name: "FileError", code: "EEXIST" });
  });

  it("removeEmptyDirectory removes what is empty, leaves what is not, and minds nothing that is missing", async () => {
    const folder = join(await temporaryFolder(), "folder");
    files.makeDirectory(join(folder, "inner"));
    files.removeEmptyDirectory(folder);
    assert.equal(files.exists(join(folder, "inner")), true);
    for (const each of [join(folder, "inner"), folder, folder]) files.removeEmptyDirectory(each);
    assert.equal(files.exists(folder), false);
  });

  it("list leaves out links that lead nowhere or to themselves", async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, "file"), "");
    await symlink("nowhere", join(folder, "dangling"));
    await symlink("loop", join(folder, "loop"));
    assert.deepEqual(await files.list(folder), [{ name: "file", isFile: true, isDirectory: false }]);
    assert.equal(await files.stat(join(folder, "loop")), undefined);
    assert.equal(await files.realPath(join(folder, "loop")), undefined);
  });
});
