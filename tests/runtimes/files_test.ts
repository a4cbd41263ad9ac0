/** One cache, several runtimes: what one writes the others read, and while one holds it the others are refused. */

import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { HERE, requireRuntime, type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";

const PROGRAM = fileURLToPath(new URL("./program.ts", import.meta.url));
const WITHOUT_FFI = ["--allow-read", "--allow-write", "--allow-env", "--allow-sys"];

/** Node as it is where koffi has no build for the machine. */
const WITHOUT_KOFFI = [
  "--import",
  `data:text/javascript,${
    encodeURIComponent(`
      import { registerHooks } from "node:module";
      registerHooks({
        resolve(name, context, next) {
          if (name === "koffi") throw new Error("koffi is not here");
          return next(name, context);
        },
      });`)
  }`,
];

type Command = readonly [string, ...string[]];

async function run([executable, ...args]: Command, action: string, directory: string): Promise<string> {
  const { stdout } = await promisify(execFile)(executable, [...args, PROGRAM, action, directory]);
  return stdout;
}

/** Starts a program that holds the cache; resolves once it does. */
async function hold([executable, ...args]: Command, directory: string): Promise<ChildProcess> {
  const child = spawn(executable, [...args, PROGRAM, "hold", directory], { stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: child.stdout! })) if (line === "done") return child;
  throw new Error("The holder ended before it held the cache");
}

const pairs: (readonly [RuntimeName, RuntimeName])[] = [
  ...RUNTIMES.flatMap((one) => RUNTIMES.filter((other) => other !== one).map((other) => [one, other] as const)),
  ["deno", "node22"],
  ["node22", "deno"],
];

/** It starts every runtime itself. */
const skip = HERE !== "deno" && "once is enough";

describe("a cache written", { skip }, () => {
  for (const [writer, reader] of pairs) {
    it(`on ${writer} is read on ${reader}`, async (context) => {
      const write = requireRuntime(context, writer);
      const read = requireRuntime(context, reader);
      if (!write || !read) return;
      const directory = await temporaryFolder();
      assert.equal(await run(write, "write", directory), "done\n");
      assert.equal(await run(read, "read", directory), "right 50\ndone\n");
    });
  }
});

describe("a cache held", { skip }, () => {
  const holders: [title: string, runtime: RuntimeName, flags?: string[]][] = [
    ["deno", "deno"],
    ["deno without --allow-ffi", "deno", WITHOUT_FFI],
    ["node", "node"],
    ["node without koffi", "node", WITHOUT_KOFFI],
    ["node22", "node22"],
    ["bun", "bun"],
  ];
  for (const [title, holder, flags] of holders) {
    it(`on ${title} is refused to all others, who name the holder, and free at once when it is killed`, async (context) => {
      const holding = requireRuntime(context, holder, flags);
      if (!holding) return;
      const directory = await temporaryFolder();
      const child = await hold(holding, directory);
      try {
        for (const [, other, otherFlags] of holders) {
          const command = requireRuntime(context, other, otherFlags);
          if (!command) return;
          const said = await run(command, "read", directory);
          assert.match(
            said,
            new RegExp(`^locked: .*process ${child.pid} \\(${holder.replace(/\d+/, "")} `),
            `${other} said`,
          );
        }
      } finally {
        child.kill("SIGKILL");
        await once(child, "exit");
      }
      for (const [, other, otherFlags] of holders) {
        const command = requireRuntime(context, other, otherFlags);
        if (command) assert.equal(await run(command, "read", directory), "right 50\ndone\n", other);
      }
    });
  }
});
