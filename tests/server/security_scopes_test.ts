/** What each key opens: every route that the server describes, and those of its proxy, are asked with every key. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, it } from "node:test";
import type { RunningServer } from "../../src/compose/server.ts";
import { KEY_SCOPES, type KeyScope } from "../../src/http/auth.ts";
import { startUpstream, type Upstream } from "../support/upstream/upstream.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { getJson, testServer } from "./support.ts";

/** Routes that answer anybody. */
const OPEN = [
  "GET /livez",
  "GET /readyz",
  "GET /health",
  "GET /openapi.json",
  "GET /docs",
  "GET /dashboard",
  "GET /login",
  "POST /login",
  "POST /dashboard/logout",
  "POST /dashboard/theme",
];

/** Also what pages are drawn with, which is the same for all. */
function isOpen(route: string): boolean {
  return OPEN.includes(route) || /^GET \/(?:dashboard|docs)\/[a-z]+\.(?:css|js|svg)$/.test(route);
}

function scopeOf(path: string): KeyScope {
  if (/^\/(?:v1|run|score)(?:\/|$)/.test(path)) return "models";
  if (/^\/cache\//.test(path)) return "cache";
  if (/^\/admin\//.test(path)) return "admin";
  if (/^\/(?:$|stats$|metrics$|dashboard(?:\/|$))/.test(path)) return "status";
  return "proxy";
}

describe("a key's scopes", () => {
  let server: RunningServer;
  let upstream: Upstream;
  let routes: string[];
  before(async () => {
    upstream = await startUpstream();
    const cache = await temporaryFolder();
    const apiKey = KEY_SCOPES.map((scope) => ({ id: scope, key: `key-of-${scope}`, scopes: [scope] }));
    server = await testServer({
      models: await temporaryFolder(),
      hub: false,
      cache,
      apiKey: [...apiKey, "plain=key-of-plain"],
      upstreams: { openai: { url: upstream.url, apiKey: "sk-of-the-server" } },
    });
    const { paths } = await getJson(server, "/openapi.json");
    routes = [
      ...Object.entries(paths as Record<string, object>).flatMap(([path, methods]) =>
        Object.keys(methods)
          .filter((method) => /^(?:get|post|put|delete|patch)$/.test(method))
          .map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{[^}]+\}/g, "x")}`)
      ),
      "GET /",
      "GET /dashboard/events",
      "GET /dashboard/requests",
      "GET /dashboard/requests/x",
      "GET /dashboard/explain",
      "POST /dashboard/explain",
      "GET /openai/v1/models",
      "POST /openai/v1/chat/completions",
      "DELETE /openai/v1/files/x",
    ];
  });
  after(async () => {
    await server.stop();
    await upstream.close();
  });

  async function ask(route: string, headers: Record<string, string>): Promise<{ status: number; text: string }> {
    const [method = "", path = ""] = route.split(" ");
    const leaving = new AbortController();
    const response = await fetch(`${server.url}${path}`, {
      method,
      headers: { ...headers, ...(method === "POST" && { "Content-Type": "application/json" }) },
      body: method === "POST" ? "{}" : null,
      redirect: "manual",
      signal: leaving.signal,
    });
    const isStream = response.headers.get("Content-Type")?.startsWith("text/event-stream") ?? false;
    if (!isStream) return { status: response.status, text: await response.text() };
    leaving.abort();
    return { status: response.status, text: "" };
  }
  const isRefused = ({ status }: { readonly status: number }): boolean => status === 401 || status === 403;

  it("are asked for on every route but those that tell nothing", async () => {
    assert.ok(routes.length > 20, routes.join());
    for (const route of routes) {
      const answer = await ask(route, {});
      if (route.startsWith("GET") && isOpen(route)) {
        assert.ok(!isRefused(answer), `${route}: ${answer.status}`);
      } else if (!isOpen(route)) assert.equal(answer.status, 401, route);
    }
  });

  it("open what is theirs, and nothing else", async () => {
    for (const route of routes.filter((route) => !isOpen(route))) {
      const wanted = scopeOf(route.split(" ")[1]!);
      for (const scope of KEY_SCOPES) {
        const own = { "X-Warmcache-Key": `key-of-${scope}` };
        // Where the server has no credential, `Authorization` is the provider's.
        const isTheirs = wanted === "proxy" && !route.includes("/openai/");
        for (const headers of [own, ...isTheirs ? [] : [{ Authorization: `Bearer key-of-${scope}` }]]) {
          const answer = await ask(route, headers);
          if (scope === wanted) {
            assert.ok(!isRefused(answer), `${route} with ${scope}: ${answer.status} ${answer.text}`);
          } else assert.equal(answer.status, 403, `${route} with ${scope}`);
        }
      }
    }
  });

  it("are all but admin where a key says nothing", async () => {
    for (const route of routes.filter((route) => !isOpen(route))) {
      const answer = await ask(route, { Authorization: "Bearer key-of-plain" });
      const isAdmin = scopeOf(route.split(" ")[1]!) === "admin";
      assert.equal(answer.status === 403, isAdmin, `${route}: ${answer.status}`);
    }
  });

  it("decide how much /health tells", async () => {
    const health = async (headers: Record<string, string>): Promise<string[]> =>
      Object.keys(await (await fetch(`${server.url}/health`, { headers })).json());
    const short = ["status", "version"];
    assert.deepEqual(await health({}), short);
    assert.deepEqual(await health({ Authorization: "Bearer wrong" }), short);
    assert.deepEqual(await health({ Authorization: "Bearer key-of-models" }), short);
    assert.ok((await health({ Authorization: "Bearer key-of-status" })).includes("loaded_models"));
  });
});

describe("a server without keys", () => {
  it("opens everything to this machine but /admin, and says what that needs", async () => {
    await using server = await testServer({
      models: await temporaryFolder(),
      hub: false,
      cache: await temporaryFolder(),
    });
    for (const path of ["/v1/models", "/stats", "/metrics", "/cache/stats", "/", "/health"]) {
      const response = await fetch(`${server.url}${path}`);
      assert.equal(response.status, 200, path);
      await response.text();
    }
    const response = await fetch(`${server.url}/admin/models`);
    assert.equal(response.status, 403);
    assert.match((await response.json()).error.message, /start it with --admin-key/);
  });
});

describe("an API key", () => {
  it("may be given by its digest, so that the settings have no secret in them", async () => {
    const sha256 = createHash("sha256").update("kept elsewhere").digest("hex");
    await using server = await testServer({
      models: await temporaryFolder(),
      hub: false,
      cache: await temporaryFolder(),
      apiKey: [{ id: "ci", sha256, scopes: ["models"] }],
    });
    for (const [key, status] of [["kept elsewhere", 200], [sha256, 401], ["ci", 401], [`ci=${sha256}`, 401]] as const) {
      const response = await fetch(`${server.url}/v1/models`, { headers: { Authorization: `Bearer ${key}` } });
      assert.equal(response.status, status, key);
      await response.text();
    }
  });

  it("is warned of where it is short enough to be guessed and others can reach the server", async () => {
    for (
      const [host, key, isWarned] of [
        ["0.0.0.0", "weak=hunter2", true],
        ["0.0.0.0", "long=0123456789abcdef", false],
        ["127.0.0.1", "weak=hunter2", false],
      ] as const
    ) {
      const lines: string[] = [];
      const log = (level: string, message: string): void => void (level === "warn" && lines.push(message));
      const folders = { models: await temporaryFolder(), hub: false as const, cache: await temporaryFolder() };
      await (await testServer({ ...folders, host, apiKey: key, log })).stop();
      assert.equal(lines.some((line) => /weak/.test(line) && /openssl rand/.test(line)), isWarned, `${host} ${key}`);
      assert.ok(!lines.join().includes("hunter2"));
    }
  });
});
