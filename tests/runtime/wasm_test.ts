/** Where WebAssembly modules are looked for; bundles are tried for real in tests/package/bundle_test.ts. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import "../../src/runtime/load.ts";
import { loadWasm, provideWasm } from "../../src/runtime/wasm.ts";

const BESIDE = fileURLToPath(new URL("../../src/runtime/zstd.wasm", import.meta.url));

describe("loadWasm", () => {
  it("finds a module in its package", async () => {
    const module = await loadWasm(
      "zstd.wasm",
      () => new URL("zstd.wasm", import.meta.resolve("@bokuweb/zstd-wasm")).href,
    );
    assert.ok(WebAssembly.Module.exports(module).length > 10);
  });

  it("names every place where it looked", async () => {
    const missing = new URL("./missing.wasm", import.meta.url);
    await assert.rejects(loadWasm("zstd.wasm", () => missing.href), (error: Error) => {
      assert.equal(error.name, "FileError");
      assert.equal((error as { code?: string }).code, "ENOENT");
      for (const place of [BESIDE, fileURLToPath(missing), "provideWasm"]) assert.ok(error.message.includes(place));
      return true;
    });
  });

  it("says that a file is no module", async () => {
    await assert.rejects(loadWasm("zstd.wasm", () => import.meta.url), { name: "FileError" });
  });

  it("says that a package is missing", async () => {
    const missing = (): string => {
      throw new TypeError("Cannot find package 'left-out'");
    };
    await assert.rejects(loadWasm("zstd.wasm", missing), /left-out/);
  });
});

describe("provideWasm", () => {
  it("refuses names and sources that it does not know", () => {
    assert.throws(() => provideWasm({ "sqlite.wasm": new Uint8Array() } as object), {
      name: "TypeError",
      message: "Cannot provide WebAssembly: unknown option (known: sqlite3.wasm, zstd.wasm): sqlite.wasm",
    });
    assert.throws(() => provideWasm({ "zstd.wasm": "./zstd.wasm" } as object), {
      name: "TypeError",
      message: "Cannot provide zstd.wasm from something that is no URL, Uint8Array or module: ./zstd.wasm",
    });
  });
});
