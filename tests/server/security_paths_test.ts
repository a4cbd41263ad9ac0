/** Nothing that a request says is opened as a path, run as code or asked as an address outside of what was set up. */

import assert from "node:assert/strict";
import { cp, mkdir, realpath, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import { type RunningServer, startServerOn } from "../../src/compose/server.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Files } from "../../src/runtime/runtime.ts";
import { KJV_TINY } from "../support/models.ts";
import { rawRequest } from "../support/raw_request.ts";
import { startUpstream, type Upstream } from "../support/upstream/upstream.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { getJson, post } from "./support.ts";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** Names that would lead out of the models folder, to what lies there, if anything followed them. */
const HOSTILE = [
  "../outside/kjv-tiny",
  "kjv-tiny/../../outside/kjv-tiny",
  "..\\outside\\kjv-tiny",
  "..%2foutside%2fkjv-tiny",
  "%2e%2e/outside/kjv-tiny",
  "..%252foutside%252fkjv-tiny",
  "..%c0%afoutside%c0%afkjv-tiny",
  "．．/outside/kjv-tiny",
  "./kjv-tiny",
  "kjv-tiny/",
  "kjv-tiny//",
  "/kjv-tiny",
  "//outside/kjv-tiny",
  "~/kjv-tiny",
  "kjv-tiny\0",
  "kjv-tiny\0.onnx",
  "kjv-tiny\n",
  " kjv-tiny",
  ".",
  "..",
  ".hidden",
  "C:\\outside\\kjv-tiny",
  "kjv-tiny::$DATA",
  "kjv-tiny:../../outside",
  "kjv-tiny@../../outside",
  "kjv-tiny@main/../../../outside",
  "kjv-tiny@",
  "kjv-tiny+../../outside/kjv-tiny/adapters/fortunes",
  "kjv-tiny+../adapters/fortunes",
  "kjv-tiny+/fortunes",
  "kjv-tiny+.",
  "kjv-tiny+..",
  "kjv-tiny+fortunes\0",
  "kjv-tiny+fortunes+fortunes",
  "linked",
  "half",
  "kjv-tiny+linked",
  "org/repo",
  "org/repo@escaped",
  "file:///etc/passwd",
  "http://127.0.0.1:9/model",
  "$(id)",
  "`id`",
  "kjv-tiny;id",
  "kjv-tiny | id",
  "{{7*7}}",
  "__proto__",
  "constructor",
  "a".repeat(10_000),
  "../".repeat(1000),
];

describe("a name in a request", () => {
  let server: RunningServer;
  let upstream: Upstream;
  let root: string;
  /** Every path that the server has handed to the system, links followed. */
  let opened: string[];
  const realFetch = globalThis.fetch;
  let fetched: string[];

  before(async () => {
    root = await realpath(await temporaryFolder());
    const [models, outside, hub] = [join(root, "models"), join(root, "outside"), join(root, "hub")];
    for (const folder of [models, outside]) await cp(KJV_TINY, join(folder, "kjv-tiny"), { recursive: true });
    await writeFile(join(outside, "secret.txt"), "the secret of the outside");
    // As somebody could leave them who may write to the folder, or whose archive was unpacked there.
    await symlink(join(outside, "kjv-tiny"), join(models, "linked"));
    await mkdir(join(models, "half", "onnx"), { recursive: true });
    for (const name of ["config.json", "tokenizer.json"]) {
      await symlink(join(outside, "kjv-tiny", name), join(models, "half", name));
    }
    await symlink(join(outside, "kjv-tiny", "onnx", "model.onnx"), join(models, "half", "onnx", "model.onnx"));
    await symlink(
      join(outside, "kjv-tiny", "adapters", "fortunes"),
      join(models, "kjv-tiny", "adapters", "linked"),
    );
    const repository = join(hub, "models--org--repo");
    await mkdir(join(repository, "refs"), { recursive: true });
    await mkdir(join(repository, "snapshots"), { recursive: true });
    await writeFile(join(repository, "refs", "escaped"), "../../../outside/kjv-tiny");
    await writeFile(join(repository, "refs", "main"), COMMIT);
    await symlink(join(outside, "kjv-tiny"), join(repository, "snapshots", COMMIT));
    upstream = await startUpstream();
    const runtime = await loadRuntime();
    opened = [];
    const machine = {
      ...runtime,
      files: watched(runtime.files, (path) => opened.push(path)),
      digestFile: (path: string) => {
        opened.push(path);
        return runtime.digestFile(path);
      },
    };
    server = await startServerOn(machine, {
      port: 0,
      models,
      hub,
      cache: join(root, "cache"),
      upstreams: { openai: { url: upstream.url } },
      apiEndpoints: { lab: upstream.url },
    });
  });
  after(async () => {
    await server.stop();
    await upstream.close();
  });
  beforeEach(() => {
    opened.length = 0;
    fetched = [];
    globalThis.fetch = (input, init) => {
      const url = input instanceof Request ? input.url : String(input);
      if (!url.startsWith(server.url)) fetched.push(url);
      return realFetch(input, init);
    };
  });
  after(() => {
    globalThis.fetch = realFetch;
  });

  /** Fails where anything was read that does not lie in a folder that the server was given. */
  async function assertAllInside(what: string): Promise<void> {
    const roots = ["models", "hub", "cache"].map((name) => join(root, name));
    for (const path of new Set(opened)) {
      assert.ok(!path.includes("\0"), `${what}: ${JSON.stringify(path)}`);
      const absolute = resolve(path);
      const within = (place: string): boolean => roots.some((each) => place === each || place.startsWith(`${each}/`));
      assert.ok(within(absolute), `${what}: ${absolute}`);
    }
    opened.length = 0;
    assert.deepEqual(fetched, [], what);
    await Promise.resolve();
  }

  async function assertRefused(response: Response, what: string): Promise<void> {
    const text = await response.text();
    assert.ok(response.status === 400 || response.status === 404, `${what}: ${response.status} ${text.slice(0, 200)}`);
    assert.ok(!text.includes(root), `${what}: it tells where the folders are: ${text.slice(0, 300)}`);
    assert.ok(!text.includes("the secret of the outside"), what);
    await assertAllInside(what);
  }

  it("leads to what is in the models folder", async () => {
    const response = await fetch(`${server.url}/v1/models/kjv-tiny+fortunes`);
    assert.equal(response.status, 200);
    await response.text();
    assert.ok(opened.includes(join(root, "models", "kjv-tiny")), "what is opened is seen here");
    const { data } = await getJson(server, "/v1/models");
    assert.deepEqual(data.map(({ id }: { id: string }) => id), ["kjv-tiny", "kjv-tiny+fortunes"]);
  });

  it("leads to no model outside of the models folder, whatever asks for it", async () => {
    for (const model of HOSTILE) {
      const what = JSON.stringify(model.slice(0, 60));
      for (
        const [path, body] of [
          ["/v1/completions", { model, prompt: "a", max_tokens: 1 }],
          ["/v1/chat/completions", { model, messages: [{ role: "user", content: "a" }], max_tokens: 1 }],
          ["/v1/embeddings", { model, input: "a" }],
        ] as const
      ) {
        await assertRefused(await post(server, path, body), `${path} ${what}`);
      }
      const encoded = encodeURIComponent(model.slice(0, 2000));
      await assertRefused(await fetch(`${server.url}/v1/models/${encoded}`), `/v1/models ${what}`);
    }
  });

  it("leads nowhere as it stands in a path, however it is written", async () => {
    for (
      const path of [
        "/v1/models/../../outside/secret.txt",
        "/v1/models/..%2f..%2foutside%2fsecret.txt",
        "/v1/models/%2e%2e/%2e%2e/outside/secret.txt",
        "/v1/models/%00",
        "/v1/models/kjv-tiny%00",
        "/v1/models/%",
        "/v1/models/%ff",
        "/v1/models/%2fetc%2fpasswd",
        "/docs/../../outside/secret.txt",
        "/docs/..%2f..%2foutside%2fsecret.txt",
        "/assets/..%2f..%2foutside%2fsecret.txt",
        "/dashboard/..%2f..%2foutside%2fsecret.txt",
        "/../outside/secret.txt",
        "//outside/secret.txt",
      ]
    ) {
      const { status, body } = await rawRequest(server, `GET ${path} HTTP/1.1`);
      assert.ok(status === 404 || status === 400, `${path}: ${status}`);
      assert.ok(!body.includes("the secret of the outside"), path);
      assert.ok(!body.includes(root), path);
      await assertAllInside(path);
    }
  });

  it("leads to no base and to no adapter outside, from a suite of probes", async () => {
    const suite = [{ kind: "delta_kl", prompts: ["a"] }];
    const sides = HOSTILE.flatMap((name) => [
      { base: name },
      { base: "kjv-tiny", adapter: name },
      { base: "kjv-tiny", adapter: name.replace("kjv-tiny+", "") },
    ]);
    for (const ft of sides) {
      const spec = { version: 1, models: { base: { base: "kjv-tiny" }, ft }, suite };
      const what = JSON.stringify(ft).slice(0, 100);
      for (const path of ["/run", "/score"]) await assertRefused(await post(server, path, { spec }), `${path} ${what}`);
    }
  });

  it("has no code run, and no file or address opened, that a suite of probes names", async () => {
    const base = { base: "kjv-tiny" };
    for (
      const side of [
        { ...base, adapter_path: "/outside/kjv-tiny/adapters/fortunes" },
        { ...base, adapter: "fortunes", adapter_path: "../../../outside" },
        { ...base, entry_point: "os:system" },
        { ...base, entry_point: "../../outside/secret.txt" },
        { ...base, kind: "custom", entry_point: "x:y" },
        { ...base, trust_remote_code: true },
        { ...base, kind: "constructor" },
        { ...base, kind: "__proto__" },
        { ...base, kind: "../api" },
        { ...base, path: "/etc/passwd" },
        { ...base, revision: "../../outside" },
        { ...base, device: "../webgpu" },
        { ...base, dtype: "../../outside/model" },
        { ...base, kind: "api", endpoint: "http://169.254.169.254/latest/meta-data" },
        { ...base, kind: "api", endpoint: "http://127.0.0.1:9" },
        { ...base, kind: "api", endpoint: "file:///etc/passwd" },
        { ...base, kind: "api", endpoint: `${upstream.url}/../elsewhere` },
        { ...base, kind: "api", endpoint: `${upstream.url}@evil.example` },
        { ...base, kind: "api", endpoint: "__proto__" },
        { ...base, endpoint: "lab" },
      ]
    ) {
      const suite = [{ kind: "delta_kl", prompts: ["a"] }];
      for (const models of [{ base, ft: side }, { base: side, ft: base }]) {
        const spec = { version: 1, models, suite };
        const what = JSON.stringify(side);
        for (const path of ["/run", "/score"]) await assertRefused(await post(server, path, { spec }), what);
      }
    }
    assert.equal(upstream.asked.length, 0);
  });

  it("is no path where it is only told again", async () => {
    const spec_path = "../../outside/secret.txt";
    const models = { base: { base: "kjv-tiny" }, ft: { base: "nowhere" } };
    const spec = { version: 1, models, suite: [{ kind: "delta_kl", prompts: ["a"] }] };
    await assertRefused(await post(server, "/run", { spec, spec_path }), "spec_path");
  });

  it("becomes a file of the cache's that lies in its folder, whatever a provider's model is called", async () => {
    upstream.answer = () =>
      Response.json({ choices: [{ index: 0, message: { role: "assistant", content: "It" }, finish_reason: "stop" }] });
    globalThis.fetch = realFetch;
    for (const model of ["../../outside/x", "/etc/passwd", "a\0b", "..", "con", "x".repeat(5000)]) {
      const body = { model, messages: [{ role: "user", content: "a" }] };
      const response = await post(server, "/openai/v1/chat/completions", body);
      assert.equal(response.status, 200);
      await response.text();
      const asked = await post(server, "/cache/explain", { request: body, provider: "openai", endpoint: model });
      await asked.text();
    }
    fetched = [];
    await assertAllInside("the cache");
  });
});

/** Files whose every path is told. */
function watched(files: Files, tell: (path: string) => void): Files {
  const told = Object.entries(files).map(([name, method]) => [
    name,
    (...args: unknown[]): unknown => {
      if (typeof args[0] === "string") tell(args[0]);
      return (method as (...args: unknown[]) => unknown).apply(files, args);
    },
  ]);
  return Object.fromEntries(told) as unknown as Files;
}
