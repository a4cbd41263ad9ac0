/** Whom a server answers: which names are its own, and which web pages may have a browser ask it. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { RunningServer, ServerOptions } from "../../src/compose/server.ts";
import { rawRequest } from "../support/raw_request.ts";
import { startUpstream, type Upstream } from "../support/upstream/upstream.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { post, testServer } from "./support.ts";

const KEY = "a-key-of-this-server";
const BEARER = { Authorization: `Bearer ${KEY}` };

async function start(options: ServerOptions = {}): Promise<RunningServer> {
  return await testServer({ models: await temporaryFolder(), hub: false, cache: await temporaryFolder(), ...options });
}

/** One route of each group. */
const ROUTES = [
  "GET /health",
  "GET /stats",
  "GET /v1/models",
  "POST /v1/chat/completions",
  "POST /v1/embeddings",
  "POST /run",
  "GET /cache/stats",
  "POST /cache/explain",
  "POST /cache/v1/calls",
  "GET /openai/v1/models",
  "POST /openai/v1/chat/completions",
  "OPTIONS /openai/v1/models",
  "GET /nowhere",
];

function codeOf({ body }: { readonly body: string }): string {
  return /"code":"([a-z_]+)"/.exec(body)?.[1] ?? "";
}

describe("a server without keys", () => {
  let server: RunningServer;
  let upstream: Upstream;
  before(async () => {
    upstream = await startUpstream();
    server = await start({ allowedHosts: ["warm.example", "192.0.2.7"], upstreams: { openai: { url: upstream.url } } });
  });
  after(async () => {
    await server.stop();
    await upstream.close();
  });

  it("answers to the names and addresses of this machine, and to those it was given, at any port", async () => {
    const { port } = new URL(server.url);
    for (
      const host of [
        `127.0.0.1:${port}`,
        "127.0.0.1",
        "127.1.2.3:1",
        "localhost:8787",
        "LocalHost",
        "localhost.",
        "warm.localhost:80",
        "[::1]:8787",
        "[::1]",
        "warm.example",
        "WARM.example:443",
        "192.0.2.7:8787",
      ]
    ) {
      const { status } = await rawRequest(server, "GET /health HTTP/1.1", [`Host: ${host}`]);
      assert.equal(status, 200, host);
    }
  });

  it("answers to no other name on any route, and does nothing: a page may have made it mean this machine", async () => {
    for (const route of ROUTES) {
      const answer = await rawRequest(server, `${route} HTTP/1.1`, ["Host: evil.example:8787"]);
      assert.equal(answer.status, 421, route);
      assert.equal(codeOf(answer), "unknown_host");
      assert.match(answer.body, /evil\.example:8787.*--allowed-host/);
    }
    assert.equal(upstream.asked.length, 0);
  });

  it("takes a name for nothing that it is not, however it is written", async () => {
    for (
      const host of [
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "notlocalhost",
        "evil.example.",
        "sub.warm.example",
        "evil.example#.localhost",
        "evil.example/.localhost",
        "evil@127.0.0.1",
        "127.0.0.1@evil.example",
        "127.0.0.1, evil.example",
        "127.0.0.1 evil.example",
        "127.0.0.1:80:80",
        "127.0.0.1:x",
        "127.0.0.1/x?",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0:8787",
        "[::ffff:6.6.6.6]",
        "[::1",
        "192.0.2.8",
        "*",
        "\xe9.localhost",
        `${"a".repeat(400)}.localhost`,
      ]
    ) {
      const { status } = await rawRequest(server, "GET /health HTTP/1.1", [`Host: ${host}`]);
      // Some never come to the server's own code.
      assert.ok(status === 421 || status === 400, `${host}: ${status}`);
    }
  });

  it("does not choose between two names", async () => {
    const { host } = new URL(server.url);
    for (const [first, second] of [[host, "evil.example"], ["evil.example", host]]) {
      const { status } = await rawRequest(server, "GET /health HTTP/1.1", [`Host: ${first}`, `Host: ${second}`]);
      assert.ok(status === 421 || status === 400, `${first}, ${second}: ${status}`);
    }
  });

  it("answers who names none, as no browser does and a gateway's probe may", async () => {
    assert.equal((await rawRequest(server, "GET /health HTTP/1.0")).status, 200);
    assert.equal((await rawRequest(server, "GET /health HTTP/1.0", ["Host:"])).status, 200);
  });

  it("does nothing for a page of another site, not even of another port, on any route", async () => {
    const own = new URL(server.url).host;
    for (
      const origin of [
        "https://evil.example",
        "http://localhost:5173",
        `http://${own}.evil.example`,
        `http://evil.example@${own}`,
        `ftp://${own}`,
        "null",
        "",
        "chrome-extension://abcdefghijklmnop",
      ]
    ) {
      for (const route of ROUTES) {
        const answer = await rawRequest(server, `${route} HTTP/1.1`, [`Origin: ${origin}`]);
        assert.equal(answer.status, 403, `${origin} ${route}`);
        assert.equal(codeOf(answer), "foreign_origin");
        assert.deepEqual([...answer.headers.keys()].filter((name) => name.startsWith("access-control-")), []);
      }
    }
    assert.equal(upstream.asked.length, 0);
  });

  it("does nothing for a page that its browser tells of without naming it", async () => {
    for (const site of ["cross-site", "same-site"]) {
      for (const route of ROUTES) {
        const headers = [`Sec-Fetch-Site: ${site}`, "Sec-Fetch-Mode: no-cors"];
        assert.equal((await rawRequest(server, `${route} HTTP/1.1`, headers)).status, 403, `${site} ${route}`);
      }
    }
    assert.equal(upstream.asked.length, 0);
  });

  it("answers its own pages, and who has typed its address", async () => {
    const { host } = new URL(server.url);
    for (
      const headers of [
        [`Origin: http://${host}`],
        [`Origin: https://warm.example`, "Host: warm.example"],
        // A gateway has named the server otherwise than the browser did; or the page says nothing of itself.
        ["Origin: https://warm.example", "Sec-Fetch-Site: same-origin"],
        ["Origin: null", "Sec-Fetch-Site: same-origin"],
        ["Sec-Fetch-Site: same-origin"],
        ["Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate"],
      ]
    ) {
      assert.equal((await rawRequest(server, "GET /v1/models HTTP/1.1", headers)).status, 200, headers.join());
    }
  });

  it("lets links to it be followed, but not into frames, not by forms, and not through the proxy", async () => {
    const link = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
    assert.equal((await rawRequest(server, "GET /health HTTP/1.1", link)).status, 200);
    const framed = [...link.slice(0, 2), "Sec-Fetch-Dest: iframe"];
    assert.equal((await rawRequest(server, "GET /health HTTP/1.1", framed)).status, 403);
    assert.equal((await rawRequest(server, "POST /health HTTP/1.1", link)).status, 403);
    for (const path of ["/openai/v1/models", "/%6fpenai/v1/models", "/openai"]) {
      assert.equal((await rawRequest(server, `GET ${path} HTTP/1.1`, link)).status, 403, path);
    }
    assert.equal(upstream.asked.length, 0);
  });

  it("is not asked before a browser has been told that it may, and it is told no", async () => {
    const asking = ["Origin: https://evil.example", "Access-Control-Request-Method: POST"];
    for (const path of ["/v1/chat/completions", "/cache/v1/calls", "/openai/v1/chat/completions"]) {
      const answer = await rawRequest(server, `OPTIONS ${path} HTTP/1.1`, asking);
      assert.equal(answer.status, 403);
      assert.equal(answer.headers.get("Access-Control-Allow-Origin"), null);
    }
  });
});

