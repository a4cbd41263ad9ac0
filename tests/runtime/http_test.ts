/** Listening for HTTP: what every runtime's own server has to do alike. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { before, describe, it } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { HttpListener, Runtime } from "../../src/runtime/runtime.ts";
import { gate } from "../support/gate.ts";

/** More than the sockets of both sides take in before somebody reads. */
const LARGE = 32 * 1024 * 1024;

describe("serveHttp", () => {
  let runtime: Runtime;
  before(async () => {
    runtime = await loadRuntime();
  });
  const listen = (fetch: (request: Request) => Response | Promise<Response>): Promise<HttpListener> =>
    runtime.serveHttp({ hostname: "127.0.0.1", port: 0, fetch });

  it("refuses a port that is taken, with the system's code", async () => {
    const { port, shutdown } = await listen(() => new Response());
    const second = runtime.serveHttp({ hostname: "127.0.0.1", port, fetch: () => new Response() });
    await assert.rejects(second, { code: "EADDRINUSE" });
    await shutdown();
  });

  it("listens on IPv6", async () => {
    const { port, shutdown } = await runtime.serveHttp({ hostname: "::1", port: 0, fetch: () => new Response("six") });
    assert.equal(await (await fetch(`http://[::1]:${port}/`)).text(), "six");
    await shutdown();
  });

  it("passes chunks on one by one, and tells handler and stream that the client has left", async () => {
    const aborted = gate();
    const cancelled = gate();
    const second = gate();
    const { port, shutdown } = await listen((request) => {
      request.signal.addEventListener("abort", aborted.open);
      const chunks = async (controller: ReadableStreamDefaultController): Promise<void> => {
        controller.enqueue(new TextEncoder().encode("first"));
        await second.pass();
        controller.enqueue(new TextEncoder().encode("second"));
      };
      return new Response(
        new ReadableStream({ start: (controller) => void chunks(controller), cancel: cancelled.open }),
      );
    });
    const leaving = new AbortController();
    const response = await fetch(`http://127.0.0.1:${port}/`, { signal: leaving.signal });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    assert.equal((await reader.read()).value, "first");
    second.open();
    assert.equal((await reader.read()).value, "second");
    reader.closed.catch(() => {});
    leaving.abort();
    await Promise.all([aborted.pass(), cancelled.pass()]);
    await shutdown();
  });

  it("shutdown waits for slow readers, and not for connections that ask nothing", async () => {
    const { port, shutdown } = await listen((request) =>
      new Response(new Uint8Array(new URL(request.url).pathname === "/large" ? LARGE : 1))
    );
    const silent = await dial(port);
    const asked = await dial(port);
    asked.write("GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await once(asked, "readable");
    const slow = await dial(port);
    slow.write("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await once(slow, "readable");

    const stopped = shutdown();
    let received = 0;
    slow.on("data", (bytes: Uint8Array) => received += bytes.byteLength).resume();
    await Promise.all([stopped, once(slow, "close")]);
    assert.ok(received > LARGE, `${received} of ${LARGE} bytes came`);
    for (const socket of [silent, asked]) socket.destroy();
  });
});

/** A connection, without a client that would ask or read by itself. */
async function dial(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  // How a server ends a connection that nobody uses any more differs.
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}
