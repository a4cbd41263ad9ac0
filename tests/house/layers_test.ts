/** The walls of the house: which room may import which. The table is the one in docs/house.md. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HERE } from "../support/runtimes.ts";
import { arrowsFrom, sourceFiles } from "./module_graph.ts";

const READ_WITH_DENO = { skip: HERE !== "deno" && "the module graph is read with deno info" };

/** A room may import itself, `runtime`, and these; `room!` stands for that room's contract files only. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  runtime: [],
  codec: [],
  sqlite: [],
  store: ["codec", "sqlite"],
  cache: ["store!"],
  model: [],
  warm: ["model!"],
  probe: ["model!"],
  http: ["cache", "warm", "probe", "store!", "model!"],
  interop: ["cache"],
  migration: ["cache", "store!", "codec", "sqlite"],
  testing: ["cache", "store!", "model!"],
  compose: ["codec", "sqlite", "store", "cache", "model", "warm", "probe", "http", "interop", "migration"],
  cli: ["codec", "sqlite", "store", "cache", "model", "warm", "probe", "http", "interop", "migration", "compose"],
};

/** The contract files of rooms whose implementations are none of their neighbours' business. */
const CONTRACTS: Record<string, readonly string[]> = {
  store: ["src/store/store.ts", "src/store/error.ts", "src/store/verify.ts"],
  model: ["src/model/backend.ts", "src/model/error.ts"],
};

describe("layers", READ_WITH_DENO, () => {
  it("let arrows point only where the table allows", async () => {
    const arrows = await arrowsFrom(await sourceFiles("src"));
    const forbidden = arrows
      .filter(({ from, to }) => from.startsWith("src/") && to.startsWith("src/") && !allowed(from, to))
      .map(({ from, to }) => `${from} -> ${to}`);
    assert.deepEqual(forbidden, []);
  });

  it("cover every folder of src", async () => {
    const rooms = new Set((await sourceFiles("src")).map(roomOf));
    assert.deepEqual([...rooms].filter((room) => !(room in MAY_IMPORT)), []);
  });

  it("keep the runtimes' own names in the runtime room", async () => {
    const arrows = await arrowsFrom(await sourceFiles("src"));
    const outside = arrows.filter(({ from, to }) => to.startsWith("node:") && !from.startsWith("src/runtime/"));
    assert.deepEqual(outside.map(({ from, to }) => `${from} -> ${to}`), []);
  });
});

describe("importing the library", READ_WITH_DENO, () => {
  it("loads neither onnxruntime nor Hono", async () => {
    const arrows = (await arrowsFrom(["mod.ts"])).filter(({ dynamic, typeOnly }) => !dynamic && !typeOnly);
    const reached = new Set(["mod.ts"]);
    for (const from of reached) {
      for (const arrow of arrows) if (arrow.from === from) reached.add(arrow.to);
    }
    const heavy = [...reached].filter((module) => /onnxruntime|hono|tokenizers|redis|koffi/.test(module));
    assert.deepEqual(heavy, []);
    assert.ok([...reached].some((module) => module.startsWith("src/cache/")), "the cache itself is reached");
  });
});

function allowed(from: string, to: string): boolean {
  const [source, target] = [roomOf(from), roomOf(to)];
  if (source === target || target === "runtime") return true;
  const may = MAY_IMPORT[source] ?? [];
  if (may.includes(target)) return true;
  return may.includes(`${target}!`) && (CONTRACTS[target] ?? []).includes(to);
}

function roomOf(file: string): string {
  return file.split("/")[1]!;
}
