/**
 * The pictures of `docs/scale.md`, from what `million.ts` has measured: how the figures grow with the cache, both axes
 * logarithmic, so that what grows with it is a straight line upwards, and what does not a level one.
 *
 * Run: `deno run -A bench/million_plot.ts; deno fmt docs/pictures`
 */

import { readFileSync, writeFileSync } from "node:fs";
import type { Report } from "./million.ts";

/** A curve: a figure of a step, by the size of the cache. */
interface Curve {
  readonly name: string;
  readonly step: string;
  readonly figure: string;
}

interface Picture {
  readonly file: string;
  readonly title: string;
  readonly description: string;
  /** What the vertical axis counts, and the unit's factor. */
  readonly unit: string;
  readonly factor: number;
  readonly curves: readonly Curve[];
}

const curve = (name: string, step: string, figure: string): Curve => ({ name, step, figure });

const PICTURES: readonly Picture[] = [
  {
    file: "million-one.svg",
    title: "One question of a growing cache",
    description:
      "Milliseconds for opening a cache, a hit, a miss, a thousand hits at once, the first page of a list and " +
      "an explanation, with 1,000 to 1,000,000 answers: the lines are almost level.",
    unit: "ms",
    factor: 1,
    curves: [
      curve("list, first 100", "list", "pageWork"),
      curve("open, first answer", "open", "firstWork"),
      curve("1,000 hits at once", "getMany", "work"),
      curve("explain a miss", "explain", "work"),
      curve("a hit", "lookup", "hit"),
      curve("a miss", "lookup", "miss"),
    ],
  },
  {
    file: "million-all.svg",
    title: "All of a growing cache",
    description:
      "Seconds for what looks at everything: a list of all requests, statistics, verifying, exporting, and " +
      "removing a model, a tag or the oldest tenth, with 1,000 to 1,000,000 answers: they grow as the cache does.",
    unit: "s",
    factor: 1e-3,
    curves: [
      curve("prune a model (12 %)", "prune a model", "cpu"),
      curve("export a pack", "export", "cpu"),
      curve("verify", "verify", "cpu"),
      curve("list all", "list", "cpu"),
      curve("prune the oldest 10 %", "prune the oldest tenth", "cpu"),
      curve("prune a tag (5 %)", "prune a tag", "cpu"),
      curve("list another namespace", "list another namespace", "cpu"),
      curve("statistics, 4 times", "stats", "cpu"),
    ],
  },
  {
    file: "million-turn.svg",
    title: "The longest turn of the event loop",
    description: "Milliseconds of processor time between two turns of the event loop at most, for each kind of work, " +
      "with 1,000 to 1,000,000 answers: level lines, between 20 and 65.",
    unit: "ms",
    factor: 1,
    curves: [
      curve("evict", "evict", "turn"),
      curve("prune a model", "prune a model", "turn"),
      curve("export", "export", "turn"),
      curve("verify", "verify", "turn"),
      curve("list", "list", "turn"),
      curve("explain", "explain", "turn"),
      curve("statistics", "stats", "turn"),
      curve("lookup", "lookup", "turn"),
    ],
  },
  {
    file: "million-memory.svg",
    title: "Memory of the process, at most",
    description:
      "MiB of resident memory at most, for each kind of work, with 1,000 to 1,000,000 answers: it grows with " +
      "what the page caches hold, from 100 to 340, and to 560 where 50,000 puts have others evicted.",
    unit: "MiB",
    factor: 1,
    curves: [
      curve("evict", "evict", "peak"),
      curve("prune a model", "prune a model", "peak"),
      curve("export", "export", "peak"),
      curve("verify", "verify", "peak"),
      curve("list", "list", "peak"),
      curve("statistics", "stats", "peak"),
      curve("explain", "explain", "peak"),
      curve("lookup", "lookup", "peak"),
      curve("open", "open", "peak"),
    ],
  },
];

const [WIDTH, HEIGHT] = [820, 420];
const [LEFT, RIGHT, TOP, BOTTOM] = [64, 250, 52, 52];
const COLOURS = 9;
const LABEL_HEIGHT = 15;

const report = JSON.parse(readFileSync(new URL("./million.json", import.meta.url), "utf8")) as Report;
for (const picture of PICTURES) {
  writeFileSync(new URL(`../docs/pictures/${picture.file}`, import.meta.url), draw(picture));
}

