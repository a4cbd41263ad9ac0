/**
 * `/openapi.json` is true: it is a document, it has every route and no other, and what a running server takes and answers
 * is what it says.
 */

import assert from "node:assert/strict";
import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { SseParser } from "../../src/cache/stream/sse.ts";
import type { RunningServer } from "../../src/compose/server.ts";
import { arrowsFrom, pathOf, sourceFiles } from "../house/module_graph.ts";
import { ERROR_CODES } from "../../src/http/openapi/schemas/common.ts";
import { copyModel, KJV_TINY } from "../support/models.ts";
import { type OpenApi, OpenApiChecker, type RegisteredRoute, routesAddedBy } from "../support/openapi.ts";
import { HERE } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { testServer } from "./support.ts";

const ROOT = { id: "root", key: "root", scopes: ["models", "proxy", "cache", "status", "admin"] } as const;
const USER = "user=user";
const UPSTREAMS = ["anthropic", "google", "nowhere", "openai"];

let server: RunningServer;
let registered: readonly RegisteredRoute[];
let document: OpenApi;
let checker: OpenApiChecker;

before(async () => {
  const models = await temporaryFolder();
  await copyModel(models, "kjv-tiny");
  const encoder = await copyModel(models, "kjv-encoder");
  await copyFile(join(KJV_TINY, "onnx/encoder.onnx"), join(encoder, "onnx/model.onnx"));
  [server, registered] = await routesAddedBy(async () =>
    await testServer({
      models,
      cache: await temporaryFolder(),
      apiKey: [ROOT, USER],
      upstreams: { nowhere: { url: "http://127.0.0.1:9" } },
    })
  );
  document = await (await fetch(`${server.url}/openapi.json`)).json();
  checker = new OpenApiChecker(document);
});
after(() => server.stop());

/** A request, and whether its answer is as it is described; its body, read as its type says. */
async function ask(
  method: string,
  path: string,
  { body, key = "root", headers = {} }: {
    readonly body?: unknown;
    readonly key?: string;
    readonly headers?: Record<string, string>;
  } = {},
  // deno-lint-ignore no-explicit-any -- tests read what they know is there
): Promise<{ status: number; body: any }> {
  const response = await fetch(`${server.url}${path}`, {
    method,
    redirect: "manual",
    headers: {
      ...key !== "" && { Authorization: `Bearer ${key}` },
      ...body !== undefined && { "Content-Type": "application/json" },
      ...headers,
    },
    ...body !== undefined && { body: JSON.stringify(body) },
  });
  const text = await response.text();
  const { status } = response;
  const type = response.headers.get("Content-Type") ?? "";
  const [bare = ""] = path.split("?");
  if (type.includes("event-stream")) {
    const events = new SseParser().push(new TextEncoder().encode(text)).filter(({ data }) => data !== "[DONE]");
    assert.ok(events.length > 0);
    const chunks = events.map(({ data }) => JSON.parse(data));
    for (const chunk of chunks) checker.checkAnswer(method, bare, status, type, chunk);
    return { status, body: chunks };
  }
  const read = type.includes("json") ? JSON.parse(text) : text;
  checker.checkAnswer(method, bare, status, type, read);
  return { status, body: read };
}

