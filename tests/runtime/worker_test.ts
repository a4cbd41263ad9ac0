/** Workers that cannot start: whoever wants to start one hears of it, the console does not, and the program goes on. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";

const { spawnWorker } = await loadRuntime();

describe("spawnWorker", () => {
  it("says that a module is missing, as in a bundle", () => {
    const url = new URL("./left_out_of_the_bundle.js", import.meta.url);
    assert.throws(() => spawnWorker(url, "missing"), {
      name: "FileError",
      code: "ENOENT",
      message: `Cannot start Worker missing: its module is missing: ${url.href}`,
    });
  });
});
