/** What a body may have, from those who have shown nothing yet and those who say two lengths at once. */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, it } from "node:test";
import type { RunningServer } from "../../src/compose/server.ts";
import { startProxy } from "../proxy/support.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { testServer } from "./support.ts";

/** Sends text, and returns what is said to it, up to the connection's end. */
async function send({ url }: RunningServer, text: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  let heard = "";
  socket.on("data", (bytes) => heard += bytes);
  socket.on("error", () => {});
  socket.end(text);
  // An error, as of a connection that is reset, comes before.
  await new Promise<void>((resolve) => socket.once("close", () => resolve()));
  return heard;
}

describe("maxBodyBytes", () => {
  it("holds for a body in chunks that says another length besides", async () => {
    await using proxy = await startProxy({ limits: { maxBodyBytes: 1000 } });
    const body = JSON.stringify({ model: "gpt-4o-mini", messages: [], user: "u".repeat(5000) });
    for (const path of ["/v1/completions", "/openai/v1/chat/completions"]) {
      for (
        const lengths of [["Content-Length: 20", "Transfer-Encoding: chunked"], [
          "Transfer-Encoding: chunked",
          "Content-Length: 20",
        ]]
      ) {
        const head = [
          `POST ${path} HTTP/1.1`,
          "Host: localhost",
          "Connection: close",
          "Content-Type: application/json",
          ...lengths,
        ];
        const heard = await send(proxy.server, [...head, "", body.length.toString(16), body, "0", "", ""].join("\r\n"));
        assert.match(heard, /^(?:HTTP\/1\.1 4(?:00|13) |$)/, lengths.join());
      }
    }
    assert.deepEqual(proxy.upstream.asked, []);
  });
});

describe("a form for those who are not logged in", () => {
  for (const path of ["/login", "/dashboard/theme"]) {
    it(`${path} is read no further than forms are long`, async () => {
      await using server = await testServer({
        models: await temporaryFolder(),
        hub: false,
        cache: await temporaryFolder(),
        apiKey: "key-of-somebody-0123456789",
      });
      const ask = async (body: string): Promise<Response> =>
        await fetch(`${server.url}${path}`, {
          method: "POST",
          headers: { "Content-Type": "application/x-www-form-urlencoded", Origin: server.url },
          body,
          redirect: "manual",
        });
      const short = await ask("key=key-of-somebody-0123456789&theme=dark");
      assert.equal(short.status, 303);
      await short.text();
      const long = await ask(`key=key-of-somebody-0123456789&theme=dark&more=${"m".repeat(20_000)}`);
      assert.equal(long.status, 413);
      await long.text();
    });
  }
});
