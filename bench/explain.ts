/**
 * How long does an explanation take, and does it show the right request? 100,000 stored requests share a system prompt,
 * tools and parameters and have a user prompt each, of 200 characters. A program changed one thing in one of them and
 * asks anew: the explanation has to name that one first. The sketches lie in blocks, as a store keeps them; the bodies
 * are in memory, so reading and decompressing the few that are looked at (`bench/lookup.ts`) comes on top.
 *
 * Beside it, what needs no sketch: comparing the request with every stored one. It says which is the nearest, so it is
 * also what the explanation is checked against.
 *
 * Run: `deno run -A bench/explain.ts`
 */

import { cpus } from "node:os";
import process from "node:process";
import { canonicalJson } from "../src/cache/request/canonical.ts";
import { compareBodies } from "../src/cache/explain/differences.ts";
import { rank } from "../src/cache/explain/explain.ts";
import { sketchOf } from "../src/cache/explain/sketch.ts";
import { NearestSketches, packSketch } from "../src/store/nearest.ts";
import type { RequestRecord } from "../src/store/store.ts";
import { corpus, keyOf } from "./corpus.ts";
import { median, seededRandom } from "./harness.ts";

const REQUESTS = 100_000;
const TO_A_BLOCK = 1_000;
/** Requests that the sketches propose and that are then compared. */
const CANDIDATES = 32;
const QUERIES = 100;
/** Comparing with everything takes seconds. */
const COMPARED_WITH_ALL = 2;

interface Body extends Record<string, unknown> {
  temperature: number;
  readonly messages: { role: string; content: string }[];
  readonly tools: { type: string; function: { name: string; description: string; parameters: unknown } }[];
}

const SCOPE = { namespace: "", provider: "openai", endpoint: "/v1/chat/completions", identity: null };

const random = seededRandom(3);
const prompts = corpus(REQUESTS + 40, 300).map(({ request }) =>
  (JSON.parse(new TextDecoder().decode(request.body)) as Body).messages[0]!.content
);
// What all requests share is made of the prompts at the end.
const shared = prompts.splice(REQUESTS);
const TIME = "Now it is 2026-11-22T04:10:00Z.";
const SYSTEM = `${shared.slice(0, 3).join(". ")}. ${TIME} ${shared.slice(3, 6).join(". ")}.`;

const changes: Readonly<Record<string, (body: Body) => void>> = {
  "a parameter": (body) => body.temperature = 0.7,
  "a tool's description": (body) => body.tools[1]!.function.description = shared[10]!,
  "the time in the system prompt": ({ messages }) =>
    messages[0]!.content = messages[0]!.content.replace(TIME, "Now it is 2026-11-23T17:45:31Z."),
  "three words of the prompt": ({ messages }) => messages[1]!.content = withOtherWords(messages[1]!.content, 3),
  "a message inserted before it": ({ messages }) =>
    messages.splice(1, 0, { role: "assistant", content: shared[11]!.slice(0, 60) }),
};

console.log(
  `${cpus()[0]?.model}, ${cpus().length} cores; node ${process.versions.node}, v8 ${process.versions.v8}; ` +
    `${REQUESTS} requests, ${canonicalJson(bodyOf(0)).length} characters each\n`,
);
const { blocks, sketching } = sketched();
console.log(`sketch of a request: ${(sketching * 1000).toFixed(1)} µs (mean)\n`);
const rows = [[
  "changed",
  "proposed",
  "named first",
  "sketch + search, ms",
  "compare, ms",
  "longest, ms",
  "with all, ms",
]];
for (const [name, change] of Object.entries(changes)) rows.push([name, ...measure(change)]);
const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
for (const row of rows) {
  console.log(row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join("   "));
}

function measure(change: (body: Body) => void): string[] {
  const [searches, comparisons, alls]: number[][] = [[], [], []];
  let [proposed, first] = [0, 0];
  for (let query = 0; query < QUERIES; query++) {
    const target = Math.floor(random() * REQUESTS);
    const body = bodyOf(target);
    change(body);
    const asked = { ...SCOPE, key: keyOf(REQUESTS), body };

    const started = performance.now();
    const search = new NearestSketches(sketchOf(asked), CANDIDATES);
    for (const block of blocks) search.scan(block);
    const ids = search.best().map(({ id }) => id);
    const searched = performance.now();
    searches!.push(searched - started);

    const candidates = ids.map(recordOf);
    const ranking = performance.now();
    const { nearest } = rank(asked, candidates);
    comparisons!.push(performance.now() - ranking);

    const targetKey = Array.from(keyOf(target), (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (ids.includes(target)) proposed++;
    if (nearest[0]!.key === targetKey) first++;
    if (query < COMPARED_WITH_ALL) {
      const beginning = performance.now();
      const best = nearestOfAll(body);
      alls!.push(performance.now() - beginning);
      if (best !== target) throw new Error(`Request ${best} is nearer than ${target}, which was changed`);
    }
  }
  const longest = Math.max(...searches!.map((search, query) => search + comparisons![query]!));
  return [
    `${proposed} of ${QUERIES}`,
    `${first} of ${QUERIES}`,
    median(searches!).toFixed(2),
    median(comparisons!).toFixed(2),
    longest.toFixed(1),
    median(alls!).toFixed(0),
  ];
}

function nearestOfAll(body: Body): number {
  let [best, least] = [0, Infinity];
  for (let index = 0; index < REQUESTS; index++) {
    const { differing } = compareBodies(bodyOf(index), body);
    if (differing < least) [best, least] = [index, differing];
  }
  return best;
}

function sketched(): { blocks: Uint8Array[]; sketching: number } {
  const blocks: Uint8Array[] = [];
  let sketching = 0;
  for (let first = 0; first < REQUESTS; first += TO_A_BLOCK) {
    const ids = Array.from({ length: TO_A_BLOCK }, (_, index) => first + index);
    const requests = ids.map((id) => ({ ...SCOPE, body: bodyOf(id) }));
    const started = performance.now();
    const sketches = requests.map(sketchOf);
    sketching += performance.now() - started;
    blocks.push(packSketch(ids, sketches));
  }
  return { blocks, sketching: sketching / REQUESTS };
}

/** The body of a stored request. */
function bodyOf(index: number): Body {
  return {
    model: "gpt-4o-mini",
    temperature: 0,
    top_p: 1,
    max_tokens: 512,
    messages: [{ role: "system", content: SYSTEM }, { role: "user", content: prompts[index]! }],
    tools: [6, 7, 8].map((text) => ({
      type: "function",
      function: {
        name: shared[text]!.split(" ").slice(0, 2).join("_"),
        description: shared[text]!.slice(20, 100),
        parameters: {
          type: "object",
          properties: {
            query: { type: "string", description: shared[text]!.slice(100, 140) },
            limit: { type: "integer" },
          },
          required: ["query"],
        },
      },
    })),
  };
}

function recordOf(index: number): RequestRecord {
  const body = new TextEncoder().encode(canonicalJson(bodyOf(index)));
  return { ...SCOPE, key: keyOf(index), body, sketch: sketchOf({ ...SCOPE, body: bodyOf(index) }) };
}

function withOtherWords(text: string, count: number): string {
  const [words, others] = [text.split(" "), shared[20]!.split(" ")];
  for (let changed = 0; changed < count; changed++) words[Math.floor(random() * words.length)] = others[changed]!;
  return words.join(" ");
}
