/** The real server with its proxy, in front of a provider on loopback that speaks everybody's wire formats. */

import { type RunningServer, type ServerOptions, startServerOn } from "../../src/compose/server.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { startUpstream, type Upstream } from "../support/upstream/upstream.ts";

/** A server, the provider behind its proxy, and where it keeps what it is told. */
export interface ProxyUnderTest extends AsyncDisposable {
  readonly server: RunningServer;
  readonly upstream: Upstream;
  /** Folder of the response cache. */
  readonly folder: string;
  /** What the server logged. */
  readonly log: readonly string[];
  /** Where clients find a provider: `url("openai")`. */
  url(provider: string): string;
  /** Posts JSON, or text as it is; the path begins with the upstream's name. */
  post(path: string, body: unknown, headers?: Record<string, string>, signal?: AbortSignal): Promise<Response>;
}

/** The request of most tests. */
export const CHAT: { readonly model: string; readonly messages: readonly { role: "user"; content: string }[] } = {
  model: "gpt-4o-mini",
  messages: [{ role: "user", content: "Will it rain?" }],
};
/** Where it goes. */
export const CHAT_PATH = "openai/v1/chat/completions";

/** Starts both. All three providers are the one upstream, unless the options say otherwise. */
export async function startProxy(
  options: ServerOptions = {},
  machine: Partial<Runtime> = {},
): Promise<ProxyUnderTest> {
  const upstream = await startUpstream();
  upstream.mock.onMessage("rain", { content: "It will rain tomorrow, and then it will not." });
  upstream.mock.onMessage("umbrella", { toolCalls: [{ name: "umbrella", arguments: '{"open":true}' }] });
  const folder = await temporaryFolder();
  const log: string[] = [];
  const at = { url: upstream.url };
  const server = await startServerOn({ ...await loadRuntime(), ...machine }, {
    port: 0,
    models: await temporaryFolder(),
    hub: false,
    cache: folder,
    log: (_, line) => log.push(line),
    ...options,
    upstreams: { openai: at, anthropic: at, google: at, ...options.upstreams },
  });
  return {
    server,
    upstream,
    folder,
    log,
    url: (provider) => `${server.url}/${provider}`,
    post: (path, body, headers = {}, signal) =>
      fetch(`${server.url}/${path}`, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
        signal: signal ?? null,
      }),
    async [Symbol.asyncDispose]() {
      await server.stop();
      await upstream.close();
    },
  };
}

/** What the cache did with a request. */
export function cacheStatusOf({ headers }: Response): string | null {
  return headers.get("Cache-Status");
}
