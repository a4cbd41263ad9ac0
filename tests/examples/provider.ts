/** A provider that knows the answers to the examples' questions, and how the examples are run against it. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { startUpstream, type Upstream } from "../support/upstream/upstream.ts";

const ANSWERS: readonly (readonly [question: string, answer: string])[] = [
  ["17 + 25", "42"],
  ["Australia", "Canberra"],
  ["nearest to the sun", "Mercury"],
  ["hexagon", "6"],
  ["liquid", "Mercury"],
  ["Berlin Wall", "1989"],
  ["gold", "Au"],
  ["A bat and a ball", "5"],
];

/** What an example said, and how it ended. */
export interface Ended {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

/** Starts a provider that answers all that the examples ask. */
export async function startKnowingProvider(): Promise<Upstream> {
  const upstream = await startUpstream();
  for (const [question, content] of ANSWERS) upstream.mock.onMessage(question, { content });
  return upstream;
}

/** Runs an example as its users do. */
export async function runExample(
  [executable, ...args]: readonly [string, ...string[]],
  program: string | URL,
  { flags = [], directory, upstream, env = {} }: {
    flags?: readonly string[];
    directory: string;
    upstream?: Upstream;
    env?: Record<string, string>;
  },
): Promise<Ended> {
  const path = fileURLToPath(new URL(program, new URL("../../examples/", import.meta.url)));
  const own = Object.entries(process.env).filter(([name]) => !/^(OPENAI|WARMCACHE)_|^(NO_CACHE|MODEL)$/.test(name));
  const asked = upstream === undefined ? {} : { OPENAI_BASE_URL: `${upstream.url}/v1`, OPENAI_API_KEY: "sk-example" };
  const child = spawn(executable, [...args, path, ...flags], {
    cwd: directory,
    env: { ...Object.fromEntries(own), NO_COLOR: "1", ...asked, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "close")]);
  return { code, output, errors };
}
