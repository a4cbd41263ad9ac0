/** `server.ts ps` as its users meet it, beside a server that really runs. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../support/temporary.ts";
import { testServer } from "./support.ts";

/** What runs a program on the runtime that runs this test. */
const RUN = "Deno" in globalThis ? ["run", "-A"] : [];

const SERVER = fileURLToPath(new URL("../../server.ts", import.meta.url));

interface Ended {
  readonly status: number;
  readonly output: string;
  readonly errors: string;
}

/** Runs `server.ts ps` to its end. */
function ps(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Ended> {
  const env = { ...process.env, ...environment };
  return new Promise((resolve) => {
    execFile(process.execPath, [...RUN, SERVER, "ps", ...args], { env }, (error, output, errors) => {
      resolve({ status: error === null ? 0 : Number(error.code), output, errors });
    });
  });
}

describe("ps", () => {
  it("prints what the server has in memory, found by its settings or its URL", async () => {
    const cache = await temporaryFolder();
    await using server = await testServer({ cache, apiKey: "secret", pin: ["kjv-tiny"] });
    const key = ["--api-key", "secret"];
    const isLoading = async (): Promise<boolean> => {
      const response = await fetch(`${server.url}/health`, { headers: { "X-Warmcache-Key": "secret" } });
      return (await response.json()).loaded_models.length > 0;
    };
    while (!await isLoading());
    const { port } = new URL(server.url);
    const settings = `${cache}/settings.json`;
    await writeFile(settings, JSON.stringify({ port: Number(port), host: "127.0.0.1" }));
    const runs = await Promise.all([
      ps(["--port", port, ...key]),
      ps([], { WARMCACHE_PORT: port, WARMCACHE_API_KEY: "ci=secret" }),
      ps(["--config", settings, ...key]),
      ps(["--host", "0.0.0.0", "--port", port, ...key]),
      ps([`${server.url}/`, "--admin-key", "secret"]),
    ]);
    for (const { status, output, errors } of runs) {
      assert.equal(status, 0, errors);
      assert.match(output, /^NAME .*\nkjv-tiny +- +wasm +(loading|warm) /);
      assert.match(output, /\n1 of 2 places, /);
      assert.ok(!output.includes("\x1b"), "no colours where nobody looks");
    }
  });

  it("says that a key is wanted, or another one", async () => {
    await using server = await testServer({ cache: await temporaryFolder(), apiKey: "secret" });
    const [without, wrong] = await Promise.all([ps([server.url]), ps([server.url, "--api-key", "guess"])]);
    assert.equal(without.status, 1);
    assert.match(without.errors, /which needs a key: give one as --api-key: http:/);
    assert.equal(wrong.status, 1);
    assert.match(wrong.errors, /which the key that was given does not open: http:/);
    assert.doesNotMatch(wrong.errors, /guess/);
  });

  it("says that no server is there, and ends with status 1", async () => {
    const server = await testServer({ cache: await temporaryFolder() });
    await server.stop();
    const { status, output, errors } = await ps([server.url]);
    assert.equal(status, 1);
    assert.equal(output, "");
    assert.match(
      errors,
      /^warmcache: Cannot ask what is loaded, no server answers there; .*: http:\/\/127\.0\.0\.1:\d+\n$/,
    );
  });

  it("says that something else is there", async () => {
    const other = createServer((_, response) => void response.end("hello"));
    await new Promise<void>((resolve) => void other.listen(0, "127.0.0.1", resolve));
    const { status, errors } = await ps([`http://127.0.0.1:${(other.address() as AddressInfo).port}`]);
    other.close();
    assert.equal(status, 1);
    assert.match(errors, /what answers there is no warmcache server/);
  });

  it("says that a URL is none", async () => {
    const { status, errors } = await ps(["localhost"]);
    assert.equal(status, 1);
    assert.match(errors, /that is no URL: localhost/);
  });
});
