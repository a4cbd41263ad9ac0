/**
 * The page at `/`: what both caches do for you, now and over time.
 *
 * @module
 */

import type { AllTime, CacheStatistics } from "../../cache/ledger/statistics.ts";
import { curlCommand } from "../curl.ts";
import type { ServerParts } from "../parts.ts";
import { visibleModels } from "../statistics.ts";
import { happeningsSection } from "./happenings.ts";
import { age } from "../../runtime/readable.ts";
import { type Html, markup, NOTHING } from "./html.ts";
import type { Observer } from "./observer.ts";
import { headline, overTime } from "./savings.ts";
import { modelsSection, requestsSection, storeSection } from "./tables.ts";
import { warmSection } from "./warm.ts";

/** What the page is made of. */
export type OverviewParts = Pick<
  ServerParts,
  "activity" | "apiKeys" | "autoDevice" | "backends" | "catalogue" | "clock" | "loads"
>;

/**
 * The page for one key, or, where `owner` is `undefined`, for all.
 *
 * @param origin where the server is, as its reader knows it.
 */
export async function overview(
  parts: OverviewParts,
  observer: Observer,
  { owner, origin }: { readonly owner: string | undefined; readonly origin: string },
): Promise<Html> {
  const { backends, clock, loads, activity } = parts;
  const last = observer.feed.last;
  const statistics = await observer.statistics();
  const { allTime } = statistics;
  const now = clock.now();
  const models = backends.loaded();
  return markup`<div id="live" data-last="${last}">
<p class="status"><span class="pulse" aria-hidden="true"></span><span id="news" role="status">Up for ${
    age(activity.snapshot().uptimeSeconds * 1000)
  }.</span>
<button id="pause" class="quiet" type="button" aria-pressed="false" hidden>Pause</button></p>
${isNew(statistics) ? await firstSteps(parts, origin) : NOTHING}
<div id="savings" data-live>${headline(statistics, observer.minutes.last(now), now)}</div>
<div id="residents" data-live>${
    warmSection({
      models,
      known: ({ identity, state }) => ({
        since: observer.warmSince(identity),
        etaSeconds: state === "loading" ? loads.of({ identity })?.eta_seconds : undefined,
      }),
      maxLoaded: backends.maxLoaded,
      maxRamBytes: backends.maxRamBytes,
      maxGpuBytes: backends.maxGpuBytes,
      waiting: backends.waiting,
      device: deviceInWords(parts),
    }, now)
  }</div>
<div id="happened" data-live>${happeningsSection(observer.feed.after(0))}</div>
<div id="days" data-live>${overTime(allTime, now)}</div>
<div id="ranked" data-live>${requestsSection(observer.rankings.of(owner))}</div>
<div id="asked" data-live>${
    modelsSection(visibleModels((allTime ?? statistics).perModel, owner), allTime !== null)
  }</div>
<div id="stored" data-live>${storeSection(statistics)}</div>
</div>`;
}

function deviceInWords({ autoDevice }: OverviewParts): string | undefined {
  const auto = autoDevice();
  if (auto === undefined) return undefined;
  const { device, float16, reason } = auto;
  return `auto is ${device}${float16 ? " with float16" : ""}${reason === undefined ? "" : `: ${reason}`}`;
}

/** Whether nothing was ever asked, as far as anybody knows. */
function isNew({ lookups, bypassed, allTime, store }: CacheStatistics): boolean {
  const asked = (counts: Pick<AllTime, "lookups" | "bypassed">): number => counts.lookups + counts.bypassed;
  return asked({ lookups, bypassed }) + (allTime === null ? 0 : asked(allTime)) === 0 && !store.entries;
}

/** What to do on the first day. */
async function firstSteps({ apiKeys, catalogue }: OverviewParts, origin: string): Promise<Html> {
  const needsKey = apiKeys !== undefined;
  const local = (await catalogue.list()).find(({ problem }) => problem === undefined)?.id;
  const command = local === undefined ? askThere(origin, needsKey) : askHere(origin, local, needsKey);
  return markup`<section id="first" class="first" aria-labelledby="first-name">
<h2 id="first-name">Nothing was asked yet</h2>
<p>${
    local === undefined
      ? "Ask a provider through the server, twice. The first answer is bought; the second comes from the cache."
      : markup`Ask <strong>${local}</strong> twice. The first time it is loaded and answers; the second time the cache does.`
  } This page will tell.</p>
<div class="copyable"><pre tabindex="0" id="command"><code>${command}</code></pre><button class="copy" type="button" data-copy="command" hidden>Copy</button></div>
<p class="faint">Or give a client the address <code>${origin}/v1</code> for models here, <code>${origin}/openai/v1</code> for OpenAI’s, and change nothing else.</p>
</section>`;
}

/** Asks a model of this server. */
function askHere(origin: string, model: string, needsKey: boolean): string {
  const example = { model, prompt: "In the beginning", max_tokens: 16 };
  return curlPost(origin, "/v1/completions", needsKey ? "bearer" : undefined, example);
}

/** Asks a provider through this server. */
function askThere(origin: string, needsKey: boolean): string {
  const example = { model: "gpt-5-mini", messages: [{ role: "user", content: "Say a word." }] };
  const command = curlPost(origin, "/openai/v1/chat/completions", needsKey ? "header" : undefined, example);
  return `${command} \\\n  -H "Authorization: Bearer $OPENAI_API_KEY"`;
}

function curlPost(origin: string, path: string, key: "bearer" | "header" | undefined, example: object): string {
  const body = { type: "application/json", example };
  return curlCommand(origin, { method: "post", path, key, body, isStream: false });
}