function draw({ title, description, unit, factor, curves }: Picture): string {
  const lines = curves.flatMap(({ name, step, figure }) => {
    const points = report.sizes.flatMap(({ entries, steps }) => {
      const value = steps[step]?.[figure];
      return value === undefined || value <= 0 ? [] : [[entries, value * factor] as const];
    });
    return points.length > 1 ? [{ name, points }] : [];
  });
  const [least, most] = decades(lines.flatMap(({ points }) => points.map(([, value]) => value)));
  const [fewest, largest] = decades(report.sizes.map(({ entries }) => entries));
  const x = (entries: number): number =>
    LEFT + (WIDTH - LEFT - RIGHT) * (Math.log10(entries) - fewest) / (largest - fewest);
  const y = (value: number): number => TOP + (HEIGHT - TOP - BOTTOM) * (most - Math.log10(value)) / (most - least);
  const parts: string[] = [];
  for (let decade = least; decade <= most; decade++) {
    const at = y(10 ** decade).toFixed(1);
    parts.push(`<path class="grid" d="M${LEFT} ${at}H${WIDTH - RIGHT}"/>`);
    parts.push(text(LEFT - 8, y(10 ** decade) + 4, (10 ** decade).toLocaleString("en"), "end"));
  }
  for (let decade = fewest; decade <= largest; decade++) {
    const at = x(10 ** decade).toFixed(1);
    parts.push(`<path class="grid" d="M${at} ${TOP}V${HEIGHT - BOTTOM}"/>`);
    parts.push(text(x(10 ** decade), HEIGHT - BOTTOM + 18, (10 ** decade).toLocaleString("en"), "middle"));
  }
  const places = spread(lines.map(({ points }) => y(points.at(-1)![1])));
  for (const [index, { name, points }] of lines.entries()) {
    const corners = points.map(([entries, value]) => `${x(entries).toFixed(1)} ${y(value).toFixed(1)}`);
    const [endX, endY] = [x(points.at(-1)![0]), y(points.at(-1)![1])];
    parts.push(`<path class="curve c${index}" d="M${corners.join("L")}"/>`);
    for (const [entries, value] of points) {
      parts.push(`<circle class="dot c${index}" cx="${x(entries).toFixed(1)}" cy="${y(value).toFixed(1)}" r="3"/>`);
    }
    const to = `${WIDTH - RIGHT + 16} ${places[index]!.toFixed(1)}`;
    parts.push(`<path class="lead c${index}" d="M${(endX + 4).toFixed(1)} ${endY.toFixed(1)}L${to}"/>`);
    const [entries, value] = points.at(-1)!;
    const where = Math.log10(entries) < largest ? ` at ${entries.toLocaleString("en")}` : "";
    parts.push(text(WIDTH - RIGHT + 20, places[index]! + 4, `${name}: ${shown(value)}${where}`, "start"));
  }
  parts.push(text(LEFT, 24, title, "start", "title"));
  parts.push(text(LEFT - 8, TOP - 10, unit, "end"));
  parts.push(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, "answers in the cache", "middle"));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="12" role="img" aria-labelledby="title description">
<title id="title">${title}</title>
<desc id="description">${description}</desc>
<style>
.paper { fill: #fff } .grid { stroke: #e4dfd9; fill: none } text { fill: #1d1a17 } .title { font-size: 15px; font-weight: 600 }
.curve { fill: none; stroke-width: 2 } .lead { fill: none; stroke-width: 1; opacity: .5 } .dot { stroke-width: 0 }
${palette(45)}
@media (prefers-color-scheme: dark) {
.paper { fill: #1c1917 } .grid { stroke: #302b27 } text { fill: #efeae4 }
${palette(65)}
}
</style>
<rect class="paper" width="${WIDTH}" height="${HEIGHT}"/>
${parts.join("\n")}
</svg>
`;
}

/** As many colours as curves, of one lightness, that differ for whoever sees no red or green by their order at the edge. */
function palette(lightness: number): string {
  return Array.from({ length: COLOURS }, (_, index) => {
    const colour = `hsl(${(index * 137 + 210) % 360} 62% ${lightness}%)`;
    return `.curve.c${index}, .lead.c${index} { stroke: ${colour} } .dot.c${index} { fill: ${colour} }`;
  }).join("\n");
}

/** Where the names stand: beside the ends of their curves, but not upon each other. */
function spread(ends: readonly number[]): number[] {
  const order = [...ends.keys()].sort((left, right) => ends[left]! - ends[right]!);
  const places = [...ends];
  let least = TOP;
  for (const index of order) least = (places[index] = Math.max(places[index]!, least)) + LABEL_HEIGHT;
  let most = HEIGHT - BOTTOM;
  for (const index of order.reverse()) most = (places[index] = Math.min(places[index]!, most)) - LABEL_HEIGHT;
  return places;
}

function decades(values: readonly number[]): [least: number, most: number] {
  const [least, most] = [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))];
  return [least, Math.max(most, least + 1)];
}

function shown(value: number): string {
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(2)));
}

function text(x: number, y: number, content: string, anchor: string, kind?: string): string {
  const classes = kind === undefined ? "" : ` class="${kind}"`;
  return `<text${classes} x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${content}</text>`;
}
