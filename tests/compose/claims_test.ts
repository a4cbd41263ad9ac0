import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { on, once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createInterface } from "node:readline";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { loadRuntime } from "../../src/runtime/load.ts";
import { requireRangeLocks } from "../support/parts.ts";
import { requireRuntime, RUNTIMES } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";

const WORKER = fileURLToPath(new URL("./claims_worker.ts", import.meta.url));
const TOPICS = 12;
/** Half a dozen processes start at once, which a busy machine takes its time for. */
const TIMEOUT = 120_000;

interface Line {
  readonly ready?: boolean;
  readonly waiting?: number;
  readonly topic?: number;
  readonly content?: string;
  readonly error?: string;
  readonly status?: number;
  readonly done?: boolean;
  readonly faults?: number;
  readonly lastError?: unknown;
}

/** A process that was started, and what it says. */
class Asker {
  readonly lines: Line[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #heard: () => void = () => {};

  constructor([program, ...args]: readonly [string, ...string[]], parameters: readonly string[]) {
    const child = spawn(program, [...args, WORKER, ...parameters], { stdio: ["pipe", "pipe", "inherit"] });
    this.#child = child;
    this.#ended = once(child, "exit");
    createInterface({ input: child.stdout! }).on("line", (text) => {
      this.lines.push(JSON.parse(text) as Line);
      this.#heard();
    });
  }

  /** Has it ask. */
  go(): void {
    this.#child.stdin!.write("go\n");
  }

  /** Waits until it has said so. */
  async hear(said: (line: Line) => boolean): Promise<void> {
    while (!this.lines.some(said)) await new Promise<void>((resolve) => this.#heard = resolve);
  }

  /** Ends it at once, as `kill -9` does. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  /** What it got, topic by topic. */
  get got(): Line[] {
    return this.lines.filter(({ topic }) => topic !== undefined).sort((a, b) => a.topic! - b.topic!);
  }
}

/** A provider that counts the calls for each topic, and answers when it is told to. */
class CountingProvider {
  readonly calls: number[] = Array.from({ length: TOPICS }, () => 0);
  readonly #server = createServer((request, response) => void this.#take(request, response));
  readonly #answers = Promise.withResolvers<number>();

  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}/`;
  }

  /** Answers all calls, now and later, with a status. */
  answer(status: number): void {
    this.#answers.resolve(status);
  }

  /** Waits until so many calls have come in all. */
  async called(count: number): Promise<void> {
    if (this.#count >= count) return;
    for await (const _ of on(this.#server, "counted")) if (this.#count >= count) return;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  get #count(): number {
    return this.calls.reduce((sum, calls) => sum + calls, 0);
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request) text += chunk;
    const { topic } = JSON.parse(text) as { topic: number };
    const content = `answer ${++this.calls[topic]!} about ${topic}`;
    this.#server.emit("counted");
    const status = await this.#answers.promise;
    const choices = [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }];
    response.writeHead(status, { "content-type": "application/json" });
    response.end(status === 200 ? JSON.stringify({ object: "chat.completion", choices }) : "overloaded");
  }
}

/** Runs a scenario with processes of all runtimes that are there, and ends what is left of them. */
async function withAskers(
  context: TestContext,
  claimDuration: number,
  act: (askers: Asker[], provider: CountingProvider) => Promise<void>,
): Promise<void> {
  if (!requireRangeLocks(context, await loadRuntime())) return;
  const commands = RUNTIMES.map((runtime) => requireRuntime(context, runtime)).filter((found) => found !== undefined);
  const provider = new CountingProvider();
  const parameters = [await temporaryFolder(), await provider.listen(), String(TOPICS), String(claimDuration)];
  const askers = [...commands, ...commands].map((command) => new Asker(command, parameters));
  try {
    await Promise.all(askers.map((asker) => asker.hear(({ ready }) => ready === true)));
    await act(askers, provider);
  } finally {
    await Promise.all(askers.map((asker) => asker.kill()));
    provider.close();
  }
}

/** Waits until a process is through, and makes sure that its store never failed. */
async function finish(asker: Asker): Promise<void> {
  await asker.hear(({ done }) => done === true);
  const { faults, lastError } = asker.lines.at(-1)!;
  assert.deepEqual({ faults, lastError }, { faults: 0, lastError: null });
}

describe("processes that miss the same answers at the same time", () => {
  it("buy each of them once, and all get it", { timeout: TIMEOUT }, async (context) => {
    await withAskers(context, 60_000, async (askers, provider) => {
      for (const asker of askers) asker.go();
      await provider.called(TOPICS);
      provider.answer(200);
      await Promise.all(askers.map(finish));
      assert.deepEqual(provider.calls, Array(TOPICS).fill(1));
      const answers = provider.calls.map((_, topic) => ({ topic, content: `answer 1 about ${topic}` }));
      for (const asker of askers) assert.deepEqual(asker.got, answers);
    });
  });

  it("share the failure of the one that calls", { timeout: TIMEOUT }, async (context) => {
    await withAskers(context, 60_000, async ([leader, ...followers], provider) => {
      leader!.go();
      await provider.called(TOPICS);
      for (const asker of followers) asker.go();
      await Promise.all(followers.map((asker) => asker.hear(({ waiting }) => waiting === TOPICS)));
      provider.answer(503);
      await Promise.all([leader!, ...followers].map(finish));
      assert.deepEqual(provider.calls, Array(TOPICS).fill(1));
      const errorOf = (error: string) => provider.calls.map((_, topic) => ({ topic, error, status: 503 }));
      assert.deepEqual(leader!.got, errorOf("Error"));
      for (const asker of followers) assert.deepEqual(asker.got, errorOf("call_failed"));
    });
  });

  it(
    "go on when the one that calls is killed, and buy each answer once more",
    { timeout: TIMEOUT },
    async (context) => {
      await withAskers(context, 4000, async ([leader, ...followers], provider) => {
        leader!.go();
        await provider.called(TOPICS);
        for (const asker of followers) asker.go();
        await Promise.all(followers.map((asker) => asker.hear(({ waiting }) => waiting === TOPICS)));
        await leader!.kill();
        provider.answer(200);
        await Promise.all(followers.map(finish));
        assert.deepEqual(provider.calls, Array(TOPICS).fill(2));
        const answers = provider.calls.map((_, topic) => ({ topic, content: `answer 2 about ${topic}` }));
        for (const asker of followers) assert.deepEqual(asker.got, answers);
      });
    },
  );
});
