/** The systemd unit and the container say nothing that the server would not understand. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { describe, it } from "node:test";
import { SETTINGS } from "../../src/cli/settings_table.ts";
import { pathOf } from "../house/module_graph.ts";
import { MODELS } from "../support/models.ts";
import { HERE } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";

const unit = await readFile(pathOf("deploy/systemd/warmcache.service"), "utf8");
const container = await readFile(pathOf("deploy/container/Containerfile"), "utf8");

/** What the server is started with: Deno's arguments. */
function argumentsIn(text: string): string[] {
  const [, list] = /^ENTRYPOINT (\[.*\])$/m.exec(text) ?? [];
  const [, line] = /^ExecStart=(.*)$/m.exec(text) ?? [];
  return (list === undefined ? line!.split(" ") : JSON.parse(list) as string[]).slice(1);
}

describe("deploy/", () => {
  it("sets variables that there are", () => {
    const known = SETTINGS.map(({ variable }) => variable);
    for (const [, variable] of `${unit}\n${container}`.matchAll(/\b(WARMCACHE_[A-Z_]+)/g)) {
      assert.ok(known.includes(variable!), variable!);
    }
  });

  it("starts the same program with the same permissions everywhere, and checks it with no others", () => {
    const [, before] = /^ExecStartPre=(.*)$/m.exec(unit)!;
    assert.deepEqual(argumentsIn(container), argumentsIn(unit));
    assert.equal(before, `${/^ExecStart=(.*)$/m.exec(unit)![1]} --check`);
  });

  it("kills no server that still finishes requests", () => {
    const drain = SETTINGS.find(({ name }) => name === "drainTimeout")!.fallback as number;
    const [, stop] = /^TimeoutStopSec=(\d+)$/m.exec(unit)!;
    const [, grace] = /--stop-timeout (\d+)/.exec(container)!;
    assert.ok(Number(stop) * 1000 > drain && Number(grace) * 1000 > drain);
    assert.match(unit, /^KillMode=mixed$/m);
    assert.match(container, /^STOPSIGNAL SIGTERM$/m);
  });

  it("gives permissions that are enough", async (context) => {
    if (HERE !== "deno") return context.skip("other runtimes have no such permissions");
    const folder = await temporaryFolder();
    const given = argumentsIn(unit).slice(0, -1).map((flag) => flag.replace("/var/lib/warmcache", folder));
    const flags = ["--check", "--models", MODELS, "--cache", `${folder}/cache`];
    const output = execFileSync(process.execPath, [...given, pathOf("server.ts"), ...flags], { encoding: "utf8" });
    assert.match(output, /\n0 errors, 0 warnings\n$/);
  });
});
