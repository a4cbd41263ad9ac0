/** Where a request goes is the upstream's address and what is behind it, however a client writes its request line. */

import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { after, before, beforeEach, describe, it } from "node:test";
import { type ProxyUnderTest, startProxy } from "./support.ts";

describe("an address", () => {
  let proxy: ProxyUnderTest;
  let provider: Server;
  let elsewhere: Server;
  /** Request lines that reached the provider, and another host. */
  const reached: string[] = [];
  const strayed: string[] = [];
  before(async () => {
    const listening = async (lines: string[]): Promise<Server> => {
      const server = createServer(({ method, url }, response) => {
        lines.push(`${method} ${url}`);
        response.writeHead(200, { "Content-Type": "application/json" }).end("{}");
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      return server;
    };
    [provider, elsewhere] = [await listening(reached), await listening(strayed)];
    const origin = `http://127.0.0.1:${portOf(provider)}`;
    const apiKey = "sk-of-the-server";
    proxy = await startProxy({ upstreams: { bare: { url: origin, apiKey }, base: { url: `${origin}/base`, apiKey } } });
  });
  after(async () => {
    await proxy[Symbol.asyncDispose]();
    for (const server of [provider, elsewhere]) {
      server.closeAllConnections();
      server.close();
    }
  });
  beforeEach(() => {
    reached.length = strayed.length = 0;
  });

  function portOf(server: Server): number {
    return (server.address() as AddressInfo).port;
  }

  /** Sends bytes as no client would, and reads until the server hangs up. */
  async function send(line: string, headers = ""): Promise<string> {
    const { hostname, port, host } = new URL(proxy.server.url);
    const socket = connect(Number(port), hostname);
    socket.on("error", () => {});
    const hosted = /^host:/im.test(headers) ? headers : `Host: ${host}\r\n${headers}`;
    socket.write(`${line} HTTP/1.1\r\nConnection: close\r\n${hosted}\r\n`);
    let text = "";
    for await (const piece of socket) text += piece;
    return text;
  }

  it("names no other host, nor another path than the upstream's", async () => {
    const at = `127.0.0.1:${portOf(elsewhere)}`;
    for (
      const path of [
        `/bare/../abcd@${at}/`,
        `/bare/%2e%2e/abcd@${at}/`,
        `/bare/x/../../abcd@${at}/`,
        "/base/../secret",
        "/base/%2E%2e/%2e./secret",
        "/base/x/../../../secret",
        "/%62are/v1/models",
        "/bar%65/v1/models",
      ]
    ) {
      assert.match(await send(`GET ${path}`), /^HTTP\/1\.1 404 /, path);
      assert.deepEqual([reached, strayed], [[], []], path);
    }
  });

  it("is not written into the log when it cannot be", async () => {
    await send("GET /%62are/v1/models?key=sk-very-secret-indeed");
    assert.doesNotMatch(proxy.log.join("\n"), /sk-very-secret-indeed/);
  });

  it("keeps its escapes, and steps back within its own path", async () => {
    await send("GET /base/..%2f..%2fsecret");
    await send("GET /base/a/../b?c=%20");
    await send("GET /base//evil.example/x");
    assert.deepEqual(reached, ["GET /base/..%2f..%2fsecret", "GET /base/b?c=%20", "GET /base//evil.example/x"]);
  });

  it("may be offered another protocol, and goes on without it", async () => {
    const offered = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    const { hostname, port, host } = new URL(proxy.server.url);
    const socket = connect(Number(port), hostname);
    socket.write(`GET /bare/v1/models HTTP/1.1\r\nHost: ${host}\r\n${offered}\r\n`);
    for await (const piece of socket) {
      assert.match(String(piece), /^HTTP\/1\.1 200 /);
      break;
    }
    assert.deepEqual(reached, ["GET /v1/models"]);
  });

  it("is not asked with a method that fetch does not take", async () => {
    assert.match(await send("TRACE /bare/v1/models"), /^HTTP\/1\.1 (?:400|405|501) /);
    assert.deepEqual(reached, []);
  });

  it("is not taken for out of reach because fetch has no body for a GET, nor a GET in lower case", async () => {
    for (const method of ["GET", "get", "HEAD"]) {
      const answer = await send(`${method} /bare/v1/models`, "Content-Length: 2\r\n\r\n{}");
      // Bun hangs up on methods that it does not know.
      assert.match(answer, /^(?:HTTP\/1\.1 (?:400|405|501) |$)/, method);
    }
    assert.deepEqual(reached, []);
    assert.match(await send("GET /bare/v1/models", "Content-Length: 0\r\n"), /^HTTP\/1\.1 200 /);
  });

  it("is not reached with the server's credential by the page of a host that was made to mean this machine", async () => {
    assert.match(await send("GET /bare/v1/models", "Host: evil.example:8787\r\n"), /^HTTP\/1\.1 421 /);
    assert.match(await send("GET /bare/v1/models", "Sec-Fetch-Site: cross-site\r\n"), /^HTTP\/1\.1 403 /);
    assert.deepEqual(reached, []);
    for (const host of ["localhost:8787", "127.0.0.1", "[::1]:8787", "warm.localhost"]) {
      assert.match(await send("GET /bare/v1/models", `Host: ${host}\r\n`), /^HTTP\/1\.1 200 /, host);
    }
  });
});
