/**
 * `ls`: the stored requests, a line each, as they are found: a cache of a million is listed as quickly as it is read.
 *
 * @module
 */

import { decodeText } from "../cache/json.ts";
import { lastWords } from "../cache/request/last_words.ts";
import type { StoredRequest } from "../cache/request/stored_request.ts";
import { dollars } from "../runtime/readable.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import type { Found, ListedRequest, Outcome } from "../store/store.ts";
import { shortAge } from "./ages.ts";
import { type CommandParts, withCache } from "./command.ts";
import type { Console } from "./console.ts";
import type { Style } from "./paint.ts";
import { type Stored, storedRequests } from "./stored.ts";
import { type Column, type Layout, layOut, line, naturalWidths, type Row, titleLine } from "./table.ts";

/** Which requests, as flags say it. */
export interface LsFlags {
  readonly model?: string;
  readonly namespace?: string;
  /** In the JSON of the request, in whatever case. */
  readonly text?: string;
  /** Stored at most so long ago. */
  readonly since?: Milliseconds;
  readonly outcome?: Outcome;
  readonly limit?: number;
  readonly pack?: string;
}

/** A request and what is known of its answers, as `--json` prints it. */
export interface Listed extends StoredRequest {
  readonly samples: number;
  /** The first sample's, or why there is none that may be served. */
  readonly outcome: Outcome | Unusable;
  /** When the first was stored, in milliseconds since 1970. */
  readonly created: number | null;
  readonly expires: number | null;
  readonly costMicrodollars: number | null;
  readonly storedBytes: number;
}

type Unusable = "expired" | "broken" | "stale" | "gone";

const COLUMNS: readonly Column[] = [
  { title: "KEY", least: 8 },
  { title: "AGE", side: "right" },
  { title: "MODEL", least: 12 },
  { title: "NAMESPACE", least: 9, leaves: 1 },
  { title: "SAMPLES", side: "right", leaves: 2 },
  { title: "OUTCOME", least: 8, leaves: 4 },
  { title: "COST", side: "right", leaves: 3 },
  { title: "PROMPT", least: 28 },
];
/** The title has less to say than what stands below it. */
const PROMPT_WIDTH = 160;
const WIDEST_MODEL = 32;

/** What of a key tells it apart in a list, and finds it again. */
const KEY_DIGITS = 12;

/** Lines that are seen before the width of a column is decided. */
const FIRST = 64;

const OUTCOME_STYLES: Readonly<Record<Listed["outcome"], Style | undefined>> = {
  stop: "green",
  tool_calls: "green",
  length: "yellow",
  refusal: "yellow",
  content_filter: "yellow",
  empty: "red",
  error: "red",
  invalid: "red",
  expired: "dim",
  stale: "dim",
  gone: "dim",
  broken: "red",
};

/** Runs the command. */
export async function ls(parts: CommandParts, flags: LsFlags): Promise<void> {
  const { console, runtime: { clock }, signal } = parts;
  const { model, namespace, text = "", limit = Infinity } = flags;
  const place = { ...model !== undefined && { model }, ...namespace !== undefined && { namespace } };
  const wanted = text.toLowerCase();
  const fits = ({ request }: ListedRequest): boolean =>
    wanted === "" || decodeText(request.body).toLowerCase().includes(wanted);
  await withCache(parts, async ({ store }) => {
    const printer = new Printer(console, clock.now());
    let listed = 0;
    for await (const stored of storedRequests({ store, clock, signal }, place, fits)) {
      const each = describe(stored);
      if (!isMeant(each, flags, clock.now())) continue;
      if (listed === limit) break;
      listed++;
      await printer.add(each);
    }
    await printer.end();
    if (listed === 0) await console.say("No stored request fits.");
  }, { pack: flags.pack });
}

function isMeant({ created, outcome }: Listed, { since, outcome: asked }: LsFlags, now: Milliseconds): boolean {
  if (asked !== undefined && outcome !== asked) return false;
  return since === undefined || (created !== null && created >= now - since);
}

function describe({ request, found }: Stored): Listed {
  const { entries } = found;
  const [first] = entries;
  const cost = entries.reduce<number | null>(
    (sum, { costMicrodollars }) => sum === null || costMicrodollars === null ? null : sum + costMicrodollars,
    0,
  );
  return {
    ...request,
    samples: entries.length,
    outcome: first?.outcome ?? whyNone(found),
    created: first?.created ?? null,
    expires: first?.expires ?? null,
    costMicrodollars: first === undefined ? null : cost,
    storedBytes: entries.reduce((sum, { storedBytes }) => sum + storedBytes, 0),
  };
}

function whyNone({ corrupt, expired, stale }: Found): Unusable {
  return corrupt ? "broken" : expired ? "expired" : stale ? "stale" : "gone";
}

/** Prints lines as they come, once there are some by which to tell how wide the columns have to be. */
class Printer {
  readonly #console: Console;
  readonly #now: Milliseconds;
  #waiting: Row[] = [];
  #layout: Layout | undefined;

  constructor(console: Console, now: Milliseconds) {
    this.#console = console;
    this.#now = now;
  }

  async add(listed: Listed): Promise<void> {
    if (this.#console.isJson) return await this.#console.print(JSON.stringify(listed));
    this.#waiting.push(this.#rowOf(listed));
    if (this.#waiting.length === FIRST || this.#layout !== undefined) await this.end();
  }

  /** Prints what waits. */
  async end(): Promise<void> {
    const { width, paint } = this.#console;
    const rows = this.#waiting;
    if (rows.length === 0) return;
    this.#waiting = [];
    if (this.#layout === undefined) {
      this.#layout = layOut(COLUMNS, widthsFor(rows), width);
      await this.#console.print(titleLine(COLUMNS, this.#layout, paint));
    }
    const layout = this.#layout;
    await this.#console.print(...rows.map((row) => line(COLUMNS, layout, row, paint)));
  }

  #rowOf({ key, created, model, namespace, samples, outcome, costMicrodollars, body }: Listed): Row {
    return {
      cells: [
        { widest: KEY_DIGITS, within: (width) => key.slice(0, width) },
        created === null ? "-" : shortAge(this.#now - created),
        model,
        namespace,
        String(samples),
        outcome,
        costMicrodollars === null ? "-" : dollars(costMicrodollars),
        lastWords(body),
      ],
      styles: ["cyan", "dim", , "dim", , OUTCOME_STYLES[outcome]],
    };
  }
}

/** Those that come later have to do with what the first ones need, so that needs some room to spare. */
function widthsFor(rows: readonly Row[]): number[] {
  const widths = naturalWidths(COLUMNS, rows);
  const at = (title: string): number => COLUMNS.findIndex((column) => column.title === title);
  const atLeast = (title: string, width: number): void =>
    void (widths[at(title)] = Math.max(width, widths[at(title)]!));
  atLeast("AGE", 4);
  atLeast("COST", "$0.0000".length);
  atLeast("OUTCOME", "tool_calls".length);
  atLeast("PROMPT", PROMPT_WIDTH);
  widths[at("MODEL")] = Math.min(widths[at("MODEL")]!, WIDEST_MODEL);
  // Of a cache without namespaces nobody wants an empty column.
  if (rows.every(({ cells }) => cells[at("NAMESPACE")] === "")) widths[at("NAMESPACE")] = 0;
  return widths;
}
