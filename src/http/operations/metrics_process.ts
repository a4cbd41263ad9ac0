/**
 * What is told of the process: which one it is, what it takes of its machine, and whether its event loop keeps up.
 *
 * @module
 */

import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { ServerParts } from "../parts.ts";
import { watchLoopLag } from "./loop_lag.ts";

const LAGS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];

/** Adds them. */
export function processMetrics(
  registry: Registry,
  { clock, lifecycle, runtime, version }: Pick<ServerParts, "clock" | "lifecycle" | "runtime" | "version">,
): void {
  const registers = [registry];
  const started = clock.now() / 1000;
  new Gauge({
    name: "warmcache_build_info",
    help: "Always 1; the labels say what runs.",
    labelNames: ["version", "runtime", "runtime_version"],
    registers,
  }).set({ version, runtime: runtime.name, runtime_version: runtime.version }, 1);
  new Gauge({
    name: "warmcache_draining",
    help: "1 when the server is on its way to its end, else 0.",
    registers,
    collect() {
      this.set(lifecycle.state === "running" ? 0 : 1);
    },
  });
  const lag = new Histogram({
    name: "warmcache_event_loop_lag_seconds",
    help: "By how much later than asked for a timer went off.",
    buckets: LAGS,
    registers,
  });
  void watchLoopLag(clock, lifecycle.closing, (late) => lag.observe(late / 1000));
  new Gauge({
    name: "process_start_time_seconds",
    help: "When the server was started, in seconds since 1970.",
    registers,
  }).set(started);
  new Counter({
    name: "process_cpu_seconds_total",
    help: "Processor time that the process has used.",
    registers,
    collect() {
      this.reset();
      this.inc(runtime.usage().cpuSeconds);
    },
  });
  new Gauge({
    name: "process_resident_memory_bytes",
    help: "Memory that the process has now, its Workers' included.",
    registers,
    collect() {
      this.set(runtime.usage().residentBytes);
    },
  });
}
