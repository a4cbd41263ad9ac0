/**
 * Where a page's examples are run: in a copy of the checkout, with the programs it names on the path, a provider on
 * loopback in place of those that want money, and a server of ours behind the address that all pages write.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { chmod, mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { text } from "node:stream/consumers";
import { RedisServer } from "../support/redis_server.ts";
import { startUpstream, type Upstream } from "../support/upstream/upstream.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { type Block, ROOT } from "./blocks.ts";

/** What a block said, and how it ended. */
export interface Ended {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

/** The address that the pages write. */
const WRITTEN = /\b(?:127\.0\.0\.1|localhost):8787\b/g;

/** What they write for a Redis. */
const REDIS = /\bredis:\/\/(?:127\.0\.0\.1:6379|localhost:6379|localhost)/g;

/** The longest that an example may take, ms; then it is ended, with whatever it has started. */
const PATIENCE = 110_000;

/** What a checkout has that a copy is to have of its own, or needs not. */
const OWN = new Set([".git", ".warmcache", ".pack"]);

/** A place to work at. */
export class Desk {
  readonly folder: string;
  readonly #upstream: Upstream;
  readonly #programs: string;
  #redis: RedisServer | undefined;
  #server: { readonly child: ChildProcess; readonly address: string } | undefined;

  private constructor(folder: string, programs: string, upstream: Upstream) {
    this.folder = folder;
    this.#programs = programs;
    this.#upstream = upstream;
  }

  /** A new one. `deno` is how Deno is called. */
  static async prepare(deno: string): Promise<Desk> {
    const [folder, programs] = [await temporaryFolder(), await temporaryFolder()];
    for (const name of readdirSync(ROOT)) if (!OWN.has(name)) await symlink(join(ROOT, name), join(folder, name));
    const program = async (name: string, lines: string): Promise<void> => {
      await writeFile(join(programs, name), `#!/bin/sh\n${lines}\n`);
      await chmod(join(programs, name), 0o755);
    };
    await program("deno", `exec '${deno}' "$@"`);
    await program("warmcache", `exec '${deno}' run -A --config '${ROOT}deno.json' '${ROOT}src/cli/cli.ts' "$@"`);
    // What the pages fetch with npx is here already.
    await program("npx", `case "$2" in deno@*) shift 2; exec '${deno}' "$@";; esac; shift 0; exec "$@"`);
    const upstream = await startUpstream();
    upstream.answer = ({ path, body }) => answered(path, body as Asked);
    return new Desk(folder, programs, upstream);
  }

  /** How many questions have reached the provider. */
  get asked(): number {
    return this.#upstream.asked.length;
  }

  /** Puts a file where the page's blocks find it; what it says of a server becomes true, unless it is only looked at. */
  async keep(name: string, content: string, { asItIs = false }: { asItIs?: boolean } = {}): Promise<void> {
    const path = join(this.folder, name);
    if (existsSync(path)) throw new Error(`An example may not replace ${name} of the checkout`);
    if (!asItIs && content.search(WRITTEN) >= 0) await this.#needServer();
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, this.#adapted(content));
  }

  /** Runs a block to its end. */
  async run({ language, code, line }: Block, given = ""): Promise<Ended> {
    if (code.search(WRITTEN) >= 0) await this.#needServer();
    if (code.search(REDIS) >= 0) this.#redis ??= await RedisServer.start();
    const adapted = this.#adapted(given + code);
    if (language === "sh") return await this.#spawn("bash", ["-euo", "pipefail", "-c", adapted]);
    const name = `block_${line}.${language === "ts" ? "ts" : "py"}`;
    await writeFile(join(this.folder, name), adapted);
    return await this.runFile(name);
  }

  /** Runs a program that lies here. */
  async runFile(name: string): Promise<Ended> {
    if (name.endsWith(".py")) return await this.#spawn("python3", [name]);
    return await this.#spawn("deno", [name.endsWith(".test.ts") ? "test" : "run", "-A", "--no-check", name]);
  }

  /** Checks the types of a program that lies here. */
  async check(name: string): Promise<Ended> {
    return await this.#spawn("deno", ["check", name]);
  }

