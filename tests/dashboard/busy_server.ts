/**
 * A server that has seen some weeks of work: local models answer and go, a stand-in for providers is asked and paid. All
 * that the dashboard shows of it has happened, only the days went by quickly.
 */

import type { RunningServer, ServerOptions } from "../../src/compose/server.ts";
import { testServer } from "../server/support.ts";
import { copyModelWithOtherWeights, KJV_TINY } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { startUpstream, type Upstream } from "../support/upstream/upstream.ts";
import { cp } from "node:fs/promises";
import { join } from "node:path";

/** The server, the provider behind it, and the days. */
export interface BusyServer extends AsyncDisposable {
  readonly server: RunningServer;
  readonly upstream: Upstream;
  /** How far the server's clock is off, in milliseconds. */
  shift: number;
  /** Posts JSON and reads the answer to its end. */
  ask(path: string, body: object, headers?: Record<string, string>): Promise<number>;
}

/** Starts one that has seen nothing, with the example model and two others like it. */
export async function startBusyServer(options: ServerOptions = {}): Promise<BusyServer> {
  const upstream = await startUpstream();
  const models = await temporaryFolder();
  await cp(KJV_TINY, join(models, "kjv-tiny"), { recursive: true });
  await copyModelWithOtherWeights(models, "kjv-tiny-tuned");
  await copyModelWithOtherWeights(models, "kjv-tiny-draft", (weight) => weight / 2);
  const at = { url: upstream.url };
  const now = Date.now;
  const busy = { shift: 0 };
  const clock = { now: () => now() + busy.shift };
  const server = await testServer(
    {
      models,
      hub: false,
      cache: await temporaryFolder(),
      upstreams: { openai: at, anthropic: at, google: at },
      ...options,
    },
    undefined,
    clock,
  );
  return Object.assign(busy, {
    server,
    upstream,
    ask: async (path: string, body: object, headers: Record<string, string> = {}): Promise<number> => {
      const response = await fetch(`${server.url}${path}`, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers },
        body: JSON.stringify(body),
      });
      await response.arrayBuffer();
      return response.status;
    },
    [Symbol.asyncDispose]: async (): Promise<void> => {
      await server.stop();
      await upstream.close();
    },
  });
}

/** An answer of OpenAI's form with a usage, so that it has a price. */
export function chatAnswer(model: unknown, content: string, [prompt, completion]: readonly [number, number]): Response {
  return Response.json({
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1_795_000_000,
    model,
    choices: [{
      index: 0,
      message: { role: "assistant", content, refusal: null },
      finish_reason: "stop",
      logprobs: null,
    }],
    usage: { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
  });
}

/** The same of Anthropic's form. */
export function messageAnswer(model: unknown, text: string, [prompt, completion]: readonly [number, number]): Response {
  return Response.json({
    id: "msg_1",
    type: "message",
    role: "assistant",
    model,
    content: [{ type: "text", text }],
    stop_reason: "end_turn",
    stop_sequence: null,
    usage: { input_tokens: prompt, output_tokens: completion },
  });
}
