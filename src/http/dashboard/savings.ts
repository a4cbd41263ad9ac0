/**
 * What the response cache is good for: how often it answered, and what that saved; today, in all time, day by day.
 *
 * @module
 */

import {
  type AllTime,
  type CacheStatistics,
  type Counts,
  type DayCounts,
  NO_COUNTS,
} from "../../cache/ledger/statistics.ts";
import type { Milliseconds } from "../../runtime/runtime.ts";
import { type Bar, barChart } from "./chart.ts";
import { clockTime, count, counted, dayOf, dollars, duration, percent, shortDay } from "../../runtime/readable.ts";
import { type Html, markup, NOTHING } from "./html.ts";
import type { Minute } from "./minutes.ts";
import { section } from "./page.ts";

/** Days that the charts show. */
const SHOWN_DAYS = 30;
const DAY: Milliseconds = 86_400_000;

/** A line of the ledger. */
type Line = readonly [name: string, figure: (counts: Counts) => string];

const LINES: readonly Line[] = [
  ["Dollars saved", ({ saved }) => dollars(saved.costMicrodollars)],
  ["Tokens saved", ({ saved }) => count(saved.promptTokens + saved.completionTokens)],
  ["Waiting saved", ({ saved }) => duration(saved.latency)],
  ["Dollars spent", ({ spentMicrodollars }) => dollars(spentMicrodollars)],
  ["Lookups", ({ lookups }) => count(lookups)],
  ["Hits", ({ hits }) => count(hits)],
  ["Shared calls", ({ shared }) => count(shared)],
];

/** The figures one opens the page for. */
export function headline(statistics: CacheStatistics, minutes: readonly Minute[], now: Milliseconds): Html {
  const { allTime } = statistics;
  const today = allTime?.perDay.find(({ day }) => day === dayOf(now)) ?? NO_COUNTS;
  const [counts, when] = leading(statistics, today);
  const columns: (readonly [string, Counts])[] = allTime === null
    ? [["Since start", statistics]]
    : [["Today", today], ["All time", allTime], ["Since start", statistics]];
  return markup`<section class="headline" aria-labelledby="rate-name">
<div class="rate">
<h1 id="rate-name">Hit rate${counts.lookups === 0 ? NOTHING : ` ${when}`}</h1>
${
    counts.lookups === 0
      ? markup`<p class="figure is-none" aria-hidden="true">0<span class="sign">\u2009%</span></p>`
      : markup`<p class="figure">${rateOf(counts.hitRate)}</p>`
  }
<p class="note">${
    counts.lookups === 0
      ? "Nothing was looked up yet."
      : markup`${counted(counts.hits, "hit")} of ${counted(counts.lookups, "lookup")}`
  }</p>
${hourChart(minutes)}
</div>
<div class="ledger${counts.lookups === 0 ? " is-none" : NOTHING}">
<table>
<caption class="unseen">What the response cache saved. Days are those of UTC.</caption>
<thead>
<tr><td></td>${columns.map(([name]) => markup`<th scope="col">${name}</th>`)}</tr>
</thead>
<tbody>${
    LINES.map(([name, figure], index) =>
      markup`<tr${index < 3 ? markup` class="main"` : NOTHING}><th scope="row">${name}</th>${
        columns.map(([, each]) => markup`<td>${figure(each)}</td>`)
      }</tr>`
    )
  }</tbody>
</table>
</div>
</section>`;
}

/** The number and its sign, which may be smaller. */
function rateOf(rate: number): Html {
  const [number, sign] = percent(rate).split("\u00a0");
  return markup`${number}<span class="sign">${"\u2009"}${sign}</span>`;
}

/** What is most telling: today, unless nothing was asked today. */
function leading(statistics: CacheStatistics, today: Counts): readonly [Counts, string] {
  if (today.lookups > 0) return [today, "today"];
  return statistics.allTime === null ? [statistics, "since the start"] : [statistics.allTime, "of all time"];
}

function hourChart(minutes: readonly Minute[]): Html {
  const lookups = minutes.reduce((sum, minute) => sum + minute.lookups, 0);
  const hits = minutes.reduce((sum, minute) => sum + minute.hits, 0);
  const highest = Math.max(...minutes.map((minute) => minute.lookups));
  return markup`<figure class="hour"><figcaption>Last hour <span class="key"><i class="dot fill"></i>hits <i class="dot rest"></i>the rest</span></figcaption>${
    barChart(
      {
        summary: `Lookups of the last 60 minutes: ${counted(lookups, "lookup")}, ${counted(hits, "hit")}`,
        bars: minutes.map((minute) => ({
          label: `${clockTime(minute.start).slice(0, 5)} UTC: ${counted(minute.lookups, "lookup")}, ${
            counted(minute.hits, "hit")
          }`,
          value: minute.lookups,
          part: minute.hits,
        })),
        ends: ["60 min ago", "now"],
        top: `${count(highest)} a minute`,
      },
    )
  }</figure>`;
}

