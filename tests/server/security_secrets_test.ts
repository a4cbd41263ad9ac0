/**
 * No secret that a server is given, and none that its callers send, is anywhere but where it belongs: a whole session is
 * searched, every answer, the log, the cache's files and what errors have in them.
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { inspect } from "node:util";
import { type ServerOptions, startServerOn } from "../../src/compose/server.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { rawRequest } from "../support/raw_request.ts";
import { refusal, startUpstream } from "../support/upstream/upstream.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { post } from "./support.ts";

/** Each is in one place only, so that a leak is known by what leaked. */
const SECRETS = {
  apiKey: "warm-key-of-alice-0123456789",
  adminKey: "warm-key-of-root-0123456789",
  environmentKey: "warm-key-in-environment-01234",
  wrongKey: "warm-key-that-is-wrong-012345",
  upstreamKey: "sk-upstream-0123456789abcdef",
  upstreamEnvironmentKey: "sk-upstream-in-environment-01",
  endpointKey: "sk-endpoint-0123456789abcdef",
  bearer: "sk-caller-bearer-0123456789ab",
  header: "sk-caller-header-0123456789ab",
  query: "sk-caller-query-0123456789abc",
  basic: "c2stY2FsbGVyLWJhc2ljLTAxMjM0",
  cookie: "cookie-of-the-caller-01234567",
  prompt: "the prompt that nobody else reads",
  answer: "the answer that nobody else reads",
};

const { apiKey, adminKey, environmentKey, wrongKey } = SECRETS;

async function textsIn(folder: string): Promise<string> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile());
  return (await Promise.all(files.map(({ parentPath, name }) => readFile(join(parentPath, name), "latin1")))).join(
    "\n",
  );
}

function assertHasNone(text: string, names: readonly (keyof typeof SECRETS)[], where: string): void {
  for (const name of names) {
    const at = text.indexOf(SECRETS[name]);
    assert.equal(at, -1, `${where} has ${name}: …${text.slice(Math.max(0, at - 100), at + 60)}`);
  }
}

const ALL = Object.keys(SECRETS) as (keyof typeof SECRETS)[];
/** What no answer to anybody may have in it. */
const CREDENTIALS = ALL.filter((name) => name !== "prompt" && name !== "answer");