describe("/openapi.json", () => {
  it("is an OpenAPI 3.1 document, in the eyes of somebody else's validator", async () => {
    const { valid, errors } = await new Validator().validate(document as never);
    assert.deepEqual([valid, errors], [true, undefined]);
    assert.match((document as unknown as { openapi: string }).openapi, /^3\.1\./);
  });

  it("has every route of the server, and no other", () => {
    const isProxy = (path: string): boolean => UPSTREAMS.some((name) => path === `/${name}/*`);
    const methods = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    const routes = registered.flatMap(({ method, path }) => {
      // What takes all methods besides the proxy only refuses those that a path does not take, or stands before routes.
      if (method === "ALL") return isProxy(path) ? methods.map((each) => `${each} ${path.replace("*", "{}")}`) : [];
      return [`${method} ${path.replaceAll(/:\w+(?:\{\.\+([^}]*)\})?/g, "{}$1")}`];
    });
    const described = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{[^}]+\}/g, "{}")}`)
    );
    assert.deepEqual([...new Set(described)].sort(), [...new Set(routes)].sort());
  });

  it("names every operation once", () => {
    const ids = Object.values(document.paths).flatMap((item) => Object.values(item)).map((each) => each.operationId);
    assert.equal(new Set(ids).size, ids.length);
  });

  it("has examples that fit their own schemas", () => {
    for (const [path, item] of Object.entries(document.paths)) {
      for (const [method, { requestBody }] of Object.entries(item)) {
        for (const [type, { example }] of Object.entries(requestBody?.content ?? {})) {
          if (example !== undefined) assert.ok(checker.takes(method, path, example, type), `${method} ${path}`);
        }
      }
    }
  });

  it("knows the code of every error", async () => {
    const files = [...await sourceFiles("src/http"), "src/model/error.ts"];
    const sources = await Promise.all(files.map((file) => readFile(pathOf(file), "utf8")));
    const codes = sources.flatMap((source) => [...source.matchAll(/\bcode: "([a-z_]+)"|^\s+\| "([a-z_]+)";?$/gm)]);
    const internal = ["custom", "prompt_too_long", "invalid_request", "queue_full"];
    const own = codes.map(([, said, named]) => said ?? named!).filter((code) => !internal.includes(code));
    assert.ok(own.length > 30);
    assert.deepEqual([...new Set(own)].filter((code) => !Object.hasOwn(ERROR_CODES, code)), []);
  });

  it("says which scope a key needs, and the server asks for it", async () => {
    for (const [path, item] of Object.entries(document.paths)) {
      if (path.includes("{")) continue;
      for (const [method, { security }] of Object.entries(item)) {
        const response = await fetch(`${server.url}${path}`, { method: method.toUpperCase(), redirect: "manual" });
        await response.body?.cancel();
        const isOpen = security.length === 0;
        assert.equal(response.status === 401, !isOpen, `${method} ${path}`);
      }
    }
  });

  it("says of a server without keys that all is open but /admin", async () => {
    await using open = await testServer({ cache: await temporaryFolder() });
    const { paths }: OpenApi = await (await fetch(`${open.url}/openapi.json`)).json();
    const isOpen = (path: string, method: string): boolean => {
      const { security } = paths[path]![method]!;
      return security.length === 0 || security.some((each) => Object.keys(each).length === 0);
    };
    assert.deepEqual([isOpen("/v1/models", "get"), isOpen("/stats", "get"), isOpen("/admin/models", "get")], [
      true,
      true,
      false,
    ]);
  });
});

describe("what makes the document", { skip: HERE === "deno" ? false : "read with Deno" }, () => {
  /** What is loaded with a module, before anybody asks for anything. */
  async function loadedWith(entry: string): Promise<ReadonlySet<string>> {
    const arrows = (await arrowsFrom([entry])).filter(({ dynamic, typeOnly }) => !dynamic && !typeOnly);
    const reached = new Set([entry]);
    for (const from of reached) {
      for (const arrow of arrows) if (arrow.from === from) reached.add(arrow.to);
    }
    return reached;
  }

  it("is loaded with neither the library nor the server, but when it is asked for", async () => {
    for (const entry of ["mod.ts", "server.ts", "src/compose/client.ts"]) {
      const heavy = [...await loadedWith(entry)].filter((module) =>
        /zod-openapi|openapi\/(?!openapi_routes)/.test(module)
      );
      assert.deepEqual(heavy, [], entry);
    }
    assert.ok((await loadedWith("server.ts")).has("src/http/openapi/openapi_routes.ts"));
  });
});

describe("what a running server answers is what the document says", () => {
  const text = { model: "kjv-tiny", prompt: ["And Moses", "In the"], max_tokens: 3, temperature: 0 };
  const chat = { model: "kjv-tiny", messages: [{ role: "user", content: "Who?" }], max_tokens: 3, temperature: 0 };

  it("for texts, whole and in chunks, with and without log-probabilities", async () => {
    for (
      const body of [
        text,
        { ...text, logprobs: 2, echo: true },
        { ...text, n: 2, temperature: 1, seed: 3, stream: true },
        { ...text, logprobs: 1, stream: true, stream_options: { include_usage: true }, keep_alive: "10m" },
      ]
    ) {
      assert.ok(checker.takes("post", "/v1/completions", body));
      assert.equal((await ask("POST", "/v1/completions", { body })).status, 200);
    }
  });

  it("for conversations", async () => {
    for (
      const body of [
        chat,
        { ...chat, logprobs: true, top_logprobs: 2 },
        { ...chat, stream: true },
        { ...chat, logprobs: true, stream: true, stream_options: { include_usage: true } },
      ]
    ) {
      assert.ok(checker.takes("post", "/v1/chat/completions", body));
      assert.equal((await ask("POST", "/v1/chat/completions", { body })).status, 200);
    }
  });

  it("for embeddings and models", async () => {
    for (const encoding_format of ["float", "base64"]) {
      const body = { model: "kjv-encoder", input: ["a", "b"], encoding_format };
      assert.ok(checker.takes("post", "/v1/embeddings", body));
      assert.equal((await ask("POST", "/v1/embeddings", { body })).status, 200);
    }
    for (const path of ["/v1/models", "/v1/models/kjv-tiny", "/v1/models/kjv-tiny+fortunes"]) {
      assert.equal((await ask("GET", path)).status, 200);
    }
  });

  it("for suites of probes", async () => {
    const side = { kind: "hf", base: "kjv-tiny" };
    const spec = {
      version: 1,
      models: { base: side, ft: { ...side, adapter: "fortunes" } },
      suite: [
        { kind: "null_adapter", name: "null", runs: 2 },
        { kind: "delta_kl", name: "dk", prompts: ["And Moses"] },
      ],
    };
    for (const [path, body] of [["/run", { spec, seed: 1 }], ["/score", { spec, probe_names: ["dk"] }]] as const) {
      assert.ok(checker.takes("post", path, body));
      assert.equal((await ask("POST", path, { body })).status, 200);
    }
  });

  it("for the cache", async () => {
    assert.equal((await ask("GET", "/cache/stats")).status, 200);
    for (const request of [text, { ...text, prompt: "And Moses" }, { ...text, prompt: "And Moses said" }]) {
      const body = { request, provider: "local", endpoint: "/v1/completions" };
      assert.ok(checker.takes("post", "/cache/explain", body));
      assert.equal((await ask("POST", "/cache/explain", { body })).status, 200);
    }
  });

  it("for the server itself", async () => {
    for (const path of ["/livez", "/readyz", "/stats", "/metrics", "/openapi.json", "/docs", "/", "/login"]) {
      const { status } = await ask("GET", path);
      assert.equal(status, 200, path);
    }
    for (const key of ["root", ""]) assert.equal((await ask("GET", "/health", { key })).status, 200);
  });

  it("for operators", async () => {
    const model = "kjv-tiny";
    for (
      const [name, body, status] of [
        ["load", { model, keep_alive: 60 }, 202],
        ["load", { model, wait: true }, 200],
        ["pin", { model, wait: true }, 200],
        ["unpin", { model }, 200],
        ["unload", { model, wait: true, force: true }, 200],
        ["unload", { model: "nowhere", wait: true }, 200],
      ] as const
    ) {
      assert.ok(checker.takes("post", `/admin/models/${name}`, body));
      assert.equal((await ask("POST", `/admin/models/${name}`, { body })).status, status, name);
    }
    assert.equal((await ask("GET", "/admin/models")).status, 200);
    assert.equal((await ask("GET", "/admin/models/kjv-tiny%2Bfortunes/load-status")).status, 200);
    const body = { tag: "none" };
    assert.equal((await ask("POST", "/admin/cache/invalidate", { body })).status, 200);
  });

  it("for events", async () => {
    const response = await fetch(`${server.url}/admin/events`, {
      headers: { Authorization: "Bearer root", "Last-Event-ID": "0-0" },
    });
    const reader = response.body!.getReader();
    const parser = new SseParser();
    const types = new Set<string>();
    while (!types.has("evicted")) {
      const { value } = await reader.read();
      for (const { data } of parser.push(value!)) {
        types.add(JSON.parse(data).type);
        checker.checkAnswer("get", "/admin/events", 200, response.headers.get("Content-Type")!, JSON.parse(data));
      }
    }
    await reader.cancel();
    assert.ok(types.has("gap") && types.has("connected") && types.has("loading") && types.has("unpinned"));
  });

  it("for errors", async () => {
    for (
      const [status, method, path, options] of [
        [401, "GET", "/v1/models", { key: "" }],
        [403, "GET", "/admin/models", { key: "user" }],
        [404, "GET", "/v1/models/nowhere", {}],
        [404, "POST", "/v1/completions", { body: { ...text, model: "nowhere" } }],
        [400, "POST", "/run", { body: { spec: {} } }],
        [415, "POST", "/admin/models/load", { body: {}, headers: { "Content-Type": "text/plain" } }],
        [415, "POST", "/cache/v1/calls", { body: {} }],
        [503, "POST", "/v1/completions", { body: { ...text, prompt: "x", model: "kjv-tiny", only_if_warm: true } }],
        [504, "POST", "/v1/completions", {
          body: { ...text, prompt: "never asked" },
          headers: { "Cache-Control": "only-if-cached" },
        }],
        [502, "GET", "/nowhere/v1/models", { headers: { "X-Warmcache-Key": "root" } }],
      ] as const
    ) {
      assert.equal((await ask(method, path, options)).status, status, path);
    }
  });

  it("and what it refuses as it is written, the document refuses, too", async () => {
    for (
      const [path, body] of [
        ["/v1/completions", {}],
        ["/v1/completions", { ...text, temperature: 3 }],
        ["/v1/completions", { ...text, n: 0 }],
        ["/v1/completions", { ...text, top_p: 0 }],
        ["/v1/completions", { ...text, stop: [""] }],
        ["/v1/completions", { ...text, only_if_warm: "yes" }],
        ["/v1/completions", { ...text, keep_alive: [] }],
        ["/v1/chat/completions", { ...chat, messages: [] }],
        ["/v1/chat/completions", { ...chat, messages: [{ role: "nobody", content: "a" }] }],
        ["/v1/chat/completions", { ...chat, top_logprobs: 21 }],
        ["/v1/embeddings", { model: "kjv-encoder", input: "a", encoding_format: "text" }],
        ["/v1/embeddings", { model: "kjv-encoder", input: "a", dimensions: 0 }],
        ["/run", { spec: { version: 2 } }],
        ["/run", { spec: { version: 1, models: { base: { base: "a" } } } }],
        ["/score", { spec: {}, probe_names: [] }],
        ["/cache/explain", { request: [] }],
        ["/cache/explain", { request: {}, more: 1 }],
        ["/admin/models/load", { model: "kjv-tiny", wait: 1 }],
        ["/admin/models/unload", { model: "kjv-tiny", keep_alive: 1 }],
        ["/admin/cache/invalidate", { tag: 1 }],
      ] as const
    ) {
      const told = `${path} ${JSON.stringify(body)}`;
      assert.equal(checker.takes("post", path, body), false, told);
      assert.equal((await ask("POST", path, { body })).status, 400, told);
    }
  });
});
