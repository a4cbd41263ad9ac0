/**
 * Reads Prometheus's text format strictly, and finds fault with names as `promtool check metrics` does: an independent
 * look at what `/metrics` says.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 * @see https://prometheus.io/docs/practices/naming/
 */

import assert from "node:assert/strict";

/** One line. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** All lines of one metric. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly samples: Sample[];
}

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const LINE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`);
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y;

/** A scrape, metric by metric. Throws where the text is not in order. */
export function parseMetrics(text: string): Map<string, Family> {
  assert.ok(text.endsWith("\n"), "the last line ends");
  const families = new Map<string, Family>();
  let help: { name: string; text: string } | undefined;
  let current: Family | undefined;
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const [, word, name, rest] = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line) ?? [];
    if (word === "HELP") {
      assert.ok(!families.has(name!), `in one piece: ${name}`);
      help = { name: name!, text: rest! };
    } else if (word === "TYPE") {
      assert.equal(help?.name, name, `help comes first: ${name}`);
      current = { name: name!, help: help!.text, type: rest!, samples: [] };
      families.set(name!, current);
    } else {
      const sample = parseSample(line);
      assert.equal(familyOf(sample.name, current!.type), current!.name, `stands under its metric: ${line}`);
      current!.samples.push(sample);
    }
  }
  for (const family of families.values()) checkFamily(family);
  return families;
}

function parseSample(line: string): Sample {
  const [, name, inside = "", number] = LINE.exec(line) ?? assert.fail(`no line of the format: ${line}`);
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  for (let at = 0; at < inside.length; at = LABEL.lastIndex) {
    LABEL.lastIndex = at;
    const [, label, value] = LABEL.exec(inside) ?? assert.fail(`no labels: ${inside}`);
    assert.ok(!(label! in labels), `twice: ${line}`);
    labels[label!] = value!.replaceAll(/\\(.)/g, (_, letter) => letter === "n" ? "\n" : letter);
  }
  const value = number === "+Inf" ? Infinity : Number(number);
  assert.ok(!Number.isNaN(value), `a number: ${line}`);
  return { name: name!, labels, value };
}

function familyOf(name: string, type: string): string {
  return type === "histogram" ? name.replace(/_(?:bucket|sum|count)$/, "") : name;
}

function checkFamily({ name, type, samples }: Family): void {
  const seen = samples.map(({ name, labels }) => JSON.stringify([name, Object.entries(labels).sort()]));
  assert.equal(new Set(seen).size, seen.length, `no series twice: ${name}`);
  if (type === "counter") { for (const { value } of samples) assert.ok(value >= 0, name); }
  if (type !== "histogram") return;
  const bySeries = Map.groupBy(samples, ({ labels: { le: _, ...labels } }) => JSON.stringify(labels));
  for (const series of bySeries.values()) {
    const buckets = series.filter((sample) => sample.name.endsWith("_bucket"));
    const bounds = buckets.map(({ labels }) => labels.le === "+Inf" ? Infinity : Number(labels.le));
    assert.deepEqual(bounds, [...bounds].sort((one, other) => one - other), `${name}: bounds grow`);
    const counts = buckets.map(({ value }) => value);
    assert.deepEqual(counts, [...counts].sort((one, other) => one - other), `${name}: buckets add up`);
    assert.equal(bounds.at(-1), Infinity);
    assert.equal(counts.at(-1), series.find((sample) => sample.name === `${name}_count`)?.value);
    assert.ok(series.some((sample) => sample.name === `${name}_sum`));
  }
}

const UNITS = /(?:milli|micro|nano)seconds|minutes|hours|days|kilobytes|megabytes|bits|percent|celsius|ratios/;
const ABBREVIATED = /_(?:s|ms|us|ns|sec|b|kb|mb|gb|h|d)(?:_|$)/;

/** What `promtool check metrics` would say, and that what is ours says so. */
export function lint(families: Iterable<Family>): string[] {
  const faults: string[] = [];
  for (const { name, help, type, samples } of families) {
    if (help === "") faults.push(`${name}: no help`);
    if ((type === "counter") !== name.endsWith("_total")) {
      faults.push(`${name}: a counter, and no other, ends in _total`);
    }
    if (/_(?:bucket|count|sum)$/.test(name)) faults.push(`${name}: ends as a part of a histogram does`);
    if (name.includes(type)) faults.push(`${name}: has its type in its name`);
    if (UNITS.test(name) || ABBREVIATED.test(name)) faults.push(`${name}: not in base units`);
    if (/[A-Z]/.test(name)) faults.push(`${name}: capitals`);
    const labels = samples.flatMap((sample) => Object.keys(sample.labels));
    if (labels.some((label) => /[A-Z]|^__/.test(label))) faults.push(`${name}: a label's name`);
    if (!/^(?:warmcache_|process_|vllm:)/.test(name)) faults.push(`${name}: nobody's`);
  }
  return faults;
}

/** The metrics of a server. */
export async function scrape({ url }: { readonly url: string }, headers: Record<string, string> = {}): Promise<Scrape> {
  const response = await fetch(`${url}/metrics`, { headers });
  assert.equal(response.status, 200);
  assert.match(response.headers.get("Content-Type")!, /^text\/plain; version=0\.0\.4/);
  return new Scrape(parseMetrics(await response.text()));
}

/** A scrape, to be asked. */
export class Scrape {
  readonly families: ReadonlyMap<string, Family>;

  constructor(families: ReadonlyMap<string, Family>) {
    this.families = families;
  }

  /** The values of all series of a sample that have these labels, added up; `undefined` when there is none. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
    const found = this.series(name, labels);
    return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
  }

  /** All series of a sample that have these labels. */
  series(name: string, labels: Readonly<Record<string, string>> = {}): Sample[] {
    const samples = [...this.families.values()].flatMap(({ samples }) => samples);
    return samples.filter((sample) =>
      sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value)
    );
  }
}
