/** The server, started as a program on every runtime: it answers from a model, then from its cache, and stops in order. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { MODELS } from "../support/models.ts";
import { HERE, requireRuntime, type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";

const SERVER = fileURLToPath(new URL("../../server.ts", import.meta.url));
const REQUEST = JSON.stringify({ model: "kjv-tiny+fortunes", prompt: "Computers are", max_tokens: 8, temperature: 0 });

describe("server.ts", { skip: HERE !== "deno" && "once is enough: it starts every runtime itself" }, () => {
  const answers = new Set<string>();
  for (const runtime of [...RUNTIMES, "node22"] satisfies RuntimeName[]) {
    it(`serves on ${runtime}`, async (context) => {
      const command = requireRuntime(context, runtime);
      if (!command) return;
      const [executable, ...args] = command;
      const flags = ["--port", "0", "--models", MODELS, "--cache", await temporaryFolder(), "--log-level", "error"];
      const child = spawn(executable, [...args, SERVER, ...flags], { stdio: ["ignore", "pipe", "inherit"] });
      try {
        const ended = once(child, "exit");
        const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
        const url = /listens on (\S+)/.exec((await lines.next()).value!)![1]!;
        for (const expected of ["warmcache; fwd=miss; stored", "warmcache; hit"]) {
          const response = await fetch(`${url}/v1/completions`, { method: "POST", body: REQUEST });
          assert.equal(response.headers.get("Cache-Status"), expected);
          const { choices, system_fingerprint } = await response.json();
          answers.add(JSON.stringify([choices, system_fingerprint]));
        }
        process.kill(child.pid!, "SIGTERM");
        assert.deepEqual(await ended, [0, null]);
      } finally {
        child.kill("SIGKILL");
      }
    });
  }

  it("answers the same on all of them", () => {
    assert.ok(answers.size <= 1, [...answers].join("\n"));
  });
});
