/**
 * What is in memory and why: which bases, how much room they take of what there is, who uses them, and when they go.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import type { LoadedModel } from "../../warm/backend_cache.ts";
import { gauge } from "./chart.ts";
import { age, bytes, clockTime, counted, duration } from "../../runtime/readable.ts";
import { type Html, markup, NOTHING, type Piece } from "./html.ts";
import { type Fact, factList, section } from "./page.ts";

/** What is known of a base besides what the backend cache tells. */
export interface Known {
  /** When it became warm, in milliseconds since 1970. */
  readonly since: Milliseconds | undefined;
  /** In how many seconds its load should be done. */
  readonly etaSeconds: number | null | undefined;
}

/** All that the section shows. */
export interface Warmth {
  /** Most recently used last, after what rests. */
  readonly models: readonly LoadedModel[];
  readonly known: (model: LoadedModel) => Known;
  readonly maxLoaded: number;
  readonly maxRamBytes: number;
  readonly maxGpuBytes: number;
  /** Requests that wait for room. */
  readonly waiting: number;
  /** What the device `auto` is, in words; `undefined` before anybody asked. */
  readonly device: string | undefined;
}

const STATES: Readonly<Record<LoadedModel["state"], string>> = {
  loading: "Loading",
  warm: "Warm",
  draining: "Leaving",
  cooldown: "Resting",
};

/** The section. */
export function warmSection(warmth: Warmth, now: Milliseconds): Html {
  const { models } = warmth;
  const held = models.filter(({ state }) => state !== "cooldown");
  const about =
    markup`Weights take seconds to load and gigabytes to hold. These are in memory, the one used last on top.`;
  const rows = [...models].reverse().map((model) => baseRow(model, warmth, now));
  return section(
    "warm",
    "What is warm",
    about,
    markup`${room(warmth, held)}
${
      models.length === 0
        ? markup`<p class="empty">No model is in memory. The first request for one loads it; <code>--preload</code> and <code>--pin</code> load it with the server.</p>`
        : markup`<ul class="bases">${rows}</ul>`
    }`,
  );
}

function room({ maxLoaded, maxRamBytes, maxGpuBytes, waiting, device }: Warmth, held: readonly LoadedModel[]): Html {
  const gpuUsed = held.some(({ gpu_bytes }) => gpu_bytes > 0) || maxGpuBytes !== Infinity;
  return markup`<dl class="room">
<div><dt>Places</dt><dd><strong>${held.length}</strong> of ${maxLoaded}${
    waiting > 0 ? markup`, ${counted(waiting, "request")} ${waiting === 1 ? "waits" : "wait"} for room` : NOTHING
  }${
    gauge(
      `${held.length} of ${maxLoaded} places taken`,
      held.map(({ base }) => ({ label: base, value: 1, look: "fill" })),
      maxLoaded,
    )
  }</dd></div>
${memory("Memory", held, ({ bytes }) => bytes, maxRamBytes)}
${gpuUsed ? memory("GPU memory", held, ({ gpu_bytes }) => gpu_bytes, maxGpuBytes) : NOTHING}
${
    device === undefined ? NOTHING : markup`<div class="plain">
<dt>Device</dt>
<dd>${device}</dd>
</div>`
  }
</dl>`;
}

function memory(
  name: string,
  held: readonly LoadedModel[],
  measure: (model: LoadedModel) => number,
  limit: number,
): Html {
  const total = held.reduce((sum, model) => sum + measure(model), 0);
  // Without a limit a bar would be full whatever is held.
  if (limit === Infinity) {
    return markup`<div>
<dt>${name}</dt>
<dd><strong>${bytes(total)}</strong> <span class="faint">no limit is set</span></dd>
</div>`;
  }
  const of = `of ${bytes(limit)}`;
  return markup`<div>
<dt>${name}</dt>
<dd><strong>${bytes(total)}</strong> ${of}${
    gauge(
      `${name}: ${bytes(total)}, ${of}`,
      held.map((model) => ({
        label: `${model.base}: ${bytes(measure(model))}`,
        value: measure(model),
        look: "fill",
      })),
      limit,
    )
  }</dd>
</div>`;
}

