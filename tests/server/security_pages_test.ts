/** What a browser is told of pages, and of what others have written that it could take for one. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { RunningServer } from "../../src/compose/server.ts";
import { startUpstream, type Upstream } from "../support/upstream/upstream.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { testServer } from "./support.ts";

describe("a page", () => {
  let server: RunningServer;
  let upstream: Upstream;
  before(async () => {
    upstream = await startUpstream();
    server = await testServer({
      models: await temporaryFolder(),
      hub: false,
      cache: await temporaryFolder(),
      apiKey: "a-key-of-this-server",
      upstreams: { openai: { url: upstream.url } },
    });
  });
  after(async () => {
    await server.stop();
    await upstream.close();
  });

  const KEY = { "X-Warmcache-Key": "a-key-of-this-server" };

  it("has nothing from elsewhere, is in no frame of others, and tells nobody where its reader came from", async () => {
    for (const path of ["/", "/login", "/dashboard/requests", "/dashboard/explain", "/docs"]) {
      const response = await fetch(`${server.url}${path}`, { headers: KEY });
      assert.equal(response.status, 200, path);
      const { headers } = response;
      assert.match(headers.get("Content-Type")!, /^text\/html\b/);
      const policy = headers.get("Content-Security-Policy")!;
      assert.match(policy, /default-src 'none'/, path);
      assert.match(policy, /frame-ancestors 'none'/, path);
      assert.match(policy, /base-uri 'none'/, path);
      assert.doesNotMatch(policy, /unsafe|\*|https?:/, path);
      assert.equal(headers.get("X-Content-Type-Options"), "nosniff", path);
      assert.match(headers.get("Referrer-Policy")!, /^(?:same-origin|no-referrer)$/, path);
      assert.doesNotMatch(await response.text(), /(?:src|href|action)="(?:https?:)?\/\/(?!www\.rfc|github)/, path);
    }
  });

  it("that a provider has written runs no script as the server's own", async () => {
    for (const type of ["text/html", "image/svg+xml", "application/xml", "application/octet-stream", undefined]) {
      upstream.answer = () =>
        new Response(new TextEncoder().encode("<script>fetch('/admin')</script>"), {
          headers: type === undefined ? {} : { "Content-Type": type },
        });
      const response = await fetch(`${server.url}/openai/v1/files/1/content`, { headers: KEY });
      assert.equal(response.headers.get("Content-Security-Policy"), "sandbox", String(type));
      assert.equal(response.headers.get("X-Content-Type-Options"), "nosniff", String(type));
      await response.text();
    }
    upstream.answer = () => Response.json({});
    const response = await fetch(`${server.url}/openai/v1/models`, { headers: KEY });
    assert.equal(response.headers.get("Content-Security-Policy"), null, "what is no page is passed on as it is");
    await response.text();
  });

  it("is left by a form to no other server, whatever the form says", async () => {
    for (
      const back of [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "\n//evil",
        "/a\r\nX: y",
      ]
    ) {
      const response = await fetch(`${server.url}/login`, {
        method: "POST",
        headers: { Origin: server.url, "Content-Type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams({ key: "a-key-of-this-server", back }),
        redirect: "manual",
      });
      assert.equal(response.status, 303);
      assert.equal(response.headers.get("Location"), "/", back);
      await response.text();
    }
  });

  it("is not acted on with its reader's cookie from elsewhere", async () => {
    const login = await fetch(`${server.url}/login`, {
      method: "POST",
      headers: { Origin: server.url, "Content-Type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ key: "a-key-of-this-server" }),
      redirect: "manual",
    });
    await login.text();
    const [cookie = ""] = login.headers.getSetCookie();
    assert.match(cookie, /^warmcache_session=[0-9a-f]{64}; /);
    assert.match(cookie, /HttpOnly/);
    assert.match(cookie, /SameSite=Strict/);
    const [token = ""] = cookie.split(";");
    const status = async (method: string, path: string, headers: Record<string, string>): Promise<number> => {
      const body = method === "POST" ? new URLSearchParams({ request: "{}" }) : null;
      const options = { method, body, headers: { Cookie: token, ...headers }, redirect: "manual" } as const;
      const response = await fetch(`${server.url}${path}`, options);
      await response.text();
      return response.status;
    };
    assert.equal(await status("GET", "/", {}), 200);
    // A page on another port of this machine is of the same site, so that the cookie is sent along.
    assert.equal(await status("POST", "/dashboard/explain", { Origin: "http://localhost:5173" }), 403);
    assert.equal(await status("POST", "/dashboard/logout", {}), 403, "who says nothing of himself");
    for (const path of ["/v1/models", "/cache/stats", "/stats", "/metrics", "/admin/models", "/openai/v1/models"]) {
      assert.equal(
        await status("GET", path, { "Sec-Fetch-Site": "same-origin" }),
        401,
        `${path}: the cookie opens pages`,
      );
    }
    assert.equal(await status("POST", "/dashboard/logout", { Origin: server.url }), 303);
    assert.notEqual(await status("GET", "/", { Accept: "text/html" }), 200, "it is over");
  });
});