describe("a server with keys", () => {
  it("answers to every name, as the key is what protects it; a page must still not ask with a cookie", async () => {
    await using server = await start({ apiKey: KEY });
    const at = (...headers: string[]) =>
      rawRequest(server, "GET /v1/models HTTP/1.1", [`Authorization: Bearer ${KEY}`, ...headers]);
    for (const host of ["warm.example", "10.0.0.5:8787", "[2001:db8::1]", "pod-1.svc.cluster.local"]) {
      assert.equal((await at(`Host: ${host}`)).status, 200, host);
    }
    assert.ok([400, 421].includes((await at("Host: a b")).status), "what is no name at all");
    assert.equal((await at("Host: warm.example", "Origin: https://evil.example")).status, 403);
    assert.equal((await at("Host: warm.example", "Sec-Fetch-Site: cross-site")).status, 403);
  });

  it("answers to those only that it is given, where it is given some; an address was looked up nowhere", async () => {
    await using server = await start({ apiKey: KEY, allowedHosts: ["warm.example"] });
    for (
      const [host, expected] of [
        ["warm.example", 200],
        ["localhost", 200],
        ["10.0.0.5:8787", 200],
        ["[2001:db8::1]:1", 200],
        ["evil.example", 421],
      ] as const
    ) {
      const answer = await rawRequest(server, "GET /health HTTP/1.1", [`Host: ${host}`]);
      assert.equal(answer.status, expected, host);
    }
  });
});

