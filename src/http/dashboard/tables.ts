/**
 * The overview's tables: requests that took long or cost much, models, and what the store holds.
 *
 * @module
 */

import type { CacheStatistics, Counts } from "../../cache/ledger/statistics.ts";
import type { RequestRecord } from "../operations/request_watch.ts";
import { gauge } from "./chart.ts";
import { bytes, clockTime, count, counted, dateTime, dollars, duration, percent } from "../../runtime/readable.ts";
import { type Html, markup, NOTHING } from "./html.ts";
import { type Fact, factList, section } from "./page.ts";
import { paidFor, type Ranked } from "./rankings.ts";

/** Requests, as far as one may see them. */
export function requestsSection({ slowest, dearest, latest }: Ranked): Html {
  const about = "Requests for answers since the server started: who asked what for how much, never what was said.";
  if (latest.length === 0) {
    return section(
      "requests",
      "Requests",
      about,
      markup`<p class="empty">No model was asked for since the server started.</p>`,
    );
  }
  return section(
    "requests",
    "Requests",
    about,
    markup`<div class="lists">
${requestTable("Slowest", slowest)}
${
      dearest.length === 0
        ? markup`<div>
<h3>Dearest</h3>
<p class="empty">Nothing was paid, as far as it is known.</p>
</div>`
        : requestTable("Dearest", dearest)
    }
${requestTable("Latest", latest)}
</div>`,
    "is-wide",
  );
}

function requestTable(name: string, records: readonly RequestRecord[]): Html {
  return markup`<div>
<h3 id="${name}">${name}</h3>
<div class="scroll" tabindex="0" role="region" aria-labelledby="${name}">
<table class="requests">
<thead>
<tr>
<th scope="col">Model</th>
<th scope="col">Cache</th>
<th scope="col">Took</th>
<th scope="col">Cost</th>
<th scope="col">At</th>
</tr>
</thead>
<tbody>${records.map(requestRow)}</tbody>
</table>
</div>
</div>`;
}

function requestRow(record: RequestRecord): Html {
  const { id, model, provider, cache, duration: took, firstByteTime, time, status, errorCode, isStream } = record;
  const cost = paidFor(record);
  const first = isStream ? `; the first byte came after ${duration(firstByteTime)}` : "";
  return markup`<tr>
<th scope="row"><span class="model" title="${model}">${model}</span><span class="under">${
    provider === undefined ? NOTHING : `${provider} · `
  }<code title="Request ${id}">${id.slice(0, 8)}</code></span></th>
<td>${
    status >= 400
      ? markup`<span class="outcome is-bad">${status}${errorCode === undefined ? NOTHING : ` ${errorCode}`}</span>`
      : markup`<span class="outcome is-${cache ?? "none"}">${cache ?? "–"}</span>`
  }</td>
<td title="Until the last byte${first}">${duration(took)}</td>
<td>${cost === 0 ? "–" : dollars(cost)}</td>
<td><time datetime="${new Date(time).toISOString()}" title="${dateTime(time)}">${clockTime(time)}</time></td>
</tr>`;
}

/** What came of requests, model by model. */
export function modelsSection(perModel: Readonly<Record<string, Counts>>, isAllTime: boolean): Html {
  const about = isAllTime
    ? "All time, the most asked for first."
    : "Since the server started, the most asked for first.";
  const models = Object.entries(perModel).sort(([, a], [, b]) => b.lookups - a.lookups || b.bypassed - a.bypassed);
  if (models.length === 0) {
    return section("models", "Models", about, markup`<p class="empty">No model was asked for yet.</p>`);
  }
  return section(
    "models",
    "Models",
    about,
    markup`<div class="scroll" tabindex="0" role="region" aria-label="The models in numbers">
<table class="models">
<thead>
<tr>
<th scope="col">Model</th>
<th scope="col" class="wide">Hit rate</th>
<th scope="col">Lookups</th>
<th scope="col">Saved</th>
<th scope="col">Tokens saved</th>
<th scope="col">Waiting saved</th>
<th scope="col">Spent</th>
</tr>
</thead>
<tbody>${models.map(([name, counts]) => modelRow(name, counts))}</tbody>
</table>
</div>`,
  );
}

function modelRow(name: string, { lookups, hits, hitRate, saved, spentMicrodollars, bypassed }: Counts): Html {
  const words = lookups === 0 ? "–" : percent(hitRate);
  return markup`<tr>
<th scope="row"><a class="model" href="${listAddress({ model: name })}" title="${name}">${name}</a></th>
<td class="wide"><span class="meter">${
    gauge(`${counted(hits, "hit")} of ${counted(lookups, "lookup")}`, [
      { label: counted(hits, "hit"), value: hits, look: "fill" },
    ], lookups)
  }<span>${words}</span></span></td>
<td>${count(lookups)}${
    bypassed === 0 ? NOTHING : markup`<span class="under">and ${count(bypassed)} past the cache</span>`
  }</td>
<td>${dollars(saved.costMicrodollars)}</td>
<td>${count(saved.promptTokens + saved.completionTokens)}</td>
<td>${duration(saved.latency)}</td>
<td>${dollars(spentMicrodollars)}</td>
</tr>`;
}

/** Where requests are listed: those of a model, in a namespace, with a text in them, from one on. */
export function listAddress(words: Readonly<Record<string, string | number | undefined>>): string {
  return addressOf("/dashboard/requests", words);
}

/** A path with a query of the words that say something. */
export function addressOf(path: string, words: Readonly<Record<string, string | number | undefined>>): string {
  const said = Object.entries(words).filter(([, value]) => value !== undefined && value !== "" && value !== 0);
  const query = new URLSearchParams(said.map(([name, value]) => [name, String(value)]));
  return said.length === 0 ? path : `${path}?${query}`;
}

/** What the store holds, and what went wrong with it. */
export function storeSection({ store, lastError, failedWrites, failedLookups }: CacheStatistics): Html {
  const { name, location, entries, bodyBytes, storedBytes, totalBytes, ratio } = store;
  const known = <T>(value: T | null, say: (value: T) => string): string =>
    value === null ? "not known now" : say(value);
  const facts: readonly Fact[] = [
    ["Answers", known(entries, count)],
    ["As returned", known(bodyBytes, bytes)],
    ["As stored", known(storedBytes, bytes)],
    ["Compression", known(ratio, (value) => `${value.toFixed(1)} times`)],
    ["In all", known(totalBytes, bytes)],
    ["Failed writes", count(failedWrites)],
    ["Failed lookups", count(failedLookups)],
  ];
  return section(
    "store",
    "Store",
    markup`Where answers live: ${name}.`,
    markup`${factList(facts)}<p class="place"><code>${location}</code></p>${
      lastError === null
        ? NOTHING
        : markup`<p class="error">Its last failure, ${dateTime(lastError.time)}: ${lastError.message}</p>`
    }`,
  );
}
