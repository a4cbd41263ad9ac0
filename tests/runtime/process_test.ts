/** Modules in processes of their own: they talk like Workers, and end alone. */

import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { WorkerHandle } from "../../src/runtime/runtime.ts";

const { spawnProcess } = await loadRuntime();
const skip = spawnProcess === undefined && "only Deno needs it";

/** Starts `echo_process.ts`, and hears its messages one after the other. */
function start(): { readonly handle: WorkerHandle; next(): Promise<unknown>; readonly failed: Promise<Error> } {
  const handle = spawnProcess!(new URL("./echo_process.ts", import.meta.url), "echo");
  const failed = Promise.withResolvers<Error>();
  handle.onFailure(failed.resolve);
  const next = (): Promise<unknown> => new Promise((resolve) => handle.onMessage(resolve));
  return { handle, next, failed: failed.promise };
}

describe("spawnProcess", { skip }, () => {
  it("carries what can be cloned, both ways, before and after the process has started", async () => {
    const { handle, next } = start();
    const message = { number: -Infinity, nothing: undefined, big: 2n ** 70n, floats: new Float32Array([0.1, NaN]) };
    for (let round = 0; round < 3; round++) {
      const answer = next();
      handle.post(message);
      assert.deepEqual(await answer, message);
    }
    handle.terminate();
  });

  it("has the right to read, and none to write, to call others or to start anything", async () => {
    const { handle, next } = start();
    const answer = next();
    handle.post("permissions");
    const permissions = Object.entries(await answer as Record<string, string>);
    const granted = permissions.filter(([, state]) => state === "granted").map(([name]) => name);
    assert.deepEqual(granted, ["read", "env"]);
    handle.terminate();
  });

  it("goes on when a terminal or a service manager tells every process to end: that is for its parent to decide", async () => {
    const { handle, next } = start();
    const answer = next();
    handle.post("pid");
    const pid = await answer as number;
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.kill(pid, signal);
      const alive = next();
      handle.post("still there?");
      assert.equal(await alive, "still there?");
    }
    handle.terminate();
  });

  it("says how the process ended when it ends by itself, and what its last words were", async () => {
    const exited = start();
    exited.handle.post("exit");
    assert.equal((await exited.failed).message, "its process ended with exit code 3");
    const thrown = start();
    thrown.handle.post("throw");
    assert.match((await thrown.failed).message, /ended with exit code 1: Uncaught.* out of order/);
  });

  it("says nothing once it was told to end; what is posted then is lost, and ending twice is no error", async () => {
    const { handle, next, failed } = start();
    const up = next();
    handle.post("ready?");
    await up;
    let told: unknown = "nothing";
    failed.then((reason) => told = reason);
    handle.terminate();
    handle.terminate();
    handle.post("too late");
    const other = start();
    other.handle.post("exit");
    await other.failed;
    assert.equal(told, "nothing");
  });

  it("says that a module is missing", () => {
    const url = new URL("./left_out_of_the_bundle.js", import.meta.url);
    assert.throws(() => spawnProcess!(url, "missing"), { name: "FileError", code: "ENOENT" });
  });
});