/** The charts of the days. */
export function overTime(allTime: AllTime | null, now: Milliseconds): Html {
  const about = "Each bar is a day of UTC, over all processes that share the store.";
  if (allTime === null) {
    const why = "The store keeps no counts of days, or cannot be read now.";
    return section("time", "Over time", about, markup`<p class="empty">${why}</p>`);
  }
  const days = lastDays(allTime.perDay, now);
  const total = (figure: (counts: Counts) => number): number => days.reduce((sum, day) => sum + figure(day), 0);
  const figures: readonly Figure[] = [
    { name: "Lookups", value: ({ lookups }) => lookups, part: ({ hits, shared }) => hits + shared, format: count },
    { name: "Dollars saved", value: ({ saved }) => saved.costMicrodollars, format: dollars },
    {
      name: "Tokens saved",
      value: ({ saved }) => saved.promptTokens + saved.completionTokens,
      format: count,
    },
    { name: "Waiting saved", value: ({ saved }) => saved.latency, format: duration },
  ];
  return section(
    "time",
    "Over time",
    about,
    markup`<div class="multiples">${figures.map((figure) => dayChart(figure, days, total(figure.value)))}</div>
${dayTable(allTime.perDay)}`,
  );
}

interface Figure {
  readonly name: string;
  readonly value: (counts: Counts) => number;
  readonly part?: (counts: Counts) => number;
  readonly format: (value: number) => string;
}

function dayChart({ name, value, part, format }: Figure, days: readonly DayCounts[], total: number): Html {
  const bars: Bar[] = days.map((day) => {
    const answered = part?.(day);
    return {
      label: `${shortDay(day.day)}: ${format(value(day))}${
        answered === undefined ? "" : `, ${format(answered)} answered from the cache`
      }`,
      value: value(day),
      ...answered !== undefined && { part: answered },
    };
  });
  const highest = Math.max(...days.map(value));
  return markup`<figure><figcaption>${name} <strong>${format(total)}</strong></figcaption>${
    barChart({
      summary: `${name} on each of the last ${SHOWN_DAYS} days: ${format(total)} together`,
      bars,
      ends: [shortDay(days[0]!.day), "today"],
      top: format(highest),
    })
  }</figure>`;
}

/** One for each of the last days, those on which nothing happened too. */
function lastDays(perDay: readonly DayCounts[], now: Milliseconds): readonly DayCounts[] {
  const known = new Map(perDay.map((counts) => [counts.day, counts]));
  return Array.from({ length: SHOWN_DAYS }, (_, index) => {
    const day = dayOf(now - (SHOWN_DAYS - 1 - index) * DAY);
    return known.get(day) ?? { day, ...NO_COUNTS };
  });
}

/** The same in numbers, for whoever does not see bars. */
function dayTable(perDay: readonly DayCounts[]): Html {
  if (perDay.length === 0) return markup``;
  return markup`<details class="more">
<summary>The days in numbers</summary>
<div class="scroll" tabindex="0" role="region" aria-label="The days in numbers">
<table>
<thead>
<tr>
<th scope="col">Day</th>
<th scope="col">Lookups</th>
<th scope="col">Hits</th>
<th scope="col">Hit rate</th>
<th scope="col">Dollars saved</th>
<th scope="col">Tokens saved</th>
<th scope="col">Waiting saved</th>
<th scope="col">Dollars spent</th>
</tr>
</thead>
<tbody>${
    perDay.slice(-SHOWN_DAYS).reverse().map((
      { day, lookups, hits, hitRate, saved, spentMicrodollars },
    ) =>
      markup`<tr>
<th scope="row">${day}</th>
<td>${count(lookups)}</td>
<td>${count(hits)}</td>
<td>${percent(hitRate)}</td>
<td>${dollars(saved.costMicrodollars)}</td>
<td>${count(saved.promptTokens + saved.completionTokens)}</td>
<td>${duration(saved.latency)}</td>
<td>${dollars(spentMicrodollars)}</td>
</tr>`
    )
  }</tbody>
</table>
</div>
</details>`;
}
