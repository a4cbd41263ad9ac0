/** Hashing files in a Worker: right, or an error that says why; one failure is not the next caller's. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { fileDigester } from "../../src/runtime/digest.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Runtime, WorkerHandle } from "../../src/runtime/runtime.ts";
import { temporaryFolder } from "../support/temporary.ts";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

describe("digestFile", () => {
  let runtime: Runtime;
  let folder: string;
  before(async () => {
    runtime = await loadRuntime();
    folder = await temporaryFolder();
    for (const word of ["a", "b"]) await writeFile(join(folder, word), word);
  });

  it("answers each of several callers with its own file's digest, and what the file was like", async () => {
    const digests = await Promise.all(["a", "b", "a"].map((word) => runtime.digestFile(join(folder, word))));
    assert.deepEqual(digests.map((digest) => digest.sha256), ["a", "b", "a"].map(sha256));
    assert.deepEqual(digests[0]!.stat, await runtime.files.stat(join(folder, "a")));
  });

  it("rejects what is missing or no file, by name, beside others that it hashes", async () => {
    await mkdir(join(folder, "directory"));
    const [missing, directory, file] = await Promise.allSettled(
      ["missing", "directory", "b"].map((name) => runtime.digestFile(join(folder, name))),
    );
    assert.match(String((missing as PromiseRejectedResult).reason), /Cannot hash .*missing: .*ENOENT/);
    assert.match(String((directory as PromiseRejectedResult).reason), /Cannot hash .*directory: /);
    assert.equal((file as PromiseFulfilledResult<{ sha256: string }>).value.sha256, sha256("b"));
  });

  it("rejects when no Worker can be started, and answers the next caller", async () => {
    let starts = 0;
    const digest = fileDigester((url, name) => {
      if (starts++ === 0) throw new Error("no threads left");
      return runtime.spawnWorker(url, name);
    });
    await assert.rejects(digest(join(folder, "a")), { message: "no threads left" });
    assert.equal((await digest(join(folder, "b"))).sha256, sha256("b"));
  });

  it("rejects everybody who waits when the Worker dies, and starts another for the next caller", async () => {
    let fail: (reason: Error) => void = () => {};
    let terminated = 0;
    const dying: WorkerHandle = {
      post: () => {},
      onMessage: () => {},
      onFailure: (handler) => void (fail = handler),
      terminate: () => void terminated++,
    };
    const workers = [dying];
    const digest = fileDigester((url, name) => workers.pop() ?? runtime.spawnWorker(url, name));
    const waiting = ["a", "b"].map((word) => digest(join(folder, word)));
    fail(new Error("out of memory"));
    for (const promise of waiting) await assert.rejects(promise, { message: /Cannot hash .*: out of memory/ });
    assert.equal(terminated, 1);
    assert.equal((await digest(join(folder, "a"))).sha256, sha256("a"));
  });
});
