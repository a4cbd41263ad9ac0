/** Bars as a picture: groups of a few, ours in the colour of embers, each with its figure behind it. */

/** One bar. */
export interface Bar {
  readonly name: string;
  readonly value: number;
  /** Ours stand out. */
  readonly ours: boolean;
}

/** Bars that are compared, on an axis of their own that begins at 0. */
export interface Bars {
  readonly title: string;
  /** What a figure counts, and which is better. */
  readonly unit: string;
  readonly bars: readonly Bar[];
}

/** What the picture says of itself. */
export interface Captions {
  readonly title: string;
  /** For those who do not see it. */
  readonly description: string;
  /** Where and how it was measured, in lines. */
  readonly foot: readonly string[];
}

const WIDTH = 820;
const [MARGIN, TOP, FOOT] = [24, 64, 18];
const NAMES = 176;
const FIGURES = 64;
const GAP = 40;
const [BAR, STEP, HEAD] = [14, 24, 44];
/** The least that is seen of a bar. */
const LEAST = 2;

/** The picture, as SVG; so many groups beside each other. */
export function barPlot(groups: readonly Bars[], { title, description, foot }: Captions, columns = 2): string {
  const width = (WIDTH - 2 * MARGIN - (columns - 1) * GAP) / columns;
  const parts: string[] = [];
  let top = TOP;
  for (let first = 0; first < groups.length; first += columns) {
    const row = groups.slice(first, first + columns);
    row.forEach((group, index) => parts.push(groupOf(group, MARGIN + index * (width + GAP), top, width)));
    top += HEAD + Math.max(...row.map(({ bars }) => bars.length)) * STEP + 20;
  }
  const height = top + foot.length * FOOT + 8;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="Inter, ui-sans-serif, system-ui, sans-serif" font-size="12.5" role="img" aria-labelledby="title description">
<title id="title">${escaped(title)}</title>
<desc id="description">${escaped(description)}</desc>
<style>
.paper { fill: #fff } .track { fill: #f1eeea } .ours { fill: #e0622a } .theirs { fill: #cbc3ba }
text { fill: #1d1a17 } .faint { fill: #696159 } .title { font-size: 17px; font-weight: 600; letter-spacing: -.02em } .head { font-weight: 600 }
.figure { font-variant-numeric: tabular-nums } .is-ours { fill: #b3430a; font-weight: 600 }
@media (prefers-color-scheme: dark) {
.paper { fill: #1c1917 } .track { fill: #2a2622 } .ours { fill: #f07b3f } .theirs { fill: #5b534c }
text { fill: #efeae4 } .faint { fill: #a59b91 } .is-ours { fill: #ff9257 }
}
</style>
<rect class="paper" width="${WIDTH}" height="${height}" rx="10"/>
${text(MARGIN, 36, title, "title")}
${parts.join("\n")}
${foot.map((line, index) => text(MARGIN, top + index * FOOT, line, "faint")).join("\n")}
</svg>
`;
}

function groupOf({ title, unit, bars }: Bars, left: number, top: number, width: number): string {
  const most = Math.max(...bars.map(({ value }) => value));
  const room = width - NAMES - FIGURES;
  const lines = bars.map(({ name, value, ours }, index) => {
    const y = top + HEAD + index * STEP;
    const length = Math.max(LEAST, room * value / most);
    const [x, middle] = [left + NAMES, y + BAR - 2.5];
    return [
      text(left, middle, name, ours ? "is-ours" : undefined),
      `<rect class="track" x="${x}" y="${y}" width="${room.toFixed(1)}" height="${BAR}" rx="3"/>`,
      `<rect class="${ours ? "ours" : "theirs"}" x="${x}" y="${y}" width="${
        length.toFixed(1)
      }" height="${BAR}" rx="3"/>`,
      text(x + room + 10, middle, value.toLocaleString("en"), ours ? "figure is-ours" : "figure"),
    ].join("\n");
  });
  return [text(left, top + 12, title, "head"), text(left, top + 29, unit, "faint"), ...lines].join("\n");
}

function text(x: number, y: number, content: string, kind?: string): string {
  return `<text${kind === undefined ? "" : ` class="${kind}"`} x="${x}" y="${y}">${escaped(content)}</text>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
