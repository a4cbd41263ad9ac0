/**
 * The server: keeps ONNX models and their LoRA adapters warm behind a response cache and speaks OpenAI's API.
 * Run it with `deno run -A server.ts`, or start one from a program:
 *
 * ```ts
 * import { startServer } from "@warmcache/warmcache/server";
 *
 * await using server = await startServer({ port: 0, models: "models" });
 * console.log(server.url);
 * ```
 *
 * @module
 */

import { main } from "./src/cli/main.ts";

export type { ApiEndpoint } from "./src/model/api/endpoint.ts";
export type { ApiEndpoints } from "./src/compose/api_kind.ts";
export type { ModelsOptions } from "./src/compose/backends.ts";
export type { BackendKind } from "./src/warm/kinds.ts";
export type { Log, LogFields, LogLevel } from "./src/compose/log.ts";
export type { LimitOptions } from "./src/http/limits/limits.ts";
export type { QueueLimits } from "./src/warm/queue.ts";
export type { ModelKind } from "./src/model/backend.ts";
export type { KeepAlive } from "./src/warm/keep_alive.ts";
export type { Listing } from "./src/warm/catalogue.ts";
export type { Dtype } from "./src/warm/dtype.ts";
export type { ApiKeyOptions, KeyScope } from "./src/http/auth.ts";
export type { UpstreamOptions, UpstreamTable } from "./src/compose/upstreams.ts";
export { type RunningServer, type ServerOptions, startServer } from "./src/compose/server.ts";

if ((import.meta as { main?: boolean }).main) await main();
