/**
 * What `ps` prints: the answer of `/health` as a table for people, one base a line.
 *
 * @module
 */

import type { Health } from "../http/health.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import type { LoadedModel } from "../warm/backend_cache.ts";
import type { Console } from "./console.ts";
import type { Style } from "./paint.ts";
import { size } from "./size.ts";
import { type Column, type Row, table } from "./table.ts";
import { oneLine } from "./text_width.ts";

/** How to print. */
export interface TableOptions extends Pick<Console, "width" | "paint"> {
  /** The time now, since 1970. */
  readonly now: Milliseconds;
}

const STATE_STYLES: Readonly<Record<LoadedModel["state"], Style>> = {
  loading: "yellow",
  warm: "green",
  draining: "dim",
  cooldown: "red",
};

const COLUMNS: readonly Column[] = [
  { title: "NAME", least: 16 },
  { title: "ADAPTERS", least: 8, leaves: 5 },
  { title: "DEVICE", leaves: 3 },
  { title: "STATE" },
  { title: "LEASES", side: "right", leaves: 4 },
  { title: "MEMORY", side: "right" },
  { title: "LOADED IN", side: "right", leaves: 1 },
  { title: "LAST USED", leaves: 2 },
  { title: "UNTIL" },
];
/** How many adapters of a base are named. */
const MOST_ADAPTERS = 2;

/** The whole text, without a line break at its end. */
export function healthTable(health: Health, { now, width, paint }: TableOptions): string {
  const models = health.loaded_models;
  const rows = models.map((model): Row => ({
    cells: cellsOf(model, now),
    styles: COLUMNS.map(({ title }) => title === "STATE" ? STATE_STYLES[model.state] : undefined),
  }));
  const reasons = models.flatMap(({ last_error }) => last_error === null ? [] : [paint(oneLine(last_error), "red")]);
  return [
    ...rows.length === 0 ? ["Nothing is loaded."] : table(COLUMNS, rows, width, paint),
    ...reasons,
    "",
    paint(summary(health), "dim"),
  ].join("\n");
}

function cellsOf(model: LoadedModel, now: Milliseconds): string[] {
  const { base, device, state, leases, load_seconds, last_used } = model;
  return [
    base,
    adaptersOf(model),
    device,
    state,
    String(leases),
    memoryOf(model),
    load_seconds === null ? "-" : duration(load_seconds * 1000),
    `${duration(now - Date.parse(last_used))} ago`,
    untilOf(model, now),
  ];
}

function adaptersOf({ adapters }: LoadedModel): string {
  if (adapters.length === 0) return "-";
  // The last one was used last.
  const named = adapters.toReversed().slice(0, MOST_ADAPTERS);
  const more = adapters.length - named.length;
  return named.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

function memoryOf({ state, bytes, gpu_bytes, predicted_bytes }: LoadedModel): string {
  if (state === "loading") return `about ${size(predicted_bytes)}`;
  const held = [...bytes > 0 ? [size(bytes)] : [], ...gpu_bytes > 0 ? [`${size(gpu_bytes)} GPU`] : []];
  return held.join(" + ") || "-";
}

function untilOf({ state, pinned, leases, keep_alive_until, cooldown_until }: LoadedModel, now: Milliseconds): string {
  switch (state) {
    case "loading":
      return "-";
    case "draining":
      return leases > 0 ? "its requests end" : "now";
    case "cooldown":
      return cooldown_until === null ? "its files change" : `in ${duration(Date.parse(cooldown_until) - now)}`;
    case "warm":
      if (pinned) return "unpinned";
      if (leases > 0) return "in use";
      return keep_alive_until === null ? "room is needed" : `in ${duration(Date.parse(keep_alive_until) - now)}`;
  }
}

function summary(health: Health): string {
  const { loaded_models, max_loaded_models, bytes, max_bytes, gpu_bytes, max_gpu_bytes, waiting_requests } = health;
  const inMemory = loaded_models.filter(({ state }) => state !== "cooldown").length;
  const of = (most: number | null): string => most === null ? "" : ` of ${size(most)}`;
  const parts = [
    `${inMemory} of ${max_loaded_models} places`,
    `${size(bytes)}${of(max_bytes)}`,
    ...gpu_bytes > 0 || max_gpu_bytes !== null ? [`${size(gpu_bytes)}${of(max_gpu_bytes)} on the GPU`] : [],
    ...waiting_requests > 0
      ? [`${waiting_requests} ${waiting_requests === 1 ? "request waits" : "requests wait"}`]
      : [],
  ];
  return parts.join(", ");
}

/** Two clocks may differ by a little: what should be past is never ahead. */
function duration(milliseconds: Milliseconds): string {
  const seconds = Math.max(milliseconds, 0) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${seconds.toFixed(0)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(0)} min`;
  if (seconds < 172_800) return `${(seconds / 3600).toFixed(0)} h`;
  return `${(seconds / 86_400).toFixed(0)} days`;
}
