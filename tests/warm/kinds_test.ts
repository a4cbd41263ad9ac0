import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { dummyAdapter, dummyBackend, dummyBase, type DummyOptions } from "../../src/testing/testing.ts";
import { type BackendKind, Kinds } from "../../src/warm/kinds.ts";
import { modelSpec } from "../../src/warm/spec.ts";

const runtime = {
  sha256: (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash("sha256").update(bytes).digest()),
};

/** Dummies, whose adapters have any name. */
function dummies(options: DummyOptions = {}): BackendKind {
  return {
    resolve: ({ base, adapter }) =>
      Promise.resolve({
        base: dummyBase({ ...options, name: base }),
        ...(adapter === undefined ? {} : { adapter: dummyAdapter(adapter) }),
      }),
    load: ({ name }) => Promise.resolve(dummyBackend({ ...options, name })),
  };
}

const DUMMY = modelSpec({ kind: "dummy", base: "one" });
const signal = new AbortController().signal;

describe("Kinds", () => {
  it("resolves and loads models of a kind that was given in code", async () => {
    const kinds = new Kinds(runtime, { dummy: { ...dummies(), predict: () => ({ wasm: 5, gpu: 0 }) } });
    const { base, scale, adapter } = await kinds.identify(DUMMY);
    assert.deepEqual([base.kind, base.name, scale, adapter], ["dummy", "one", 0, undefined]);
    assert.equal((await kinds.load(base, signal)).base.name, "one");
    assert.deepEqual(kinds.predict(base), { wasm: 5, gpu: 0 });
    assert.deepEqual(new Kinds(runtime, { dummy: dummies() }).predict(base), { wasm: 0, gpu: 0 });
  });

  it("keeps identities of kinds, bases and adapters apart", async () => {
    const resolve: BackendKind["resolve"] = async (spec) => {
      const { base } = await dummies().resolve(spec);
      return { base: { ...base, kind: spec.kind } };
    };
    const other = { ...dummies(), resolve };
    const kinds = new Kinds(runtime, { dummy: dummies(), other });
    const specs = [{ base: "one" }, { base: "two" }, { base: "one", adapter: "x" }, { base: "one", kind: "other" }];
    const models = await Promise.all(specs.map((spec) => kinds.identify(modelSpec({ kind: "dummy", ...spec }))));
    assert.equal(new Set(models.map(({ identity }) => identity)).size, 4);
    for (const { base, identity } of models) {
      assert.match(base.identity, /^[0-9a-f]{64}$/);
      assert.match(identity, /^[0-9a-f]{64}$/);
    }
    assert.equal(models[0]!.base.identity, models[2]!.base.identity);
    assert.notEqual(models[0]!.base.identity, models[3]!.base.identity);
  });

  it("knows no kind that nobody gave, whatever a spec names", async () => {
    const kinds = new Kinds(runtime, { dummy: dummies() });
    const expected = { code: "model_not_found", message: /known: onnx, dummy\): mlx/ };
    await assert.rejects(kinds.identify(modelSpec({ kind: "mlx", base: "one" })), expected);
    await assert.rejects(kinds.load({ ...dummyBase(), kind: "mlx" }, signal), expected);
  });

  it("refuses names and values that are no kinds, and bases that are of another", async () => {
    for (const name of ["onnx", "", "A", "a b", "../a"]) {
      assert.throws(() => new Kinds(runtime, { [name]: dummies() }), { name: "TypeError" });
    }
    assert.throws(() => new Kinds(runtime, { dummy: { load: dummies().load } as BackendKind }), {
      message: /no resolve/,
    });
    const odd = new Kinds(runtime, { odd: dummies() });
    await assert.rejects(odd.identify(modelSpec({ kind: "odd", base: "one" })), { message: /another kind/ });
  });

  it("refuses what resolves to a base where an adapter was asked for, which would measure nothing", async () => {
    const deaf = { ...dummies(), resolve: ({ base }: { base: string }) => dummies().resolve(modelSpec({ base })) };
    const kinds = new Kinds(runtime, { dummy: deaf });
    await kinds.identify(DUMMY);
    const adapted = modelSpec({ kind: "dummy", base: "one", adapter: "x" });
    await assert.rejects(kinds.identify(adapted), { name: "TypeError", message: /without the adapter x/ });
    const eager = { ...dummies(), resolve: () => dummies().resolve(adapted) };
    const more = new Kinds(runtime, { dummy: eager });
    await assert.rejects(more.identify(DUMMY), { name: "TypeError", message: /adapter.*nobody asked/ });
  });

  it("refuses a kind that is nothing", () => {
    for (const kind of [undefined, null]) {
      const odd = { dummy: kind as unknown as BackendKind };
      assert.throws(() => new Kinds(runtime, odd), { name: "TypeError", message: /dummy has no resolve/ });
    }
  });
});
