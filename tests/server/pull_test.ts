/** `server.ts pull` as its users meet it, from a hub on this machine to a server that serves what it fetched. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { startHub } from "../support/hub.ts";
import { KJV_TINY } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { getJson, openai, testServer } from "./support.ts";

/** What runs a program on the runtime that runs this test. */
const RUN = "Deno" in globalThis ? ["run", "-A"] : [];

const SERVER = fileURLToPath(new URL("../../server.ts", import.meta.url));

interface Ended {
  readonly status: number;
  readonly output: string;
  readonly errors: string;
}

/** Runs `server.ts pull` to its end, with nothing of this machine's own settings. */
function pull(args: readonly string[], environment: Readonly<Record<string, string>>): Promise<Ended> {
  const { HF_TOKEN: _, HF_HUB_CACHE: __, HF_HOME: ___, ...rest } = process.env;
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [...RUN, SERVER, "pull", ...args],
      { env: { ...rest, ...environment } },
      (error, output, errors) => resolve({ status: error === null ? 0 : Number(error.code), output, errors }),
    );
  });
}

/** The example model, and its adapter, as repositories have them. */
async function filesOf(folder: string): Promise<Record<string, Uint8Array>> {
  const names = (await readdir(folder, { recursive: true })).filter((name) => /\.(json|onnx|safetensors)$/.test(name));
  const read = names.filter((name) => !name.startsWith("adapters/")).map(async (name) =>
    [name, new Uint8Array(await readFile(`${folder}/${name}`))] as const
  );
  return Object.fromEntries(await Promise.all(read));
}

describe("pull", () => {
  it("fetches a model that the server then serves", async () => {
    await using hub = await startHub({
      id: "org/kjv-tiny",
      files: await filesOf(KJV_TINY),
      large: ["onnx/model.onnx", "onnx/encoder.onnx"],
      token: "secret",
    });
    const folder = await temporaryFolder();
    const { status, output, errors } = await pull(["org/kjv-tiny"], {
      HF_ENDPOINT: hub.endpoint,
      HF_HOME: folder,
      HF_TOKEN: "secret",
    });
    assert.equal(status, 0, errors);
    assert.match(output, /^onnx\/model\.onnx {2}7 MiB$/m);
    assert.match(output, /^the model org\/kjv-tiny:fp32, in .*\/hub\/models--org--kjv-tiny\/snapshots\/\w+$/m);
    assert.ok(!output.includes("encoder.onnx"), "it fetches what the model needs");

    await using server = await testServer({ models: `${folder}/none`, hub: `${folder}/hub`, cache: `${folder}/cache` });
    const { data } = await getJson(server, "/v1/models");
    assert.deepEqual(data.map(({ id, dtypes }: Record<string, unknown>) => [id, dtypes]), [["org/kjv-tiny", ["fp32"]]]);
    const prompt = "In the beginning";
    const completion = await openai(server).completions.create({ model: "org/kjv-tiny", prompt, max_tokens: 1 });
    assert.ok(completion.choices[0]!.text.length > 0);
  });

  it("of one model by two processes at once fetches every file once", async () => {
    const files = await filesOf(KJV_TINY);
    await using hub = await startHub({ id: "org/kjv-tiny", files, large: ["onnx/model.onnx"] });
    const HF_HUB_CACHE = await temporaryFolder();
    const run = () => pull(["org/kjv-tiny", "--endpoint", hub.endpoint], { HF_HUB_CACHE });
    const [one, other] = await Promise.all([run(), run()]);
    assert.deepEqual([one.status, other.status], [0, 0], one.errors + other.errors);
    const downloads = hub.downloads();
    assert.equal(new Set(downloads).size, downloads.length, downloads.join("\n"));
  });

  it("says what went wrong, and ends with a status that tells whose mistake it was", async () => {
    await using hub = await startHub({ id: "org/model", files: {} });
    const HF_HUB_CACHE = await temporaryFolder();
    const [missing, noName, noDtype] = await Promise.all([
      pull(["org/other", "--endpoint", hub.endpoint], { HF_HUB_CACHE }),
      pull(["../other", "--endpoint", hub.endpoint], { HF_HUB_CACHE }),
      pull(["org/model", "--dtype", "fp8"], { HF_HUB_CACHE }),
    ]) as [Ended, Ended, Ended];
    assert.equal(missing.status, 1);
    assert.match(missing.errors, /^warmcache: Cannot fetch org\/other at main: there is no such thing on the hub/m);
    assert.equal(noName.status, 2);
    assert.match(noName.errors, /^warmcache: Cannot pull a model: expected organisation\/name: "\.\.\/other"/m);
    assert.equal(noDtype.status, 2);
    assert.match(noDtype.errors, /--dtype/);
  });
});
