import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ModelError } from "../../src/model/error.ts";
import { formatModelName, modelSpec, parseModelName, withAdapter } from "../../src/warm/spec.ts";

describe("parseModelName", () => {
  it("reads a base, an organisation and an adapter", () => {
    const common = { kind: "onnx", dtype: "auto", device: "auto" };
    assert.deepEqual(parseModelName("kjv-tiny"), { ...common, base: "kjv-tiny" });
    assert.deepEqual(parseModelName("kjv-tiny+fortunes"), { ...common, base: "kjv-tiny", adapter: "fortunes" });
    assert.deepEqual(parseModelName("org/name_2.5+a.b"), { ...common, base: "org/name_2.5", adapter: "a.b" });
  });

  it("reads a dtype, a revision and an adapter of another organisation", () => {
    assert.equal(parseModelName("kjv-tiny:q4").dtype, "q4");
    const { base, dtype, adapter } = parseModelName("org/base@v1.0:q4f16+other/x@main");
    assert.deepEqual([base, dtype, adapter], ["org/base@v1.0", "q4f16", "other/x@main"]);
  });

  it("refuses whatever could be another path, as a model that does not exist", () => {
    const names = [
      "",
      "+",
      "a+",
      "+x",
      "a+x+y",
      ".",
      "..",
      "../a",
      "a/..",
      "a/../b",
      "/a",
      "a/",
      "a//b",
      "a/b/c",
      "a/.b",
    ];
    const worse = [
      "a+../x",
      "a+x/..",
      "a+x/y/z",
      "a\\b",
      "a\0",
      "a b",
      "C:",
      "a%2f..",
      "ä",
      "~",
      "-a",
      "a\n",
      "x".repeat(97),
    ];
    const wrong = [
      "a:",
      "a:auto",
      "a:fp8",
      "a:q4:q4",
      ":q4",
      "a+x:q4",
      "a@",
      "@v",
      "a@b@c",
      "a@../b",
      "a@b/c",
      "a:toString",
    ];
    for (const name of [...names, ...worse, ...wrong]) {
      assert.throws(
        () => parseModelName(name),
        ({ code, parameter, message }: ModelError) =>
          code === "model_not_found" && parameter === "model" && message.endsWith(`: ${JSON.stringify(name)}`),
        name,
      );
    }
  });

  it("is undone by formatModelName", () => {
    for (const name of ["a", "a+x", "o/a", "o/a@v:q8+p/x"]) assert.equal(formatModelName(parseModelName(name)), name);
  });
});

describe("modelSpec", () => {
  it("is frozen and takes what differs from the defaults", () => {
    const spec = modelSpec({ base: "a", device: "wasm" });
    assert.deepEqual(spec, { kind: "onnx", base: "a", dtype: "auto", device: "wasm" });
    assert.ok(Object.isFrozen(spec));
  });

  it("refuses unknown options and values by name", () => {
    for (const [name, value] of [["adaptor", "x"], ["dtype", "fp8"], ["device", "cuda"], ["kind", "a b"]] as const) {
      assert.throws(() => modelSpec({ base: "a", [name]: value }), { name: "TypeError", message: new RegExp(name) });
    }
  });

  it("names models of endpoints as these do, and of other kinds as folders are named", () => {
    const base = "ft:gpt:org::id/x y";
    const spec = modelSpec({ kind: "api", base, endpoint: "lab", revision: "2" });
    assert.deepEqual(spec, { kind: "api", base, dtype: "auto", device: "auto", endpoint: "lab", revision: "2" });
    assert.equal(modelSpec({ kind: "mine", base: "a", adapter: "x" }).kind, "mine");
    for (const base of ["", " a", "a\n", "a".repeat(257)]) {
      assert.throws(() => modelSpec({ kind: "api", base }), { code: "model_not_found" });
    }
    assert.throws(() => modelSpec({ kind: "mine", base: "../a" }), { code: "model_not_found" });
  });

  it("refuses what a kind has no use for", () => {
    for (const odd of [{ adapter: "x" }, { dtype: "fp16" }, { device: "wasm" }] as const) {
      assert.throws(() => modelSpec({ kind: "api", base: "a", ...odd }), { name: "TypeError" });
    }
    for (const odd of [{ endpoint: "lab" }, { revision: "2" }]) {
      assert.throws(() => modelSpec({ base: "a", ...odd }), {
        name: "TypeError",
        message: new RegExp(Object.keys(odd)[0]!),
      });
    }
  });

  it("refuses parts that are no names", () => {
    assert.throws(() => modelSpec({ base: "../a" }), { code: "model_not_found" });
    assert.throws(() => modelSpec({ base: "a", adapter: "../x" }), { code: "model_not_found" });
  });
});

describe("withAdapter", () => {
  it("replaces the adapter or takes it away", () => {
    assert.deepEqual(withAdapter(parseModelName("a+x"), "y"), parseModelName("a+y"));
    assert.deepEqual(withAdapter(parseModelName("a+x"), null), parseModelName("a"));
    assert.equal(withAdapter(parseModelName("a:q4"), "y").dtype, "q4");
    assert.throws(() => withAdapter(parseModelName("a"), "../x"), { code: "model_not_found" });
  });
});
