/**
 * What is counted of warm models. The age at eviction is the figure to watch: where bases go soon after they came, there
 * is too little room for what is asked for.
 *
 * @module
 */

import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { EvictionReason } from "../../warm/events.ts";
import type { LoadedModel } from "../../warm/loaded_model.ts";
import type { ServerParts } from "../parts.ts";
import { BoundedNames } from "./bounded_names.ts";

const LOAD_TIMES = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
const UNLOAD_TIMES = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const AGES = [1, 10, 30, 60, 300, 600, 1800, 3600, 14_400, 86_400];

const REASONS: readonly EvictionReason[] = ["room", "idle", "unload", "shutdown"];
const STATES: readonly LoadedModel["state"][] = ["loading", "warm", "draining", "cooldown"];

/** As many bases have series of their own. */
const MOST_BASES = 100;

/** Adds them. */
export function modelMetrics(registry: Registry, { backends }: Pick<ServerParts, "backends">): void {
  stateMetrics(registry, backends);
  const registers = [registry];
  const bases = new BoundedNames(MOST_BASES);
  const loadTime = new Histogram({
    name: "warmcache_model_load_seconds",
    help: "Time it took to load a base.",
    labelNames: ["model"],
    buckets: LOAD_TIMES,
    registers,
  });
  const loadQueue = new Histogram({
    name: "warmcache_load_queue_seconds",
    help: "Time a load waited until there was room for it.",
    buckets: LOAD_TIMES,
    registers,
  });
  const unloadTime = new Histogram({
    name: "warmcache_model_unload_seconds",
    help: "Time it took to end a base's Worker.",
    buckets: UNLOAD_TIMES,
    registers,
  });
  const age = new Histogram({
    name: "warmcache_model_age_at_eviction_seconds",
    help: "How long a base had been in memory when it was evicted.",
    buckets: AGES,
    registers,
  });
  const evictions = new Counter({
    name: "warmcache_model_evictions_total",
    help:
      "Bases evicted: to make room, because nobody used them (idle), by an operator (unload), at the end (shutdown).",
    labelNames: ["reason"],
    registers,
  });
  for (const reason of REASONS) evictions.inc({ reason }, 0);
  const bytesReturned = new Counter({
    name: "warmcache_evicted_bytes_returned_total",
    help: "Bytes that evicted bases held.",
    registers,
  });
  const failures = new Counter({
    name: "warmcache_model_load_failures_total",
    help: "Loads that failed.",
    labelNames: ["model"],
    registers,
  });
  const losses = new Counter({
    name: "warmcache_model_worker_losses_total",
    help: "Workers of bases that died by themselves.",
    registers,
  });

  backends.on((event) => {
    switch (event.type) {
      case "loading":
        return loadQueue.observe(event.waitedSeconds);
      case "loaded":
        return loadTime.observe({ model: bases.labelOf(event.base, true) }, event.seconds);
      case "load_failed":
        return failures.inc({ model: bases.labelOf(event.base, true) });
      case "evicted":
        evictions.inc({ reason: event.reason });
        bytesReturned.inc(event.bytes);
        age.observe(event.ageSeconds);
        return unloadTime.observe(event.closeSeconds);
      case "worker_lost":
        return losses.inc();
    }
  });
}

/** What is in memory now. */
function stateMetrics(registry: Registry, backends: ServerParts["backends"]): void {
  const registers = [registry];
  new Gauge({
    name: "warmcache_warm_models",
    help: "Bases that are warm.",
    registers,
    collect() {
      this.set(backends.loaded().filter(({ state }) => state === "warm").length);
    },
  });
  new Gauge({
    name: "warmcache_max_loaded_models",
    help: "How many bases may be in memory at once.",
    registers,
    collect() {
      this.set(backends.maxLoaded);
    },
  });
  new Gauge({
    name: "warmcache_model_state",
    help: "How many bases of a name are in a state, of those that are not cold.",
    labelNames: ["model", "dtype", "state"],
    registers,
    collect() {
      this.reset();
      for (const { base: model, dtype, state } of backends.loaded()) {
        for (const each of STATES) this.inc({ model, dtype, state: each }, each === state ? 1 : 0);
      }
    },
  });
  new Gauge({
    name: "warmcache_model_memory_bytes",
    help: "Bytes that a base holds, in this machine's memory (ram) and on the GPU (gpu).",
    labelNames: ["model", "dtype", "memory"],
    registers,
    collect() {
      this.reset();
      for (const { base: model, dtype, bytes, gpu_bytes } of backends.loaded()) {
        this.inc({ model, dtype, memory: "ram" }, bytes);
        this.inc({ model, dtype, memory: "gpu" }, gpu_bytes);
      }
    },
  });
  new Gauge({
    name: "warmcache_waiting_requests",
    help: "Requests that wait for a model: for room, for its load, or for its Worker to be done with others.",
    registers,
    collect() {
      this.set(backends.queued);
    },
  });
}
