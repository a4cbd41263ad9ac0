/** How a model's database is called, as the module's documentation promises. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { databaseName, isDatabaseName } from "../../../src/store/sqlite/names.ts";
import { machine } from "./fixture.ts";

const NAMES: Record<string, string> = {
  "gpt-4o": "gpt-4o-a2a69af7.sqlite",
  "GPT-4o": "gpt-4o-9b816f4a.sqlite",
  "meta-llama/Llama-3.1-8B:free": "meta-llama-llama-3.1-8b-free-",
  "../../etc/passwd": "etc-passwd-",
  "漢字": "model-",
  "": "_none-e3b0c442.sqlite",
  "ends.with.dots...": "ends.with.dots-",
};

describe("databaseName", () => {
  it("is the slug of the model and eight digits of its SHA-256", () => {
    for (const [model, start] of Object.entries(NAMES)) {
      assert.ok(databaseName(model, machine.sha256).startsWith(start), databaseName(model, machine.sha256));
    }
  });

  it("is bounded, safe, and recognised by isDatabaseName", () => {
    for (const model of [...Object.keys(NAMES), "x".repeat(10_000), ".".repeat(70), "\ud800", "a\0b\nc"]) {
      const name = databaseName(model, machine.sha256);
      assert.ok(name.length <= 80);
      assert.ok(isDatabaseName(name), name);
    }
  });
});

describe("isDatabaseName", () => {
  it("knows ours from others'", () => {
    for (const name of ["a.sqlite", "a-12345678.db", "A-12345678.sqlite", "a-1234567g.sqlite", "-12345678.sqlite"]) {
      assert.equal(isDatabaseName(name), false, name);
    }
    for (const suffix of ["-wal", "-owner", "-owner.json"]) {
      assert.equal(isDatabaseName(`a-12345678.sqlite${suffix}`), false);
    }
  });
});