describe("a whole session", () => {
  it("leaves no secret in an answer, in the log or in the cache's files", async () => {
    const upstream = await startUpstream();
    const cache = await temporaryFolder();
    const log: string[] = [];
    const environment: Record<string, string> = { THE_KEY: environmentKey, UP_KEY: SECRETS.upstreamEnvironmentKey };
    const options: ServerOptions = {
      port: 0,
      models: await temporaryFolder(),
      hub: false,
      cache,
      apiKey: [
        `alice=${apiKey}`,
        { id: "root", key: adminKey, scopes: ["models", "proxy", "cache", "status", "admin"] },
        { id: "env", keyEnvironment: "THE_KEY" },
      ],
      upstreams: {
        openai: { url: upstream.url, apiKey: SECRETS.upstreamKey },
        other: { url: upstream.url, apiKeyEnvironment: "UP_KEY" },
        passing: { url: upstream.url },
        gone: { url: "http://127.0.0.1:9", apiKey: SECRETS.upstreamKey },
      },
      apiEndpoints: { lab: { url: upstream.url, apiKey: SECRETS.endpointKey } },
      log: (level, message, fields) => log.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`),
    };
    const runtime = await loadRuntime();
    const server = await startServerOn({ ...runtime, environment: (name) => environment[name] }, options);
    const heard: string[] = [];
    const hear = async (asked: Response | Promise<Response>): Promise<number> => {
      const response = await asked;
      heard.push(`${response.url} ${[...response.headers].join("\n")}\n${await response.text()}`);
      return response.status;
    };
    const as = (key: string): Record<string, string> => ({ "X-Warmcache-Key": key });

    // What there is to read for whoever may read everything, before and after something has happened.
    const readAll = async (): Promise<void> => {
      for (
        const path of [
          "/health",
          "/livez",
          "/readyz",
          "/stats",
          "/metrics",
          "/openapi.json",
          "/docs",
          "/",
          "/dashboard/requests",
          "/cache/stats",
          "/v1/models",
          "/admin/models",
          "/nowhere",
          `/nowhere?key=${SECRETS.query}`,
        ]
      ) {
        await hear(fetch(`${server.url}${path}`, { headers: as(adminKey) }));
        await hear(fetch(`${server.url}${path}`, { headers: as(wrongKey) }));
        await hear(fetch(`${server.url}${path}`, { headers: { Authorization: `Basic ${SECRETS.basic}` } }));
      }
    };
    await readAll();
    // Every place in which a credential may stand, for answers and for refusals, whole and as streams.
    upstream.mock.onMessage(SECRETS.prompt, { content: SECRETS.answer });
    const everywhere = {
      Authorization: `Bearer ${SECRETS.bearer}`,
      "x-api-key": SECRETS.header,
      Cookie: `theirs=${SECRETS.cookie}; warmcache_session=${SECRETS.cookie}`,
    };
    for (const provider of ["openai", "other", "passing", "gone"]) {
      for (const status of [200, 400, 401, 429, 500]) {
        upstream.answer = status === 200
          ? () => undefined
          : ({ headers }) =>
            refusal(status, `No such key: ${headers.get("Authorization")} ${headers.get("x-api-key")}`);
        for (const stream of [false, true]) {
          const messages = [{ role: "user", content: SECRETS.prompt }];
          const body = { model: `m-${status}`, messages, stream };
          const path = `/${provider}/v1/chat/completions?key=${SECRETS.query}`;
          const answer = await post(server, path, body, null, { ...as(apiKey), ...everywhere });
          // What a provider says to its caller of his own credential is his to hear, and the server's is not.
          const text = await answer.text();
          if (status === 200 || provider === "gone") {
            heard.push(text.replaceAll(SECRETS.answer, ""));
          } else {
            assertHasNone(text, ["apiKey", "adminKey"], `${provider} ${status}`);
          }
        }
      }
    }
    upstream.answer = ({ headers }) => refusal(401, `Wrong: ${headers.get("Authorization")}`);
    const lab = { kind: "api", base: "m", endpoint: "lab" };
    const suite = [{ kind: "delta_kl", prompts: [SECRETS.prompt] }];
    const models = { base: lab, ft: { ...lab, base: "n" } };
    const spec = { version: 1, models, suite, defaults: { differential: false } };
    heard.push((await (await post(server, "/run", { spec }, null, as(apiKey))).text()).replaceAll(SECRETS.prompt, ""));
    // Odd and broken requests, whose refusals could repeat them.
    for (
      const [line, ...headers] of [
        ["GET /v1/models HTTP/1.1", `Authorization: Bearer ${wrongKey}`],
        ["GET /v1/models HTTP/1.1", `Authorization: ${wrongKey}`],
        ["GET /v1/models HTTP/1.1", `X-Warmcache-Key: ${wrongKey}`, `X-Warmcache-Key: ${wrongKey}`],
        ["POST /v1/completions HTTP/1.1", `Authorization: Bearer ${apiKey}`, "Content-Length: 1"],
        [`PUT /cache/v1/calls?key=${SECRETS.query} HTTP/1.1`, `X-Warmcache-Key: ${apiKey}`],
        [`GET /passing/v1/x?key=${apiKey} HTTP/1.1`],
        [`GET /openai/v1/x?key=${wrongKey} HTTP/1.1`],
      ] as [string, ...string[]][]
    ) {
      const { headers: told, body } = await rawRequest(server, line, headers, line.startsWith("POST") ? "{" : "");
      heard.push(`${[...told].join("\n")}\n${body}`);
    }
    const login = await fetch(`${server.url}/login`, {
      method: "POST",
      headers: { "Content-Type": "application/x-www-form-urlencoded", Origin: server.url },
      body: new URLSearchParams({ key: adminKey, back: `/?key=${SECRETS.query}` }),
      redirect: "manual",
    });
    assert.match(login.headers.get("Set-Cookie") ?? "", /^warmcache_session=[0-9a-f]{64}; .*HttpOnly/);
    assert.ok(!login.headers.get("Set-Cookie")!.includes(adminKey));
    await login.text();
    await readAll();
    await server.stop();
    await upstream.close();

    const answers = heard.filter((text) => !text.includes("/dashboard/requests")).join("\n");
    // The query's secret comes back where a path that is not there is told, never.
    assertHasNone(
      answers.replaceAll(`${server.url}/nowhere?key=${SECRETS.query}`, ""),
      [...CREDENTIALS, "prompt", "answer"],
      "an answer",
    );
    assertHasNone(log.join("\n"), ALL, "the log");
    assert.match(log.join("\n"), /alice/, "the log was heard");
    const sent = upstream.asked.map(({ headers, path }) => `${[...headers].join("\n")} ${path}`).join("\n");
    for (const name of ["upstreamKey", "upstreamEnvironmentKey", "endpointKey", "bearer", "query"] as const) {
      assert.ok(sent.includes(SECRETS[name]), `${name} was in use`);
    }
    assertHasNone(sent, ["apiKey", "adminKey", "wrongKey"], "what providers were sent");
    assert.ok(!sent.includes("warmcache_session"), "what providers were sent");
    const files = await textsIn(cache);
    assert.match(files, /SQLite format 3/);
    assertHasNone(files, CREDENTIALS, "the cache's files");
  });
});

describe("an error at the start", () => {
  it("has no secret in it, nor in what caused it", async () => {
    const runtime = await loadRuntime();
    const variables = {
      WARMCACHE_BACKEND: "redis",
      WARMCACHE_REDIS_URL: "redis://user:very-secret@127.0.0.1:1/0",
    } as Record<string, string>;
    const attempts: [ServerOptions, Record<string, string>?][] = [
      [{ apiKey: ["a=very-secret", "b=very-secret"] }],
      [{ apiKey: [{ id: "a b", key: "very-secret" }] }],
      [{ apiKey: [{ key: "very-secret", sha256: "very-secret" }] }],
      [{ apiKey: [{ sha256: "very-secret" }] }],
      [{ upstreams: { other: { url: "https://user:very-secret@h.example" } } }],
      [{ upstreams: { other: { url: "https://h.example", apiKey: "very-secret\n" } } }],
      [{ apiEndpoints: { lab: "https://user:very-secret@h.example" } }],
      [{ apiEndpoints: { lab: { url: "https://h.example", apiKey: "very-secret", timeout: -1 } } }],
      [{}, variables],
    ];
    for (const [options, environment = {}] of attempts) {
      const lines: string[] = [];
      const machine = { ...runtime, environment: (name: string) => environment[name] };
      const folders = { models: await temporaryFolder(), hub: false as const, cache: await temporaryFolder() };
      const log = (...said: unknown[]): void => void lines.push(inspect(said));
      try {
        const server = await startServerOn(machine, { port: 0, ...folders, log, ...options });
        lines.push(await (await fetch(`${server.url}/stats`)).text());
        await server.stop();
      } catch (error) {
        lines.push(inspect(error, { depth: 10, showHidden: true }));
      }
      if (environment === variables) assert.match(lines.join("\n"), /127\.0\.0\.1:1\b/, "where it is may be told");
      assert.ok(lines.length > 0);
      assert.doesNotMatch(lines.join("\n"), /very-secret/, JSON.stringify(options));
    }
  });
});

describe("the command line", () => {
  const RUN = "Deno" in globalThis ? ["run", "-A"] : [];
  const SERVER = fileURLToPath(new URL("../../server.ts", import.meta.url));

  it("shows no secret of its settings, whether they are right or wrong", async () => {
    const folder = await temporaryFolder();
    const file = join(folder, "warmcache.json");
    const secret = "very-secret-0123456789";
    const upstreams = { lab: { url: "https://lab.example", apiKey: secret } };
    const run = (args: readonly string[], env: Record<string, string> = {}): Promise<string> =>
      new Promise((resolve) => {
        const options = { cwd: folder, env: { ...process.env, ...env } };
        execFile(process.execPath, [...RUN, SERVER, ...args], options, (_, output, errors) => resolve(output + errors));
      });
    for (
      const settings of [
        { upstreams, apiKeys: [{ id: "a", key: secret }] },
        { upstreams: { lab: { ...upstreams.lab, timeout: secret } } },
        { upstreams: secret },
        { apiKeys: secret },
        { apiKeys: [{ id: "a", key: secret, scopes: ["everything"] }] },
        { apiKeys: [secret, secret] },
      ]
    ) {
      await writeFile(file, JSON.stringify(settings));
      const told = await run(["--check", "--config", file, "--models", folder, "--cache", join(folder, "cache")]);
      assert.ok(told.length > 0);
      assert.ok(!told.includes(secret), `${JSON.stringify(settings)}: ${told}`);
    }
    const told = await run(["--check", "--api-key", `a=${secret}`, "--admin-key", `b=${secret}1`, "--models", folder], {
      WARMCACHE_UPSTREAMS: JSON.stringify(upstreams),
    });
    assert.ok(!told.includes(secret), told);
    assert.ok(!(await run(["--help"], { WARMCACHE_API_KEY: secret })).includes(secret));
  });
});
