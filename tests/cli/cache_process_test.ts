/**
 * The command line as a process: on a real terminal, with a real Ctrl-C, behind a pipe. What each command prints is in
 * `cache_commands_test.ts`; processes are slow to start.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { widthOf } from "../../src/cli/text_width.ts";
import { arrowsFrom } from "../house/module_graph.ts";
import { requirePart } from "../support/parts.ts";
import { commandOf, HERE } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { fillCache } from "./busy_cache.ts";
import { run } from "./cache_support.ts";

const CLI = fileURLToPath(new URL("../../src/cli/cli.ts", import.meta.url));

/** What has no say in what a terminal shows here. */
const QUIET = { NO_COLOR: "", FORCE_COLOR: "", COLUMNS: "", TERM: "xterm" };

/**
 * Starts a command on a pseudo-terminal of 80 columns, types what is in the third argument once the second was printed,
 * passes on all that is printed, and ends with the command's status.
 */
const ON_TERMINAL = `
import fcntl, os, pty, struct, sys, termios
wait, keys, command = sys.argv[1].encode(), sys.argv[2].encode().decode("unicode_escape").encode(), sys.argv[3:]
pid, fd = pty.fork()
if pid == 0:
    while struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, b"\\0" * 8))[1] != 80:
        pass
    os.execvp(command[0], command)
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
seen = b""
typed = not wait
while True:
    try:
        part = os.read(fd, 65536)
    except OSError:
        break
    if not part:
        break
    seen += part
    if not typed and wait in seen:
        typed = True
        os.write(fd, keys)
sys.stdout.buffer.write(seen)
sys.stdout.flush()
status = os.waitpid(pid, 0)[1]
sys.exit(os.waitstatus_to_exitcode(status))
`;

interface Ended {
  readonly status: number;
  readonly output: string;
  readonly errors: string;
}

async function start([program, ...args]: readonly [string, ...string[]]): Promise<Ended> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...QUIET } });
  let [output, errors] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text) => output += text);
  child.stderr.setEncoding("utf8").on("data", (text) => errors += text);
  const [status] = await once(child, "close");
  return { status: status as number, output, errors };
}

describe("the command line's process", () => {
  let [folder, pty] = ["", ""];
  before(async () => {
    const work = await temporaryFolder();
    [folder, pty] = [join(work, "cache"), join(work, "terminal.py")];
    await writeFile(pty, ON_TERMINAL);
    await fillCache(folder, 3);
  });

  const command = (...args: string[]): [string, ...string[]] => [...commandOf(HERE)!, CLI, ...args, "--cache", folder];
  const onTerminal = async (wait: string, keys: string, ...args: string[]): Promise<Ended> =>
    await start(["python3", pty, wait, keys, ...command(...args)]);

  it("fits a real terminal, in colour", async (context) => {
    if (!requirePart(context, "python3")) return;
    const { status, output } = await onTerminal("", "", "ls", "--limit", "30");
    assert.equal(status, 0, output);
    // Deno begins by erasing what it never wrote.
    const lines = output.slice(output.indexOf("\x1b[1mKEY")).trim().split("\r\n");
    assert.equal(lines.length, 31);
    assert.ok(output.includes("\x1b[1mKEY\x1b[0m"), output);
    for (const line of lines) assert.ok(widthOf(line) <= 80, `${widthOf(line)} columns: ${line}`);
  });

  it("asks on a terminal; Ctrl-C ends it with status 130, and nothing was removed", async (context) => {
    if (!requirePart(context, "python3")) return;
    const before = await run(["verify", "--deep", "--json", "--cache", folder]);
    const { status, output } = await onTerminal("[y/N]", "\\x03", "prune", "--all");
    assert.equal(status, 130, output);
    assert.match(output, /Remove ALL entries from .*\? \[y\/N\]/);
    assert.deepEqual(await run(["verify", "--deep", "--json", "--cache", folder]), before);
  });

  it("removes what was agreed to on a terminal", async (context) => {
    if (!requirePart(context, "python3")) return;
    const { status, output } = await onTerminal("[y/N]", "y\\n", "prune", "--outcome", "content_filter");
    assert.equal(status, 0, output);
    assert.match(output, /\r\nremoved \d+ entr(y|ies), /);
  });

  it("is silent when its reader has gone", async (context) => {
    if (!requirePart(context, "bash")) return;
    const script = 'set -o pipefail; "$@" | head -n 2';
    const { status, output, errors } = await start(["bash", "-c", script, "bash", ...command("ls", "--json")]);
    assert.deepEqual([status, output.trim().split("\n").length, errors], [0, 2, ""]);
  });

  it("suggests what was meant, and ends with status 2", async () => {
    const [verb, flag, asJson] = await Promise.all([
      start(command("lss")),
      start(command("ls", "--modl", "m")),
      start(command("ls", "--json", "--modl", "m")),
    ]);
    assert.deepEqual([verb.status, flag.status, asJson.status], [2, 2, 2]);
    assert.match(verb.errors, /unknown command 'lss'\n\(Did you mean ls\?\)/);
    assert.match(flag.errors, /unknown option '--modl'\n\(Did you mean --model\?\)/);
    assert.match(JSON.parse(asJson.errors).error.message, /unknown option '--modl'/);
  });

  it("helps with examples, and with the settings that matter", async () => {
    const { status, output } = await start(command("ls", "--help"));
    assert.equal(status, 0);
    assert.match(output, /Examples:\n {2}warmcache ls --model gpt-4o-mini --since 7d\n/);
    assert.match(output, /--cache <folder>/);
    assert.doesNotMatch(output, /--max-loaded-models/);
  });
});

describe("the command line's modules", { skip: HERE !== "deno" && "the module graph is read with deno info" }, () => {
  it("load no model runtime and no server to list entries", async () => {
    const entries = ["src/cli/cli.ts", "src/cli/ls.ts", "src/compose/open_cache.ts"];
    const arrows = (await arrowsFrom(entries)).filter(({ dynamic, typeOnly }) => !dynamic && !typeOnly);
    const reached = new Set(entries);
    for (const from of reached) for (const arrow of arrows) if (arrow.from === from) reached.add(arrow.to);
    const heavy = [...reached].filter((module) =>
      /onnxruntime|tokenizers|redis|koffi|compose\/server\.ts|http\/app/.test(module)
    );
    assert.deepEqual(heavy, []);
  });
});
