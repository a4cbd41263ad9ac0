/** Curves over time as a picture: one panel below another, with the same axes, so that they can be compared. */

/** One curve. */
export interface Panel {
  readonly title: string;
  /** In the order of x. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

/** What the picture says of itself. */
export interface Captions {
  readonly title: string;
  /** What the axes count. */
  readonly x: string;
  readonly y: string;
}

const WIDTH = 960;
const LEFT = 64;
const RIGHT = 16;
const TOP = 44;
const PANEL = 130;
const GAP = 34;
const BOTTOM = 44;

/** The picture, as SVG. */
export function curvePlot(panels: readonly Panel[], { title, x, y }: Captions): string {
  const stepY = stepFor(
    panels.flatMap(({ points }) => points).reduce((most, [, value]) => Math.max(most, value), 0),
    4,
  );
  const mostY = stepY.most;
  const height = TOP + panels.length * (PANEL + GAP) - GAP + BOTTOM;
  const inner = WIDTH - LEFT - RIGHT;
  const { step: stepX, most: mostX } = stepFor(
    Math.max(...panels.flatMap(({ points }) => points.at(-1)?.[0] ?? 0)),
    10,
  );
  const toX = (value: number): number => LEFT + inner * value / mostX;
  const body: string[] = [];
  panels.forEach((panel, index) => {
    const top = TOP + index * (PANEL + GAP);
    const toY = (value: number): number => top + PANEL * (1 - value / mostY);
    for (let value = 0; value <= mostY; value += stepY.step) {
      body.push(line(LEFT, toY(value), WIDTH - RIGHT, toY(value), value === 0 ? "axis" : "grid"));
      body.push(label(LEFT - 8, toY(value) + 4, String(value), "end"));
    }
    for (let value = 0; value <= mostX; value += stepX) {
      body.push(line(toX(value), top + PANEL, toX(value), top + PANEL + 4, "axis"));
      if (index === panels.length - 1) body.push(label(toX(value), top + PANEL + 18, String(value), "middle"));
    }
    body.push(label(LEFT, top - 6, panel.title, "start", "panel"));
    body.push(`<path class="curve" d="${path(panel.points, toX, toY)}"/>`);
  });
  body.push(label(LEFT + inner / 2, height - 10, x, "middle"));
  body.push(label(LEFT - 8, TOP - 6, y, "end"));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">
<title>${escaped(title)}</title>
<style>
.grid { stroke: #ddd } .axis { stroke: #666 } text { fill: #333 } .title { font-size: 15px; font-weight: bold }
.panel { font-weight: bold } .curve { fill: none; stroke: #1f6fb2; stroke-width: 1 }
</style>
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
${[label(LEFT, 20, title, "start", "title"), ...body].join("\n")}
</svg>
`;
}

/** Least and most of every pixel, so that no peak is lost and the file stays small. */
function path(
  points: Panel["points"],
  toX: (value: number) => number,
  toY: (value: number) => number,
): string {
  const columns = new Map<number, { least: number; most: number }>();
  for (const [x, y] of points) {
    const column = Math.round(toX(x));
    const { least, most } = columns.get(column) ?? { least: y, most: y };
    columns.set(column, { least: Math.min(least, y), most: Math.max(most, y) });
  }
  let last = 0;
  const corners = [...columns].flatMap(([x, { least, most }]) => {
    // Whichever is nearer to where the curve comes from stands first.
    const [first, second] = Math.abs(last - most) < Math.abs(last - least) ? [most, least] : [least, most];
    last = second;
    return (first === second ? [first] : [first, second]).map((y) => `${x} ${toY(y).toFixed(1)}`);
  });
  return `M${corners.join("L")}`;
}

/** Round steps, about so many up to `most`, and where the last one ends. */
function stepFor(most: number, count: number): { readonly step: number; readonly most: number } {
  const magnitude = 10 ** Math.floor(Math.log10(most / count));
  const step = magnitude * [1, 2, 5, 10].find((factor) => factor * magnitude * count >= most)!;
  return { step, most: step * Math.ceil(most / step) };
}

function line(x1: number, y1: number, x2: number, y2: number, kind: string): string {
  return `<line class="${kind}" x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${
    y2.toFixed(1)
  }"/>`;
}

function label(x: number, y: number, text: string, anchor: string, kind?: string): string {
  const classes = kind === undefined ? "" : ` class="${kind}"`;
  return `<text${classes} x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${escaped(text)}</text>`;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