  /** Runs a block that starts a server, until it listens. */
  async serve({ code }: Block): Promise<void> {
    if (this.#server !== undefined) await this.#stopServer();
    const child = spawn("bash", ["-euo", "pipefail", "-c", this.#adapted(code)], {
      cwd: this.folder,
      env: this.#environment(),
      stdio: ["ignore", "pipe", "pipe"],
      // A process group of its own, so that what bash has started ends with it.
      detached: true,
    });
    const errors = text(child.stderr!);
    let said = "";
    for await (const piece of child.stdout!) {
      said += String(piece);
      const [, address] = /http:\/\/(127\.0\.0\.1:\d+)/.exec(said) ?? [];
      if (address === undefined) continue;
      this.#server = { child, address };
      child.stdout!.resume();
      return;
    }
    throw new Error(`The server ended before it listened: ${said}${await errors}`);
  }

  async close(): Promise<void> {
    await this.#stopServer();
    await this.#redis?.stop();
    await this.#upstream.close();
  }

  async #needServer(): Promise<void> {
    if (this.#server !== undefined) return;
    await this.serve({
      page: "",
      line: 0,
      language: "sh",
      code: "exec deno run -A --no-check server.ts",
      mark: undefined,
    });
  }

  async #stopServer(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const ended = once(server.child, "exit");
    process.kill(-server.child.pid!, "SIGTERM");
    await ended;
  }

  async #spawn(program: string, args: readonly string[]): Promise<Ended> {
    const child = spawn(program === "deno" ? join(this.#programs, program) : program, args, {
      cwd: this.folder,
      env: this.#environment(),
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const patience = setTimeout(() => process.kill(-child.pid!, "SIGKILL"), PATIENCE);
    const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
    clearTimeout(patience);
    return { code, output, errors };
  }

  #adapted(code: string): string {
    const { address } = this.#server ?? {};
    const withServer = address === undefined ? code : code.replaceAll(WRITTEN, address);
    return this.#redis === undefined ? withServer : withServer.replaceAll(REDIS, this.#redis.url);
  }

  #environment(): Record<string, string | undefined> {
    const { url } = this.#upstream;
    const own = Object.entries(process.env).filter(([name]) => !/^(WARMCACHE|OPENAI|ANTHROPIC)_|^NO_CACHE$/.test(name));
    return {
      ...Object.fromEntries(own),
      PATH: `${this.#programs}:${ROOT}node_modules/.bin:${process.env.PATH}`,
      NO_COLOR: "1",
      DENO_NO_UPDATE_CHECK: "1",
      OPENAI_BASE_URL: `${url}/v1`,
      OPENAI_API_KEY: "sk-example",
      ANTHROPIC_BASE_URL: url,
      ANTHROPIC_API_KEY: "sk-ant-example",
      GOOGLE_GEMINI_BASE_URL: url,
      GEMINI_API_KEY: "example",
      OPS_KEY: "ops-0123456789abcdef",
      WARMCACHE_PORT: "0",
      WARMCACHE_UPSTREAM: `openai=${url},anthropic=${url},google=${url}`,
    };
  }
}

type Asked = {
  readonly model?: string;
  readonly messages?: readonly { readonly content: unknown }[];
  readonly input?: unknown;
};

/** What the provider says: to what the pages ask the right answer, to all else the number of its characters. */
function answered(path: string, { model, messages, input }: Asked): Response | undefined {
  if (path.endsWith("/embeddings")) {
    const texts = Array.isArray(input) ? input : [input];
    const data = texts.map((each, index) => ({ object: "embedding", index, embedding: [String(each).length, 1] }));
    return Response.json({
      object: "list",
      model,
      data,
      usage: { prompt_tokens: texts.length, total_tokens: texts.length },
    });
  }
  if (!path.endsWith("/chat/completions")) return undefined;
  const question = String(messages?.at(-1)?.content ?? "");
  const [, answer] = KNOWN.find(([part]) => question.includes(part)) ?? [];
  const content = answer ?? `${question.length} characters.`;
  return Response.json({
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1,
    model,
    choices: [{
      index: 0,
      message: { role: "assistant", content, refusal: null },
      logprobs: null,
      finish_reason: "stop",
    }],
    usage: { prompt_tokens: 12, completion_tokens: 3, total_tokens: 15 },
  });
}

const KNOWN: readonly (readonly [part: string, answer: string])[] = [
  ["Say hi", "Hi!"],
  ["capital of Australia", "Canberra"],
  ["nearest to the sun", "Mercury"],
  ["17 + 25", "42"],
];
