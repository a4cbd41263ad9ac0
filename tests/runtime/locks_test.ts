/** Both ways of taking SQLite's lock bytes, and that they see each other. */

import assert from "node:assert/strict";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { requireRangeLocks } from "../support/parts.ts";
import { temporaryFolder } from "../support/temporary.ts";

const START = 0x40000000;
const LENGTH = 512;

describe("locks", () => {
  let runtime: Runtime;
  let folder: string;
  before(async () => {
    runtime = await loadRuntime();
    folder = await temporaryFolder();
  });

  it("lockWholeFile keeps a second one out until it is released", async () => {
    const path = join(folder, "whole");
    const lock = runtime.lockWholeFile(path);
    assert.ok(lock);
    assert.equal(runtime.lockWholeFile(path), undefined);
    lock.release();
    lock.release();
    runtime.lockWholeFile(path)!.release();
    const { size, mode } = await stat(path);
    assert.deepEqual({ size, mode: mode & 0o777 }, { size: 0, mode: 0o600 });
  });

  it("lockWholeFile leaves nothing beside the file while it is held", async () => {
    const own = await temporaryFolder();
    const lock = runtime.lockWholeFile(join(own, "whole"))!;
    assert.deepEqual(await readdir(own), ["whole"]);
    lock.release();
  });

  it("lockWholeFile says why the file cannot be used", () => {
    assert.throws(() => runtime.lockWholeFile(join(folder, "missing", "file")), { name: "FileError", code: "ENOENT" });
  });

  it("rangeLocks and lockWholeFile see each other", (context) => {
    const locks = requireRangeLocks(context, runtime);
    if (!locks) return;
    const path = join(folder, "both");
    const file = runtime.files.open(path, "create");
    assert.ok(locks.tryLock(file.descriptor, START, LENGTH, "exclusive"));
    assert.equal(runtime.lockWholeFile(path), undefined);
    locks.unlock(file.descriptor, START, LENGTH);
    const lock = runtime.lockWholeFile(path);
    assert.ok(lock);
    assert.equal(locks.tryLock(file.descriptor, START, LENGTH, "shared"), false);
    lock.release();
    assert.ok(locks.tryLock(file.descriptor, START, LENGTH, "shared"));
    file.close();
  });

  it("rangeLocks belong to the open file: another of the same process is kept out, shared ones are let in", (context) => {
    const locks = requireRangeLocks(context, runtime);
    if (!locks) return;
    const path = join(folder, "range");
    const [first, second] = [runtime.files.open(path, "create"), runtime.files.open(path, "write")];
    assert.ok(locks.tryLock(first.descriptor, START, LENGTH, "shared"));
    assert.ok(locks.tryLock(second.descriptor, START, LENGTH, "shared"));
    assert.equal(locks.tryLock(second.descriptor, START, LENGTH, "exclusive"), false);
    first.close();
    assert.ok(locks.tryLock(second.descriptor, START, LENGTH, "exclusive"));
    second.close();
  });
});
