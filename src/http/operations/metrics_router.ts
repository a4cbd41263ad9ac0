/**
 * The gauges by which routers of model servers choose one, under the names that vLLM has given them: how many requests
 * run and wait, and which adapters are where. Routers that speak the Gateway API's protocol know these names by default.
 *
 * @see https://github.com/kubernetes-sigs/gateway-api-inference-extension/tree/main/docs/proposals/003-model-server-protocol
 * @see https://docs.vllm.ai/en/latest/usage/metrics/
 * @module
 */

import { Gauge, type Registry } from "prom-client";
import type { ServerParts } from "../parts.ts";

/** Adds them. */
export function routerMetrics(registry: Registry, { backends, clock }: Pick<ServerParts, "backends" | "clock">): void {
  const registers = [registry];
  new Gauge({
    name: "vllm:num_requests_running",
    help: "Requests that a model works for.",
    registers,
    collect() {
      const leases = backends.loaded().reduce((sum, { leases }) => sum + leases, backends.waiting);
      this.set(Math.max(0, leases - backends.queued));
    },
  });
  new Gauge({
    name: "vllm:num_requests_waiting",
    help: "Requests that wait for a model.",
    registers,
    collect() {
      this.set(backends.queued);
    },
  });
  new Gauge({
    name: "vllm:kv_cache_usage_perc",
    help: "Share of the memory for attention caches that is in use, from 0 to 1; there is no such pool here, hence 0.",
    registers,
    collect() {
      this.set(0);
    },
  });
  new Gauge({
    name: "vllm:lora_requests_info",
    help: "When it was last looked which adapters are in memory (running) or on their way there (waiting), since 1970.",
    labelNames: ["max_lora", "running_lora_adapters", "waiting_lora_adapters"],
    registers,
    collect() {
      const loaded = backends.loaded();
      const running = loaded.filter(({ state }) => state === "warm").flatMap(({ base, adapters }) =>
        adapters.map((adapter) => `${base}+${adapter}`)
      );
      const waiting = loaded.filter(({ state, adapter }) => state === "loading" && adapter !== null).map(
        ({ base, adapter }) => `${base}+${adapter}`,
      );
      this.reset();
      this.set({
        max_lora: String(backends.maxAdapters),
        running_lora_adapters: listOf(running),
        waiting_lora_adapters: listOf(waiting),
      }, clock.now() / 1000);
    },
  });
}

/** The same adapters make the same label, in whatever order they were used. */
function listOf(names: readonly string[]): string {
  return [...new Set(names)].sort().join(",");
}
