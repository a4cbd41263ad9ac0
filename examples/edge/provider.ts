/** A provider that is none: it takes its time, and answers with what it was asked, whole or as a stream. */

import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";

/** How long it takes, in milliseconds. */
export interface Manners {
  /** Before it answers. Default: 500. */
  readonly thinking?: number;
  /** For each word of a stream. Default: 50. */
  readonly speaking?: number;
}

/** A provider that runs. */
export interface Provider {
  readonly url: string;
  /** How often it was asked. */
  readonly asked: number;
  close(): Promise<void>;
}

/** Starts it. */
export async function startProvider({ thinking = 500, speaking = 50 }: Manners = {}): Promise<Provider> {
  let asked = 0;
  const server = createServer(async (request, response) => {
    const { model, messages, stream } = JSON.parse(await text(request));
    asked++;
    await sleep(thinking);
    const content = `You said: ${messages.at(-1).content}`;
    const common = { id: `chatcmpl-${asked}`, created: 1, model };
    if (!stream) {
      response.setHeader("Content-Type", "application/json");
      response.end(JSON.stringify({
        ...common,
        object: "chat.completion",
        choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }],
        usage: { prompt_tokens: 10, completion_tokens: 10, total_tokens: 20 },
      }));
      return;
    }
    response.setHeader("Content-Type", "text/event-stream");
    const say = (delta: object, finish_reason: string | null = null): void => {
      const chunk = { ...common, object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason }] };
      response.write(`data: ${JSON.stringify(chunk)}\n\n`);
    };
    for (const word of content.split(/(?= )/)) {
      say({ content: word });
      await sleep(speaking);
    }
    say({}, "stop");
    response.end("data: [DONE]\n\n");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get asked() {
      return asked;
    },
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
