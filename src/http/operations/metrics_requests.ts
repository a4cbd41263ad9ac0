/**
 * What is counted of requests: how many, how they ended, how long they took, and how they fared in the cache.
 *
 * @module
 */

import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { ServerParts } from "../parts.ts";
import { BoundedNames } from "./bounded_names.ts";
import type { RequestRecord } from "./request_watch.ts";

/** Hits take a millisecond, answers of models minutes. */
const DURATIONS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

/** As many models have series of their own. */
const MOST_MODELS = 100;

/** Where nothing is known, or there was nothing. */
const NONE = "none";

/** Adds them. */
export function requestMetrics(registry: Registry, { requests, backends }: ServerParts): void {
  const registers = [registry];
  const models = new BoundedNames(MOST_MODELS);
  const isWarm = warmBases(backends);

  const total = new Counter({
    name: "warmcache_requests_total",
    help: "Requests that are over, by the pattern of their route, method and HTTP status (499: the client left).",
    labelNames: ["route", "method", "code"],
    registers,
  });
  const errors = new Counter({
    name: "warmcache_request_errors_total",
    help: "Requests that were refused or failed, by the error's code.",
    labelNames: ["route", "error"],
    registers,
  });
  const aborted = new Counter({
    name: "warmcache_requests_aborted_total",
    help: "Requests whose client left before the end of the answer.",
    registers,
  });
  const duration = new Histogram({
    name: "warmcache_request_duration_seconds",
    help: "Time of a request until its answer was there, of a stream until its last byte.",
    labelNames: ["route", "cache"],
    buckets: DURATIONS,
    registers,
  });
  const firstByte = new Histogram({
    name: "warmcache_stream_begin_seconds",
    help: "Time of a request for a stream of events until its headers were sent.",
    labelNames: ["route", "cache"],
    buckets: DURATIONS,
    registers,
  });
  const queued = new Histogram({
    name: "warmcache_request_queue_seconds",
    help: "Time a request waited for its model: for room, and for its load.",
    buckets: DURATIONS,
    registers,
  });
  const lookups = new Counter({
    name: "warmcache_cache_lookups_total",
    help: "Requests that the response cache had to do with, by how they fared there.",
    labelNames: ["provider", "model", "outcome"],
    registers,
  });
  const hits = new Counter({
    name: "warmcache_cache_hits_total",
    help: "Requests answered from the response cache; cold_model: by a model of this server's that was not in memory.",
    labelNames: ["cold_model"],
    registers,
  });
  for (const cold_model of ["true", "false"]) hits.inc({ cold_model }, 0);
  new Gauge({
    name: "warmcache_inflight",
    help: "Requests under way, those that wait included.",
    registers,
    collect() {
      this.set(requests.running);
    },
  });
  new Gauge({
    name: "warmcache_inflight_streams",
    help: "Requests under way whose answer, a stream of events, has begun.",
    registers,
    collect() {
      this.set(requests.streams);
    },
  });

  requests.on((record) => {
    const { route = NONE, method, status, cache = NONE, provider = NONE, errorCode, queueTime } = record;
    total.inc({ route, method: METHODS.has(method) ? method : "other", code: String(status) });
    duration.observe({ route, cache }, record.duration / 1000);
    if (record.isStream) firstByte.observe({ route, cache }, record.firstByteTime / 1000);
    if (record.isAborted) aborted.inc();
    if (errorCode !== undefined) errors.inc({ route, error: errorCode });
    if (queueTime !== undefined) queued.observe(queueTime / 1000);
    if (cache === NONE) return;
    lookups.inc({ provider, model: modelOf(record, models), outcome: cache });
    if (cache === "hit") hits.inc({ cold_model: isCold(record, isWarm) ? "true" : "false" });
  });
}

function modelOf({ model, status }: RequestRecord, models: BoundedNames): string {
  return model === undefined ? NONE : models.labelOf(model, status < 300);
}

function isCold({ baseIdentity }: RequestRecord, isWarm: (identity: string) => boolean): boolean {
  return baseIdentity !== undefined && !isWarm(baseIdentity);
}

/** Follows which bases are in memory: to ask for a list of them takes too long for every hit. */
function warmBases(backends: ServerParts["backends"]): (identity: string) => boolean {
  const warm = new Set<string>();
  backends.on(({ type, identity }) => {
    if (type === "loaded") warm.add(identity);
    else if (type === "draining" || type === "worker_lost") warm.delete(identity);
  });
  return (identity) => warm.has(identity);
}
