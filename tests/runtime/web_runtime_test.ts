/** What browsers and the edge have of a machine, and what they say of what they do not have. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { browserRuntime } from "../../src/runtime/browser.ts";
import { edgeRuntime } from "../../src/runtime/edge.ts";
import { hexOf } from "../../src/runtime/hex.ts";
import { memoryFiles } from "../../src/runtime/memory_files.ts";

for (
  const [name, place, make] of [["browser", "in a browser", browserRuntime], [
    "edge",
    "at the edge",
    edgeRuntime,
  ]] as const
) {
  describe(`${name}Runtime`, () => {
    it("has the files it is given, or its own in memory", async () => {
      const files = memoryFiles();
      assert.equal(make(files).files, files);
      const { files: own } = make();
      await own.replace("/file", new Uint8Array(1));
      assert.equal(make().files.exists("/file"), false);
    });

    it("computes SHA-256, of all at once and in parts, and of files", async () => {
      const runtime = make();
      const bytes = Uint8Array.from({ length: 3_000_001 }, (_, at) => at % 253);
      const expected = createHash("sha256").update(bytes).digest("hex");
      assert.equal(hexOf(runtime.sha256(bytes)), expected);
      const parts = runtime.sha256InParts();
      for (let at = 0; at < bytes.length; at += 777_777) parts.update(bytes.subarray(at, at + 777_777));
      assert.equal(hexOf(parts.digest()), expected);
      await runtime.files.replace("/file", bytes);
      const { sha256, stat } = await runtime.digestFile("/file");
      assert.deepEqual([sha256, stat.size], [expected, bytes.length]);
      await assert.rejects(runtime.digestFile("/none"), { code: "ENOENT" });
    });

    it("refuses to hash a file that changes meanwhile", async () => {
      const { files, digestFile } = make();
      await files.replace("/file", new Uint8Array(3_000_000));
      const digest = digestFile("/file");
      const file = files.open("/file", "write");
      await Promise.resolve();
      file.write(new Uint8Array(1), 0);
      file.close();
      await assert.rejects(digest, { message: "Cannot hash /file: it changed meanwhile" });
    });

    it("waits, and stops waiting when told to", async () => {
      const { clock } = make();
      await clock.sleep(1);
      const reason = new Error("enough");
      const controller = new AbortController();
      const waiting = clock.sleep(60_000, { signal: controller.signal });
      controller.abort(reason);
      await assert.rejects(waiting, reason);
      await assert.rejects(clock.sleep(1, { signal: controller.signal }), reason);
      const order: string[] = [];
      const later = new Promise<void>((resolve) =>
        clock.afterTurn(() => {
          order.push("after the turn");
          resolve();
        })
      );
      await Promise.resolve();
      order.push("in the turn");
      await later;
      assert.deepEqual(order, ["in the turn", "after the turn"]);
    });

    it("gives a file to one owner at a time", () => {
      const runtime = make();
      const lock = runtime.lockWholeFile("/database-owner")!;
      assert.equal(runtime.files.exists("/database-owner"), true);
      assert.equal(runtime.lockWholeFile("/database-owner"), undefined);
      runtime.lockWholeFile("/other-owner")!.release();
      lock.release();
      const next = runtime.lockWholeFile("/database-owner")!;
      lock.release();
      assert.equal(runtime.lockWholeFile("/database-owner"), undefined);
      next.release();
    });

    it("says what it does not have", async () => {
      const runtime = make();
      const serving = runtime.serveHttp({ hostname: "localhost", port: 0, fetch: () => new Response() });
      const message = `Cannot listen for HTTP requests ${place}: it takes Deno, Node or Bun`;
      await assert.rejects(serving, { name: "TypeError", message });
      assert.throws(() => runtime.exit(0), TypeError);
      assert.throws(() => runtime.usage(), TypeError);
      assert.deepEqual([runtime.rangeLocks, runtime.args, runtime.environment("PATH")], [undefined, [], undefined]);
      assert.equal(await runtime.terminal.output.write("text"), false);
      assert.equal(await runtime.terminal.readLine(new AbortController().signal), undefined);
      assert.deepEqual(await runtime.terminal.readInput(), new Uint8Array());
      runtime.onTerminationSignal(() => {})();
    });
  });
}

describe("edgeRuntime", () => {
  it("starts no Workers, and compiles nothing", async () => {
    const { spawnWorker, readModule } = edgeRuntime();
    assert.throws(() => spawnWorker(new URL("https://example.com/worker.js"), "helper"), {
      name: "FileError",
      code: "ENOENT",
      message: "Cannot start Worker helper at the edge: there are none",
    });
    await assert.rejects(readModule(new URL("https://example.com/sqlite3.wasm")), { name: "TypeError" });
  });
});

describe("browserRuntime", () => {
  it("compiles a module whatever its server says it is, and says why it has none", async () => {
    const module = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
    const { readModule } = browserRuntime();
    for (const type of ["application/wasm", "text/plain"]) {
      const compiled = await readModule(new URL(`data:${type};base64,${btoa(String.fromCharCode(...module))}`));
      assert.ok(compiled instanceof WebAssembly.Module);
    }
    await assert.rejects(readModule(new URL("data:text/plain,none")), WebAssembly.CompileError);
  });
});
