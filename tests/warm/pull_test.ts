import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { lstat, mkdir, readFile, readlink, symlink, writeFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import { FileError, type Runtime } from "../../src/runtime/runtime.ts";
import { Catalogue } from "../../src/warm/catalogue.ts";
import { pull, type PullOptions } from "../../src/warm/hub/pull.ts";
import { COMMIT, type HubRepository, startHub, type TestHub } from "../support/hub.ts";
import { onSmallDisk } from "../support/small_disk.ts";
import { temporaryFolder } from "../support/temporary.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Large enough to come in several pieces. */
const GRAPH = new Uint8Array(300_000).map((_, index) => index % 251);

/** A model with two exports, as transformers.js has them. */
const FILES: Record<string, Uint8Array> = {
  "README.md": bytesOf("about the model"),
  "config.json": bytesOf("{}"),
  "tokenizer.json": bytesOf('{"a tokenizer":1}'),
  "generation_config.json": bytesOf('{"eos":0}'),
  "model.safetensors": bytesOf("of no use here"),
  "onnx/model.onnx": GRAPH,
  "onnx/model.onnx_data": bytesOf("weights of model.onnx"),
  "onnx/model_q4.onnx": bytesOf("a small graph"),
};
const LARGE = ["onnx/model.onnx", "onnx/model.onnx_data", "onnx/model_q4.onnx", "model.safetensors"];

/** A machine on which waiting takes no time, and that tells how long it was to be. */
async function hastyRuntime(): Promise<Runtime & { readonly waits: number[] }> {
  const runtime = await loadRuntime();
  const waits: number[] = [];
  const sleep: Runtime["clock"]["sleep"] = async (duration, options = {}) => {
    if (options.background) return await runtime.clock.sleep(duration, options);
    waits.push(duration);
    await runtime.clock.sleep(1, options);
  };
  return { ...runtime, clock: { ...runtime.clock, sleep }, waits };
}

interface World extends AsyncDisposable {
  readonly hub: TestHub;
  readonly cache: string;
  readonly runtime: Awaited<ReturnType<typeof hastyRuntime>>;
  pull(options?: Partial<PullOptions>): ReturnType<typeof pull>;
}

async function world(repository: Partial<HubRepository> = {}): Promise<World> {
  const hub = await startHub({ id: "org/model", files: FILES, large: LARGE, ...repository });
  const cache = `${await temporaryFolder()}/hub`;
  const runtime = await hastyRuntime();
  return {
    hub,
    cache,
    runtime,
    pull: (options = {}) =>
      pull({
        runtime,
        hub: cache,
        id: "org/model",
        endpoint: hub.endpoint,
        facts: { device: "wasm", float16: false },
        retries: { random: () => 0 },
        ...options,
      }),
    [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose](),
  };
}

describe("pull", () => {
  it("fetches the files of one dtype, as huggingface_hub lays them out", async () => {
    await using it = await world();
    const { folder, commit, dtype, files } = await it.pull();
    const repository = `${it.cache}/models--org--model`;
    assert.deepEqual([folder, commit, dtype], [`${repository}/snapshots/${COMMIT}`, COMMIT, "fp32"]);
    assert.deepEqual([...files].sort(), [
      "config.json",
      "generation_config.json",
      "onnx/model.onnx",
      "onnx/model.onnx_data",
      "tokenizer.json",
    ]);
    for (const file of files) assert.deepEqual(new Uint8Array(await readFile(`${folder}/${file}`)), FILES[file]);
    assert.equal(await readFile(`${repository}/refs/main`, "utf8"), COMMIT);
    const sha256 = createHash("sha256").update(GRAPH).digest("hex");
    assert.equal(await readlink(`${folder}/onnx/model.onnx`), `../../../blobs/${sha256}`);
    const config = createHash("sha1").update("blob 2\0{}").digest("hex");
    assert.equal(await readlink(`${folder}/config.json`), `../../blobs/${config}`);
  });

  it("is followed by the model in the catalogue", async () => {
    await using it = await world();
    await it.pull({ dtype: "q4" });
    const catalogue = new Catalogue({ runtime: it.runtime, directory: `${it.cache}/none`, hub: it.cache });
    const [listing] = await catalogue.list();
    assert.partialDeepStrictEqual(listing, { id: "org/model", dtypes: ["q4"] });
    assert.equal((await catalogue.locate({ base: "org/model" })).dtype, "q4");
  });

  it("takes the dtype that serves the device, or the one that is asked for", async () => {
    await using it = await world({
      files: { ...FILES, "onnx/model_fp16.onnx": bytesOf("half") },
    });
    const gpu = { device: "webgpu", float16: true } as const;
    assert.equal((await it.pull({ facts: gpu })).dtype, "fp16");
    assert.equal((await it.pull({ facts: gpu, dtype: "q4" })).dtype, "q4");
    await assert.rejects(it.pull({ dtype: "bnb4" }), {
      name: "PullError",
      code: "not_found",
      message: "Cannot pull org/model as bnb4 (there are: fp32, fp16, q4)",
    });
  });

  it("finds the graph and the pooling that other files name", async () => {
    const files: Record<string, Uint8Array> = {
      "config.json": bytesOf("{}"),
      "tokenizer.json": bytesOf("{}"),
      "genai_config.json": bytesOf('{"model":{"decoder":{"filename":"phi-cpu-int4.onnx"}}}'),
      "phi-cpu-int4.onnx": bytesOf("graph"),
      "phi-cpu-int4.onnx.data": bytesOf("weights"),
      "modules.json": bytesOf('[{"type":"sentence_transformers.models.Pooling","path":"2_Pooling"}]'),
      "2_Pooling/config.json": bytesOf("{}"),
    };
    await using it = await world({ files, large: [] });
    const { dtype, files: fetched } = await it.pull();
    assert.equal(dtype, "q4");
    assert.deepEqual([...fetched].sort(), Object.keys(files).sort());
  });

  it("fetches an adapter", async () => {
    const files = { "adapter_config.json": bytesOf("{}"), "adapter_model.safetensors": GRAPH, "README.md": GRAPH };
    await using it = await world({ files, large: ["adapter_model.safetensors"] });
    assert.deepEqual((await it.pull()).files, ["adapter_config.json", "adapter_model.safetensors"]);
  });

  it("fetches nothing twice", async () => {
    await using it = await world();
    await it.pull();
    const before = it.hub.downloads().length;
    await it.pull();
    assert.equal(it.hub.downloads().length, before);
  });

  it("tells how far it is", async () => {
    await using it = await world();
    let last: readonly { path: string; received: number; size: number }[] = [];
    await it.pull({ onProgress: (files) => last = files });
    assert.equal(last.length, 5);
    for (const { path, received, size } of last) assert.deepEqual([received, size], [size, FILES[path]!.length], path);
  });

  it("lets another revision stand beside main, and names none for a commit", async () => {
    await using it = await world();
    await it.pull({ revision: COMMIT });
    await assert.rejects(lstat(`${it.cache}/models--org--model/refs`), { code: "ENOENT" });
    const catalogue = new Catalogue({ runtime: it.runtime, directory: `${it.cache}/none`, hub: it.cache });
    assert.deepEqual(await catalogue.list(), []);
    assert.equal((await catalogue.locate({ base: `org/model@${COMMIT}` })).dtype, "fp32");
  });

  it("copies where there may be no links", async () => {
    await using it = await world();
    const link = () => Promise.reject(new FileError("not here", "EPERM"));
    const { folder } = await it.pull({ runtime: { ...it.runtime, files: { ...it.runtime.files, link } } });
    assert.ok((await lstat(`${folder}/onnx/model.onnx`)).isFile());
    assert.deepEqual(new Uint8Array(await readFile(`${folder}/onnx/model.onnx`)), GRAPH);
  });

  it("mends a link that leads nowhere", async () => {
    await using it = await world();
    const folder = `${it.cache}/models--org--model/snapshots/${COMMIT}`;
    await mkdir(folder, { recursive: true });
    await symlink("../../blobs/none", `${folder}/config.json`);
    await it.pull();
    assert.equal(await readFile(`${folder}/config.json`, "utf8"), "{}");
  });
});

describe("a connection", () => {
  const graph = "onnx/model.onnx";

  it("that breaks is taken up where it was", async () => {
    await using it = await world({ mishaps: { [graph]: [{ breakAfter: 100_000 }, { breakAfter: 50_000 }] } });
    const { folder } = await it.pull();
    assert.deepEqual(new Uint8Array(await readFile(`${folder}/${graph}`)), GRAPH);
    const ranges = it.hub.downloads().filter((download) => download.startsWith(`${graph} `) || download === graph);
    assert.deepEqual(ranges, [graph, `${graph} bytes=100000-`, `${graph} bytes=150000-`]);
    assert.deepEqual(it.runtime.waits, [1000, 1000], "what brought something is no failure in a row");
  });

  it("that breaks for good leaves what came for the next pull", async () => {
    await using it = await world({ mishaps: { [graph]: [{ breakAfter: 100_000 }] } });
    await assert.rejects(it.pull({ retries: { attempts: 1 } }), { name: "PullError", code: "unreachable" });
    await it.pull();
    assert.ok(it.hub.downloads().includes(`${graph} bytes=100000-`));
  });

  it("to a server without ranges begins anew", async () => {
    await using it = await world({ mishaps: { [graph]: [{ breakAfter: 100_000 }, "no ranges"] } });
    const { folder } = await it.pull();
    assert.deepEqual(new Uint8Array(await readFile(`${folder}/${graph}`)), GRAPH);
  });

  it("that falls silent is given up", async () => {
    await using it = await world({ mishaps: { [graph]: ["silence"] } });
    await it.pull({ silence: 200 });
    assert.ok(it.hub.downloads().includes(`${graph} bytes=1-`));
  });

  it("waits as long as the hub asks for, and longer each time otherwise", async () => {
    const busy = { status: 429, headers: { "Retry-After": "7" } };
    await using it = await world({ mishaps: { [graph]: [busy, { status: 503 }, { status: 500 }] } });
    await it.pull();
    assert.deepEqual(it.runtime.waits, [7000, 2000, 4000]);
  });

  it("is not tried for ever", async () => {
    await using it = await world({ mishaps: { [graph]: Array(6).fill({ status: 503 }) } });
    await assert.rejects(it.pull(), {
      code: "unreachable",
      message: "Cannot fetch onnx/model.onnx of org/model, tried 6 times: the hub answers 503",
    });
  });

  it("that breaks off at one place again and again is not taken up for ever", async () => {
    await using it = await world({ mishaps: { [graph]: Array(12).fill({ breakAfter: 100_000, ranges: false }) } });
    await assert.rejects(it.pull(), { code: "unreachable", message: /^Cannot fetch .*, tried 6 times: / });
  });

  it("that brings fewer or more bytes than the hub promised is not taken up for ever", async () => {
    for (const size of [299_999, 300_001]) {
      await using it = await world({ sizes: { [graph]: size } });
      await assert.rejects(it.pull(), { code: "unreachable", message: /^Cannot fetch .*, tried 6 times: / });
    }
  });

  it("is given up when the caller goes", async () => {
    await using it = await world({ mishaps: { [graph]: ["silence"] } });
    const gone = new AbortController();
    const reason = new Error("gone");
    const onProgress: PullOptions["onProgress"] = (files) => {
      if (files.some(({ path, received }) => path === graph && received > 0)) gone.abort(reason);
    };
    await assert.rejects(it.pull({ signal: gone.signal, onProgress }), reason);
  });

  it("to a hub that is not there is an error that says so", async () => {
    await using it = await world();
    await it.hub[Symbol.asyncDispose]();
    await assert.rejects(it.pull(), {
      code: "unreachable",
      message: /Cannot ask what is in org\/model, tried 6 times/,
    });
  });
});

describe("what came", () => {
  it("is checked, thrown away when it is wrong, and fetched once more", async () => {
    await using it = await world({ mishaps: { "onnx/model.onnx": ["wrong bytes"], "config.json": ["wrong bytes"] } });
    const { folder } = await it.pull();
    assert.deepEqual(new Uint8Array(await readFile(`${folder}/onnx/model.onnx`)), GRAPH);
    assert.equal(await readFile(`${folder}/config.json`, "utf8"), "{}");
  });

  it("is refused when it is wrong again, and neither linked nor kept", async () => {
    await using it = await world({ mishaps: { "onnx/model.onnx": ["wrong bytes", "wrong bytes"] } });
    await assert.rejects(it.pull(), { code: "corrupt", message: /onnx\/model\.onnx of org\/model.*another checksum/ });
    const repository = `${it.cache}/models--org--model`;
    await assert.rejects(lstat(`${repository}/snapshots/${COMMIT}/onnx/model.onnx`), { code: "ENOENT" });
    await assert.rejects(lstat(`${repository}/refs/main`), { code: "ENOENT" });
    assert.ok((await it.pull()).files.includes("onnx/model.onnx"));
  });

  it("does not fit on a full disk, which is told, and goes on where there is room again", async (context) => {
    await using it = await world();
    const disk = `${await temporaryFolder()}/disk`;
    await onSmallDisk(context, disk, async (cache) => {
      await assert.rejects(it.pull({ hub: cache }), {
        code: "disk",
        message: "Cannot write onnx/model.onnx of org/model: the disk is full; the file has 300000 bytes, " +
          "and what came of it is kept for the next time",
      });
      execFileSync("mount", ["-o", "remount,size=2m", cache]);
      const { folder } = await it.pull({ hub: cache });
      assert.deepEqual(new Uint8Array(await readFile(`${folder}/onnx/model.onnx`)), GRAPH);
      const rest = it.hub.downloads().find((download) => download.startsWith("onnx/model.onnx bytes="));
      assert.ok(Number(rest!.match(/\d+/)![0]) > 0, "it fetched the rest");
    }, "128k");
  });
});

describe("two pulls of one model at once", () => {
  it("fetch every file once", async () => {
    await using it = await world();
    await Promise.all([it.pull(), it.pull(), it.pull()]);
    const downloads = it.hub.downloads();
    assert.equal(new Set(downloads).size, downloads.length, downloads.join("\n"));
    const { folder } = await it.pull();
    assert.deepEqual(new Uint8Array(await readFile(`${folder}/onnx/model.onnx`)), GRAPH);
  });
});

describe("a token", () => {
  it("goes to the hub and not to where it sends for large files", async () => {
    await using it = await world({ token: "secret" });
    await it.pull({ token: "secret" });
    for (const { host, authorization } of it.hub.requests) {
      assert.equal(authorization, host === "hub" ? "Bearer secret" : undefined);
    }
    assert.ok(it.hub.requests.some(({ host }) => host === "content"));
  });

  it("that is missing or not good enough is told", async () => {
    await using it = await world({ token: "secret" });
    await assert.rejects(it.pull(), { code: "refused", message: /gated.*HF_TOKEN.*Access is restricted/ });
    await assert.rejects(it.pull({ token: "other" }), { code: "refused", message: /the token may not read it/ });
  });
});

describe("pull refuses", () => {
  it("what the hub does not have", async () => {
    await using it = await world();
    await assert.rejects(it.pull({ id: "org/other" }), {
      code: "not_found",
      message: /Cannot fetch org\/other at main/,
    });
    await assert.rejects(it.pull({ revision: "v9" }), { code: "not_found", message: /there is no such revision/ });
  });

  it("what is no hub", async () => {
    for (
      const answer of [null, {}, "<html>", { sha: COMMIT }, { sha: COMMIT, siblings: [null, {}, { rfilename: 7 }] }]
    ) {
      await using it = await world({ answer });
      await assert.rejects(it.pull(), { name: "PullError" }, JSON.stringify(answer));
    }
    for (const size of [-1, "many", ""]) {
      await using it = await world({ sizes: { "onnx/model.onnx": size } });
      await assert.rejects(it.pull(), { code: "unreachable", message: /the hub names no checksum or size/ });
    }
  });

  it("a redirect to what is no server, or without end", async () => {
    for (const location of ["file:///etc/hostname", "data:text/plain,weights", "http://"]) {
      await using it = await world({ location });
      const message = new RegExp(`Cannot follow a redirect to what is no HTTP URL: .* sends to ${location}$`);
      await assert.rejects(it.pull(), { name: "PullError", code: "unreachable", message });
    }
    await using it = await world({ location: "#again" });
    await assert.rejects(it.pull(), { code: "unreachable", message: /^Cannot follow more than 10 redirects: / });
  });

  it("a token that no header can have and an endpoint with a password, without telling them", async () => {
    await using it = await world();
    for (const options of [{ token: "hf_secret\nx" }, { endpoint: "https://name:secret@hub" }]) {
      await assert.rejects(it.pull(options), ({ name, message }: Error) => {
        assert.equal(name, "TypeError");
        assert.ok(!message.includes("secret"), message);
        return true;
      });
    }
  });

  it("a model without a graph or tokenizer, and an adapter without weights", async () => {
    const { "config.json": config, "onnx/model.onnx": graph } = FILES as Record<string, Uint8Array>;
    const cases: [Record<string, Uint8Array>, RegExp][] = [
      [{ "config.json": config!, "model.safetensors": graph! }, /no ONNX graph.*onnx-community\/model-ONNX/],
      [{ "config.json": config!, "model.onnx": graph! }, /it has no tokenizer\.json/],
      [{ "adapter_config.json": config! }, /an adapter without adapter_model\.safetensors/],
    ];
    for (const [files, message] of cases) {
      await using it = await world({ files, large: [] });
      await assert.rejects(it.pull(), { code: "not_found", message });
    }
  });

  it("names, revisions, endpoints and options that are none", async () => {
    await using it = await world();
    for (
      const wrong of [
        { id: "../x" },
        { id: "a/b/c" },
        { id: "org/model@v1" },
        { revision: "../../x" },
        { revision: "" },
        { endpoint: "ftp://hub" },
        { endpoint: "https://name:password@hub" },
        { endpoint: "https://hub?x" },
        { endpoint: "https://hub/#x" },
        { dtypes: "q4" },
      ]
    ) {
      await assert.rejects(it.pull(wrong as Partial<PullOptions>), { name: "TypeError" }, JSON.stringify(wrong));
    }
    assert.equal(it.hub.requests.length, 0);
  });

  it("to write where it may not", async () => {
    await using it = await world();
    await mkdir(it.cache);
    await writeFile(`${it.cache}/models--org--model`, "a file");
    await assert.rejects(it.pull(), { code: "disk" });
  });
});
