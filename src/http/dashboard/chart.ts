/**
 * Charts, drawn here and not in the browser: bars as SVG that stretches to the room there is, and what has to be legible,
 * the labels, as text around them. No `style` attribute anywhere, which the pages' Content-Security-Policy forbids.
 *
 * @module
 */

import { type Html, markup, NOTHING, type Piece } from "./html.ts";

/** One bar. */
export interface Bar {
  /** What it stands for, in words, for whoever points at it. */
  readonly label: string;
  /** Its height, from 0. */
  readonly value: number;
  /** How much of that is filled; all of it when left out. */
  readonly part?: number;
}

/** What a chart shows. */
export interface ChartOptions {
  /** For whoever does not see it. */
  readonly summary: string;
  readonly bars: readonly Bar[];
  /** Under its left and right end. */
  readonly ends: readonly [from: string, to: string];
  /** What the full height stands for, in words; nothing where all is 0. */
  readonly top: string;
}

const [STEP, GAP, HEIGHT] = [10, 2, 100];
/** What is not nothing is seen. */
const LEAST = 1.5;

/** Bars from the past on the left to now on the right. */
export function barChart({ summary, bars, ends: [from, to], top }: ChartOptions): Html {
  const highest = Math.max(...bars.map(({ value }) => value), 0);
  const width = bars.length * STEP;
  return markup`<div class="chart">
<span class="chart-top">${highest > 0 ? top : NOTHING}</span>
<svg class="bars" viewBox="0 0 ${width} ${HEIGHT}" preserveAspectRatio="none" role="img"
aria-label="${summary}">
${bars.map((bar, index) => drawBar(bar, index, highest))}</svg>
<span class="chart-ends"><span>${from}</span><span>${to}</span></span>
</div>`;
}

function drawBar({ label, value, part = value }: Bar, index: number, highest: number): Piece {
  const x = index * STEP + GAP / 2;
  const [whole, filled] = highest === 0 ? [0, 0] : [heightOf(value, highest), heightOf(part, highest)];
  return markup`<g><title>${label}</title><rect class="hover" x="${
    index * STEP
  }" y="0" width="${STEP}" height="${HEIGHT}"/>${whole > 0 ? rect("rest", x, whole) : rect("none", x, 1)}${
    filled > 0 ? rect("fill", x, filled) : NOTHING
  }</g>`;
}

function rect(name: string, x: number, height: number): Piece {
  return markup`<rect class="${name}" x="${x}" y="${rounded(HEIGHT - height)}" width="${STEP - GAP}" height="${
    rounded(height)
  }" />`;
}

function heightOf(value: number, highest: number): number {
  return value <= 0 ? 0 : Math.max(LEAST, (value / highest) * HEIGHT);
}

/** A part of a {@link gauge}. */
export interface Segment {
  /** What it is, in words. */
  readonly label: string;
  readonly value: number;
  /** How it looks: `fill`, `soft`, `ghost`. */
  readonly look: string;
}

/** A lying bar, filled by its segments from the left; `whole` is what its length stands for. */
export function gauge(summary: string, segments: readonly Segment[], whole: number): Html {
  let x = 0;
  const drawn = segments.map(({ label, value, look }) => {
    const width = whole > 0 ? Math.min(1000 - x, (value / whole) * 1000) : 0;
    const piece = markup`<rect class="${look}" x="${rounded(x)}" y="0" width="${
      rounded(Math.max(0, width - 3))
    }" height="10">
<title>${label}</title>
</rect>`;
    x += width;
    return piece;
  });
  return markup`<svg class="gauge" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img"
aria-label="${summary}"><rect class="track" x="0" y="0" width="1000" height="10"/>${drawn}</svg>`;
}

function rounded(value: number): string {
  return String(Math.round(value * 100) / 100);
}