function baseRow(model: LoadedModel, warmth: Warmth, now: Milliseconds): Html {
  const { base, dtype, device, kind, state, pinned } = model;
  const facts = warmth.known(model);
  return markup`<li class="base is-${state}">
<div class="base-name"><span class="state">${STATES[state]}</span><strong>${base}</strong>
<span class="faint">${kind === "onnx" ? NOTHING : `${kind} · `}${dtype} on ${device}</span>${
    pinned ? markup`<span class="tag">pinned</span>` : NOTHING
  }</div>
<p class="why">${whyOf(model, facts, now)}</p>
${state === "cooldown" ? NOTHING : size(model, warmth)}
${factList(factsOf(model, facts, now))}
</li>`;
}

/** What it holds, of what all may hold together, and what it was thought to take. */
function size({ base, bytes: ram, gpu_bytes: gpu, predicted_bytes: predicted }: LoadedModel, warmth: Warmth): Html {
  const { models, maxRamBytes, maxGpuBytes } = warmth;
  const line = (held: number, ahead: number, limit: number, words: string): Html => {
    const whole = limit === Infinity ? largest(models) : limit;
    const segments = [
      { label: `${bytes(held)} held`, value: held, look: "fill" },
      { label: `${bytes(predicted)} predicted`, value: ahead, look: "ghost" },
    ];
    return markup`<div class="size">${gauge(`${base}: ${words}`, segments, whole)}<span>${words}</span></div>`;
  };
  const held = ram + gpu === 0 ? "nothing measured yet" : bytes(ram);
  const inMemory = line(ram, Math.max(0, predicted - ram - gpu), maxRamBytes, `${held}; ${bytes(predicted)} predicted`);
  return gpu === 0 ? inMemory : markup`${inMemory}${line(gpu, 0, maxGpuBytes, `${bytes(gpu)} on the GPU`)}`;
}

/** What a bar is measured by where no limit is. */
function largest(models: readonly LoadedModel[]): number {
  return Math.max(
    ...models.map(({ bytes, gpu_bytes, predicted_bytes }) => Math.max(bytes + gpu_bytes, predicted_bytes)),
  );
}

/** Why a base is where it is, in a sentence. */
export function whyOf(model: LoadedModel, { etaSeconds }: Known, now: Milliseconds): Piece {
  const { state, leases, pinned, last_used, keep_alive_until, cooldown_until, last_error } = model;
  const requests = counted(leases, "request");
  const idle = age(now - Date.parse(last_used));
  switch (state) {
    case "loading": {
      const left = etaSeconds == null ? "" : `, about ${duration(etaSeconds * 1000)} left`;
      const who = leases === 0 ? "nobody waits for it now" : `${requests} ${leases === 1 ? "waits" : "wait"} for it`;
      return `It is loading${left}; ${who}.`;
    }
    case "draining":
      return leases === 0
        ? "It takes no more requests; its memory is being given back."
        : `It takes no more requests; ${requests} still ${leases === 1 ? "uses" : "use"} it.`;
    case "cooldown":
      return markup`Its load failed${
        cooldown_until === null
          ? ", and will until its files change"
          : `; it may be tried again in ${age(Date.parse(cooldown_until) - now)}, at ${
            clockTime(Date.parse(cooldown_until))
          } UTC`
      }. <span class="error">${last_error ?? NOTHING}</span>`;
    case "warm":
      break;
  }
  if (leases > 0) return `In use by ${requests}${pinned ? ", and pinned" : ""}.`;
  if (pinned) return `Pinned: it stays however long nobody uses it. Idle for ${idle}.`;
  if (keep_alive_until === null) return `Idle for ${idle}; it stays until its room is needed.`;
  const until = Date.parse(keep_alive_until);
  return `Idle for ${idle}; it goes in ${age(until - now)}, at ${
    clockTime(until)
  } UTC, unless it is used, and sooner if its room is needed.`;
}

function factsOf(model: LoadedModel, { since }: Known, now: Milliseconds): readonly Fact[] {
  const { state, leases, load_seconds, identity, adapters, adapter } = model;
  const content: Fact = ["Identity", markup`<code title="${identity}">${identity.slice(0, 12)}</code>`];
  if (state === "cooldown") return [content];
  const chips = adapters.map((each) =>
    markup`<span class="chip">${each}${
      each === adapter ? markup`<span class="unseen">, used last</span>` : NOTHING
    }</span>`
  );
  return [
    ["Leases", leases],
    ...load_seconds === null ? [] : [["Load took", duration(load_seconds * 1000)] as const],
    ...since === undefined ? [] : [["Warm for", age(now - since)] as const],
    content,
    ...adapters.length === 0 ? [] : [["Adapters in memory", chips] as const],
  ];
}
