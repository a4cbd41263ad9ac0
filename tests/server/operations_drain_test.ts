/**
 * How the server's process ends behind something that sends it requests: it says so first, goes on serving meanwhile,
 * finishes what runs, and exits 0. Runs the server on the runtime that runs this test.
 */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { MODELS } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { post } from "./support.ts";

const RUN = "Deno" in globalThis ? ["run", "-A"] : [];
const SERVER = fileURLToPath(new URL("../../server.ts", import.meta.url));

interface Served extends Disposable {
  readonly url: string;
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  /** Waits for a line of the log that has these fields. */
  line(fields: Record<string, unknown>): Promise<Record<string, unknown>>;
}

/** Starts a server whose log is JSON, and waits until it listens. */
async function serve(...flags: string[]): Promise<Served> {
  const places = ["--port", "0", "--models", MODELS, "--cache", await temporaryFolder()];
  const args = [...RUN, SERVER, ...places, "--log-format", "json", ...flags];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  const ended = once(child, "exit").then(([status]) => status as number | null);
  let text = "";
  child.stderr!.setEncoding("utf8").on("data", (part) => text += part);
  const line: Served["line"] = async (fields) => {
    for (;;) {
      const lines = text.split("\n").slice(0, -1).map((each) => JSON.parse(each) as Record<string, unknown>);
      const found = lines.find((each) => Object.entries(fields).every(([name, value]) => each[name] === value));
      if (found !== undefined) return found;
      await Promise.race([once(child.stderr!, "data"), ended.then(() => Promise.reject(new Error(text)))]);
    }
  };
  const { url } = await line({ event: "listening" });
  return { url: url as string, child, ended, line, [Symbol.dispose]: () => void child.kill("SIGKILL") };
}

const STREAM = { model: "kjv-tiny", prompt: "And", max_tokens: 120, temperature: 1, seed: 3, stream: true };

async function untilNotReady(server: { readonly url: string }): Promise<void> {
  for (;;) {
    const response = await fetch(`${server.url}/readyz`);
    await response.text();
    if (response.status === 503) return;
  }
}

describe("the server's process, told to end,", () => {
  it("says so, serves what still comes, finishes a stream that runs, and exits 0", async () => {
    using server = await serve("--drain-delay", "2s");
    const running = await post(server, "/v1/completions", STREAM);
    const reader = running.body!.getReader();
    const first = await reader.read();
    process.kill(server.child.pid!, "SIGTERM");
    await untilNotReady(server);
    const late = await post(server, "/v1/completions", { ...STREAM, stream: false, max_tokens: 2 });
    assert.equal(late.status, 200, "whoever has not heard of it yet is served");
    await late.text();
    let text = new TextDecoder().decode(first.value);
    for (let part; !(part = await reader.read()).done;) text += new TextDecoder().decode(part.value);
    assert.match(text, /data: \[DONE\]\n\n$/);
    assert.equal(await server.ended, 0);
    await assert.rejects(fetch(`${server.url}/livez`));
  });

  it("does not wait any longer when it is told so twice", async () => {
    using server = await serve("--drain-delay", "1h");
    process.kill(server.child.pid!, "SIGTERM");
    await untilNotReady(server);
    process.kill(server.child.pid!, "SIGINT");
    assert.equal(await server.ended, 1);
  });

  it("says in its log what happens to it, each line an object", async () => {
    using server = await serve();
    const { level, version } = await server.line({ event: "listening" });
    assert.deepEqual([level, typeof version], ["info", "string"]);
    process.kill(server.child.pid!, "SIGINT");
    await server.line({ message: "SIGINT: finishing running requests; once more to stop at once" });
    await server.line({ message: "stopped" });
    assert.equal(await server.ended, 0);
  });
});
