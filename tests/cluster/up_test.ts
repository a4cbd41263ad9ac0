/** `deploy/cluster/up.ts` as whoever tries a cluster meets it: it brings all up, and takes all down. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type Program, startProgram, untilThere } from "../../deploy/cluster/process.ts";
import { getJson, post } from "../server/support.ts";
import { MODELS } from "../support/models.ts";
import { requirePart } from "../support/parts.ts";
import { freePort, requireRedis } from "../support/redis_server.ts";
import { temporaryFolder } from "../support/temporary.ts";

const RUN = "Deno" in globalThis ? [process.execPath, "run", "-A"] : [process.execPath];
const UP = fileURLToPath(new URL("../../deploy/cluster/up.ts", import.meta.url));

function up(...flags: string[]): Program {
  return startProgram("up.ts", [...RUN, UP, ...flags]);
}

describe("up.ts", () => {
  it("brings up servers that share their answers, and takes all down", { timeout: 120_000 }, async (context) => {
    if (!requireRedis(context) || !requirePart(context, "haproxy")) return;
    const folder = await temporaryFolder();
    // Below those that the system gives to others.
    const ports = 15_000 + Math.floor(Math.random() * 170) * 100;
    const port = await freePort();
    const flags = ["--models", MODELS, "--folder", folder, "--port", `${port}`, "--ports", `${ports}`];
    const program = up(...flags, "--", "--no-hub");
    try {
      await untilThere(program, () => program.output().includes(`listens on http://127.0.0.1:${port},`));
      assert.match(program.output(), new RegExp(`cache +redis://127.0.0.1:${ports + 91}`));
      const request = { model: "kjv-tiny", prompt: "In", max_tokens: 2 };
      const bought = await post({ url: `http://127.0.0.1:${port}` }, "/v1/completions", request);
      const [text, server] = [await bought.text(), bought.headers.get("X-Served-By")];
      assert.equal(bought.status, 200, text);
      const other = { url: `http://127.0.0.1:${ports + (server === "s1" ? 2 : 1)}` };
      const found = await post(other, "/v1/completions", request);
      assert.equal(await found.text(), text);
      assert.match(found.headers.get("Cache-Status")!, /; hit/);
      assert.deepEqual((await getJson(other, "/health")).loaded_models, []);
    } finally {
      assert.equal(await program.stop("SIGINT"), 0, program.output());
    }
    for (const at of [port, ports + 1, ports + 2, ports + 91]) await assert.rejects(connectTo(at));
    assert.deepEqual((await readdir(join(folder, "s1"))).filter((name) => name.endsWith(".sqlite")), []);
  });

  it("says what it cannot follow", async () => {
    for (const flags of [["--servers", "0"], ["--ports", "65500"], ["--port", "x"], ["--serves", "2"]]) {
      const program = up(...flags);
      assert.equal(await program.ended, 2);
      assert.match(program.output(), new RegExp(flags[0]!));
    }
  });
});

/** Connects, and hangs up. */
async function connectTo(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  socket.destroy();
}