describe("corsOrigins", () => {
  const PAGE = "https://page.example";

  it("lets a page ask that is listed, and read, with a key of its own and without cookies", async () => {
    await using server = await start({ apiKey: KEY, corsOrigins: [PAGE, "app://notes"] });
    for (const origin of [PAGE, "app://notes"]) {
      const asked = ["/v1/models", "/cache/stats", "/stats"].map((path) =>
        fetch(`${server.url}${path}`, { headers: { ...BEARER, Origin: origin } })
      );
      for (const response of await Promise.all(asked)) {
        assert.equal(response.status, 200);
        await response.text();
        assert.equal(response.headers.get("Access-Control-Allow-Origin"), origin);
        assert.equal(response.headers.get("Access-Control-Expose-Headers"), "*");
        assert.match(response.headers.get("Vary")!, /\bOrigin\b/);
        assert.equal(response.headers.get("Access-Control-Allow-Credentials"), null);
      }
    }
  });

  it("has errors read as well, those for want of a key among them", async () => {
    await using server = await start({ apiKey: KEY, corsOrigins: [PAGE] });
    const expected = [["/v1/models", 401], ["/nowhere", 404], ["/openai/v1/models", 401]] as const;
    for (const [path, status] of expected) {
      const response = await fetch(`${server.url}${path}`, { headers: { Origin: PAGE } });
      assert.equal(response.status, status);
      assert.equal(response.headers.get("Access-Control-Allow-Origin"), PAGE);
      await response.text();
    }
  });

  it("answers a browser that asks first, on every route, before anybody asks it for a key", async () => {
    await using server = await start({ apiKey: KEY, corsOrigins: [PAGE] });
    const wanted = "authorization,content-type,x-warmcache-key,x-warmcache-mode,x-warmcache-namespace,x-stainless-os";
    for (const path of ["/v1/chat/completions", "/run", "/cache/v1/calls", "/openai/v1/chat/completions", "/stats"]) {
      const response = await fetch(`${server.url}${path}`, {
        method: "OPTIONS",
        headers: { Origin: PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": wanted },
      });
      assert.equal(response.status, 204, path);
      assert.equal(response.headers.get("Access-Control-Allow-Origin"), PAGE);
      assert.equal(response.headers.get("Access-Control-Allow-Headers"), wanted);
      assert.match(response.headers.get("Access-Control-Allow-Methods")!, /\bPOST\b.*\bDELETE\b/);
      assert.equal(response.headers.get("Access-Control-Max-Age"), "600");
      assert.equal(response.headers.get("Access-Control-Allow-Credentials"), null);
    }
  });

  it("has nothing but names of headers said back", async () => {
    await using server = await start({ corsOrigins: [PAGE] });
    const asking = [`Origin: ${PAGE}`, "Access-Control-Request-Method: POST"];
    const odd = "Access-Control-Request-Headers: x-a, <script>";
    const { status, headers } = await rawRequest(server, "OPTIONS /v1/models HTTP/1.1", [...asking, odd]);
    assert.equal(status, 204);
    assert.equal(headers.get("Access-Control-Allow-Headers"), null);
  });

  it("lets no other page ask, however much its origin resembles a listed one", async () => {
    await using server = await start({ apiKey: KEY, corsOrigins: [PAGE] });
    for (const origin of [`${PAGE}.evil.example`, "http://page.example", `${PAGE}:444`, "null"]) {
      const response = await fetch(`${server.url}/v1/models`, { headers: { ...BEARER, Origin: origin } });
      assert.equal(response.status, 403, origin);
      assert.equal(response.headers.get("Access-Control-Allow-Origin"), null);
      await response.text();
    }
  });

  it("speaks for the proxy as well, and what a provider says of pages is not passed on", async () => {
    await using upstream = await closing(startUpstream());
    upstream.answer = ({ path }) =>
      path.endsWith("/models")
        ? Response.json({ data: [] }, { headers: { "Access-Control-Allow-Origin": "*" } })
        : undefined;
    const upstreams = { openai: { url: upstream.url } };
    await using server = await start({ corsOrigins: [PAGE], upstreams });
    const read = async (path: string, origin?: string): Promise<string | null> => {
      const response = await fetch(`${server.url}${path}`, origin === undefined ? {} : { headers: { Origin: origin } });
      assert.equal(response.status, 200);
      await response.text();
      return response.headers.get("Access-Control-Allow-Origin");
    };
    assert.equal(await read("/openai/v1/models"), null);
    assert.equal(await read("/openai/v1/models", PAGE), PAGE);
    for (const status of [/fwd=miss/, /hit/]) {
      const body = { model: "gpt-4o-mini", messages: [{ role: "user", content: "Hello" }] };
      upstream.mock.onMessage("Hello", { content: "Good day" });
      const response = await post(server, "/openai/v1/chat/completions", body, null, { Origin: PAGE });
      assert.match(response.headers.get("Cache-Status")!, status);
      assert.equal(response.headers.get("Access-Control-Allow-Origin"), PAGE);
      await response.text();
    }
  });

  it("may be all where there are keys, and nowhere else", async () => {
    await using server = await start({ apiKey: KEY, corsOrigins: ["*"] });
    const response = await fetch(`${server.url}/v1/models`, { headers: { ...BEARER, Origin: "https://any.example" } });
    assert.equal(response.headers.get("Access-Control-Allow-Origin"), "https://any.example");
    await response.text();
    await assert.rejects(start({ corsOrigins: ["*"] }), { name: "TypeError", message: /without API keys/ });
  });

  it("is refused where it is none", async () => {
    for (
      const origin of [
        "page.example",
        "https://page.example/",
        "https://Page.example",
        "https://page.example:443",
        "null",
      ]
    ) {
      await assert.rejects(start({ corsOrigins: [origin] }), { name: "TypeError", message: /Cannot let a page ask/ });
    }
    for (const host of ["http://warm.example", "warm.example:80", "*.example", "a b", "", "a/b"]) {
      await assert.rejects(start({ allowedHosts: [host] }), { name: "TypeError", message: /Cannot allow a host/ });
    }
    for (const host of ["::1", "[2001:db8::1]", "warm.example", "Warm.Example"]) {
      await (await start({ allowedHosts: [host] })).stop();
    }
  });
});

async function closing(upstream: Promise<Upstream>): Promise<Upstream & AsyncDisposable> {
  const opened = await upstream;
  return Object.assign(opened, { [Symbol.asyncDispose]: () => opened.close() });
}
