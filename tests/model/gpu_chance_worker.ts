/**
 * Looks through numbers drawn by chance, many rows on one GPU that the CPU plays, and compares what is found with a
 * search of the whole row; then lets answers be generated both ways. It reports what differs.
 */

import type { GenerateRequest } from "../../src/model/backend.ts";
import { Distribution, isDistribution } from "../../src/model/generation/distribution.ts";
import { generate, type Generator } from "../../src/model/generation/generate.ts";
import { Logits } from "../../src/model/generation/logits.ts";
import { PrefixCache } from "../../src/model/generation/prefix_cache.ts";
import { type Row, type RowsWanted, WholeRow } from "../../src/model/generation/row.ts";
import type { KeyValueCache } from "../../src/model/graph/session.ts";
import { openGpu } from "../../src/model/worker/gpu.ts";
import { GpuRows } from "../../src/model/worker/gpu_rows.ts";
import type { Ort } from "../../src/model/worker/ort.ts";
import type { FloatType } from "../../src/model/worker/tensors.ts";
import { workerPort } from "../../src/runtime/worker_port.ts";
import { fromHalf } from "../support/onnx_builder.ts";
import { seededRandom } from "../support/random.ts";
import { greedy } from "./requests.ts";

/** What to try. */
export interface Chance {
  readonly what: "rows" | "answers";
  readonly seed: number;
  readonly times: number;
}

/** What came of it. */
export interface ChanceOutcome {
  readonly differences: readonly string[];
  /** Rows that were compared, those among them that are distributions, and bytes on the GPU at the end. */
  readonly rows: number;
  readonly distributions: number;
  readonly left: number;
}

/** Bits of numbers of one type. */
interface Typed {
  readonly type: FloatType;
  readonly bits: Uint32Array | Uint16Array;
  readonly exact: Float32Array;
}

type Random = () => number;
const below = (random: Random, count: number): number => Math.floor(random() * count);
const oneOf = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)]!;

/** At the ends of a workgroup's part, of a few parts, and anywhere. */
const SIZES = [1, 2, 3, 255, 256, 257, 2047, 2048, 2049, 4095, 4096, 4097, 6143, 6145];
const SPECIAL = [0, 0x8000, 1, 0x8001, 0x3ff, 0x7bff, 0xfbff, 0xfc00];

/** Kinds of rows, by what is hard about them: bits of a float32, or of a float16. */
const KINDS: Readonly<Record<string, (random: Random, isHalf: boolean) => number>> = {
  "any bits": (random, isHalf) => isHalf ? below(random, 2 ** 16) : below(random, 2 ** 32),
  "any finite bits": (random, isHalf) => {
    const bits = isHalf ? below(random, 2 ** 16) : below(random, 2 ** 32);
    const highest = isHalf ? 0x7c00 : 0x7f800000;
    return (bits & highest) === highest ? bits & ~highest : bits;
  },
  "many equal": (random, isHalf) => bitsOf(below(random, 5) - 2, isHalf),
  "all equal": (_, isHalf) => bitsOf(-7, isHalf),
  "usual": (random, isHalf) => bitsOf((random() + random() + random() - 1.5) * 20, isHalf),
  "most cannot come": (random, isHalf) => bitsOf(random() < 0.999 ? -Infinity : random() * 4, isHalf),
  "none can come": (_, isHalf) => bitsOf(-Infinity, isHalf),
  "masked by the lowest number": (random, isHalf) =>
    bitsOf(random() < 0.5 ? (isHalf ? -65504 : -3.4028234663852886e38) : random() * 30, isHalf),
  "zeros and the smallest": (random, isHalf) => isHalf ? oneOf(random, SPECIAL.slice(0, 5)) : below(random, 3) << 31,
  "the highest and the lowest": (random, isHalf) =>
    bitsOf((random() < 0.5 ? -1 : 1) * (isHalf ? 65504 : 3.4028234663852886e38), isHalf),
  "one that is no number": (random, isHalf) => bitsOf(random() < 0.0005 ? NaN : random(), isHalf),
  "one that is infinite": (random, isHalf) => bitsOf(random() < 0.0005 ? Infinity : random(), isHalf),
};

const SCRATCH = new DataView(new ArrayBuffer(4));

function bitsOf(number: number, isHalf: boolean): number {
  if (isHalf) {
    SCRATCH.setFloat16(0, number);
    return SCRATCH.getUint16(0);
  }
  SCRATCH.setFloat32(0, number);
  return SCRATCH.getUint32(0);
}

function numbers(random: Random, type: FloatType, rows: number, size: number): Typed & { kinds: string[] } {
  const isHalf = type === "float16";
  const bits = isHalf ? new Uint16Array(rows * size) : new Uint32Array(rows * size);
  const kinds = Array.from({ length: rows }, () => oneOf(random, Object.keys(KINDS)));
  for (const [row, kind] of kinds.entries()) {
    for (let index = 0; index < size; index++) bits[row * size + index] = KINDS[kind]!(random, isHalf);
  }
  const exact = isHalf ? Float32Array.from(bits, fromHalf) : new Float32Array(bits.buffer);
  return { type, bits, exact, kinds };
}

/** A tensor [1, any, size] on the device, let go of when `use` has ended. */
async function onDevice<T>(
  device: GPUDevice,
  { type, bits }: Typed,
  size: number,
  use: (tensor: Ort.Tensor) => Promise<T>,
): Promise<T> {
  const gpuBuffer = device.createBuffer({
    size: Math.ceil(bits.byteLength / 16) * 16,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
  });
  const padded = new Uint8Array(gpuBuffer.size).fill(0x7f);
  padded.set(new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength));
  device.queue.writeBuffer(gpuBuffer, 0, padded);
  try {
    const tensor = { type, dims: [1, bits.length / size, size], size: bits.length, gpuBuffer };
    return await use(tensor as unknown as Ort.Tensor);
  } finally {
    gpuBuffer.destroy();
  }
}

const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);

/** What is wrong with a row that was looked through, if anything. */
function wrongIn(found: Row, expected: Row, wanted: RowsWanted, asked: number | undefined, isWhole: boolean): string {
  const { top = 1 } = wanted;
  if (found.size !== expected.size) return `size ${found.size}`;
  if (!Object.is(found.highest + 0, expected.highest + 0)) return `highest ${found.highest}, not ${expected.highest}`;
  if (asked !== undefined && !Object.is(found.at(asked) + 0, expected.at(asked) + 0)) return `asked ${found.at(asked)}`;
  if (isWhole && !found.whole().every((number, id) => Object.is(number, expected.at(id)))) return "the whole row";
  if (!isDistribution(expected)) return isDistribution(found) ? "it is no distribution" : "";
  if (!(Math.abs(found.logSum - expected.logSum) < 2e-6)) return `logSum ${found.logSum}, not ${expected.logSum}`;
  const ids = expected.likeliest(top);
  if (!same(found.likeliest(top), ids)) return `likeliest ${found.likeliest(top)}, not ${ids}`;
  if (ids.some((id) => found.at(id) !== expected.at(id))) return "a number of the likeliest";
  const { ids: places, logits } = found.candidates();
  const wrongPlace = places !== undefined &&
    (!same([...places], ids.toSorted((one, other) => one - other)) ||
      places.some((id, index) => logits[index] !== expected.at(id)));
  if (wrongPlace || (places === undefined) !== isWhole) return "candidates";
  const [one, other] = [new Distribution(found), new Distribution(expected)].map((all) => all.logprob(ids[0]!));
  return Math.abs(one! - other!) < 2e-6 && one! <= 0 ? "" : `logprob ${one}, not ${other}`;
}

async function tryRows({ seed, times }: Chance): Promise<ChanceOutcome> {
  const { device, bytes } = await openGpu("software");
  const gpu = new GpuRows(device);
  const random = seededRandom(seed);
  const differences: string[] = [];
  let compared = 0;
  let distributions = 0;
  for (let time = 0; time < times; time++) {
    const type = oneOf(random, ["float32", "float16"] as const);
    const size = random() < 0.7 ? oneOf(random, SIZES) : 1 + below(random, 9000);
    const tokens = 1 + below(random, 6);
    const rows = 1 + below(random, tokens);
    const wanted = {
      rows,
      whole: oneOf(random, ["none", "last", "all"] as const),
      top: oneOf(random, [1, 2, 5, 64, 1 + below(random, 64)]),
      ids: Array.from({ length: below(random, rows + 1) }, () => oneOf(random, [0, size - 1, below(random, size)])),
    };
    const typed = numbers(random, type, tokens, size);
    const found = await onDevice(device, typed, size, (tensor) => gpu.find(tensor, wanted));
    if (found.length !== rows) differences.push(`${found.length} rows, not ${rows}`);
    for (const [index, row] of found.entries()) {
      const place = tokens - rows + index;
      const expected = new WholeRow(typed.exact.subarray(place * size, (place + 1) * size));
      const isWhole = wanted.whole === "all" || (wanted.whole === "last" && index === rows - 1);
      const wrong = wrongIn(row, expected, wanted, wanted.ids[index], isWhole);
      const what = `${type} [${tokens}, ${size}], row ${place}: ${typed.kinds[place]}, ${JSON.stringify(wanted)}`;
      if (wrong !== "") differences.push(`${wrong} (time ${time}: ${what})`);
      compared++;
      distributions += Number(isDistribution(expected));
    }
  }
  return { differences: differences.slice(0, 10), rows: compared, distributions, left: bytes() };
}

/** A model of no weights: of every run the rows are drawn by chance, from the tokens before. */
function modelOf(
  rowsOf: (ids: readonly number[], wanted: RowsWanted) => Promise<Row[]>,
  vocabularySize: number,
  supportsCache: boolean,
): Generator {
  const past = (ids: readonly number[]): KeyValueCache => ({ length: ids.length, bytes: 8, feeds: {}, ids });
  const session = {
    supportsCache,
    score: async (ids: readonly number[], _: unknown, wanted: RowsWanted) =>
      new Logits(await rowsOf(ids, wanted), ids.length),
    async step(
      ids: readonly number[],
      cache: KeyValueCache | undefined,
      _: unknown,
      { wanted = { whole: "last" } }: { readonly wanted?: RowsWanted },
    ) {
      const all = [...cache?.ids ?? [], ...ids];
      return { logits: new Logits(await rowsOf(all, wanted), all.length), cache: past(all) };
    },
    trim: (cache: KeyValueCache, length: number) => Promise.resolve(past(cache.ids.slice(0, length))),
    release() {},
  };
  const tokenizer = {
    token: (id: number) => ({ text: `${id} `, bytes: new TextEncoder().encode(`${id} `) }),
    decode: (ids: readonly number[]) => ids.join(" "),
  };
  return {
    session,
    tokenizer,
    vocabularySize,
    contextLength: 1000,
    endOfText: new Set([0, vocabularySize - 1]),
    sampling: {},
    adapter: {},
    view: "",
    prefixes: new PrefixCache(2 ** 20),
  } as unknown as Generator;
}

function randomRequest(random: Random, size: number): GenerateRequest {
  const maybe = <T>(chance: number, value: () => T): T | undefined => random() < chance ? value() : undefined;
  const minTokens = maybe(0.4, () => below(random, 4));
  const changes = {
    temperature: oneOf(random, [0, 0, 0.3, 1, 2.5]),
    topK: maybe(0.7, () => oneOf(random, [0, 1, 2, 20, 62, 63, 64, 65, 100, below(random, 70)])),
    topP: maybe(0.5, () => oneOf(random, [1e-9, 0.5, 0.9, 0.999999, 1])),
    minP: maybe(0.3, () => oneOf(random, [0, 0.05, 0.5, 1])),
    topLogprobs: maybe(0.6, () => oneOf(random, [0, 1, 5, 63, 64, 65, 90])),
    repetitionPenalty: maybe(0.2, () => oneOf(random, [0.5, 1, 1.3])),
    presencePenalty: maybe(0.2, () => oneOf(random, [0, 1.5])),
    frequencyPenalty: maybe(0.1, () => 0.5),
    logitBias: maybe(0.2, () => [[below(random, size), oneOf(random, [-100, 0, 5])]] as const),
    stop: oneOf(random, [[], [], [`${below(random, size)} `], ["1"]]),
    minTokens,
    echo: random() < 0.3,
    maxTokens: Math.max(minTokens ?? 0, below(random, 7)),
    seed: below(random, 2 ** 32),
  };
  const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
  const length = oneOf(random, [1, 2, 3, 5, 127, 129]);
  const ids = Array.from({ length: Math.min(length, size < 100 ? 200 : 5) }, () => below(random, size));
  return greedy({ prompt: { ids }, ...given });
}

/** Events, and the error that they ended with. */
async function answerOf(model: Generator, request: GenerateRequest): Promise<unknown[]> {
  const events: unknown[] = [];
  try {
    for await (const event of generate(model, request)) events.push(event);
  } catch (error) {
    events.push(String((error as Error).message));
  }
  return events;
}

/** Where two values differ, but for log-probabilities in the last bits of a sum in float32; `undefined` if nowhere. */
function difference(one: unknown, other: unknown, path: string = ""): string | undefined {
  if (typeof one === "number" && typeof other === "number" && path.endsWith(".logprob")) {
    if (Object.is(one + 0, other + 0) || (one <= 0 && Math.abs(one - other) < 2e-6)) return undefined;
  } else if (typeof one === "object" && typeof other === "object" && one !== null && other !== null) {
    const keys = Object.keys({ ...one, ...other });
    const values = one as Record<string, unknown>;
    const others = other as Record<string, unknown>;
    return keys.map((key) => difference(values[key], others[key], `${path}.${key}`)).find((what) => what !== undefined);
  }
  return Object.is(one, other) ? undefined : `${path}: ${one}, not ${other}`;
}

const ANSWERABLE = ["usual", "many equal", "all equal", "most cannot come", "any finite bits", "none can come"];

async function tryAnswers({ seed, times }: Chance): Promise<ChanceOutcome> {
  const { device, bytes } = await openGpu("software");
  const gpu = new GpuRows(device);
  const random = seededRandom(seed);
  const differences: string[] = [];
  let rows = 0;
  for (let time = 0; time < times; time++) {
    const size = oneOf(random, [3, 70, 257, 2500]);
    const type = oneOf(random, ["float32", "float16"] as const);
    const kind = oneOf(random, random() < 0.8 ? ANSWERABLE.slice(0, 4) : ANSWERABLE);
    const salt = below(random, 2 ** 32);
    const typedAfter = (ids: readonly number[]): Typed => {
      const isHalf = type === "float16";
      const draw = seededRandom(ids.reduce((mixed, id) => Math.imul(mixed ^ id, 16777619), salt));
      const bits = Array.from({ length: size }, () => KINDS[kind]!(draw, isHalf));
      const typed = isHalf ? Uint16Array.from(bits) : Uint32Array.from(bits);
      const exact = isHalf ? Float32Array.from(typed, fromHalf) : new Float32Array(typed.buffer);
      return { type, bits: typed, exact };
    };
    const each = (ids: readonly number[], count: number): Typed[] =>
      Array.from({ length: count }, (_, row) => typedAfter(ids.slice(0, ids.length - count + row + 1)));
    const onCpu = (ids: readonly number[], { rows = 1 }: RowsWanted): Promise<Row[]> =>
      Promise.resolve(each(ids, rows).map(({ exact }) => new WholeRow(exact)));
    const onGpu = (ids: readonly number[], wanted: RowsWanted): Promise<Row[]> => {
      const parts = each(ids, wanted.rows ?? 1).map(({ bits }) => [...bits]).flat();
      const bits = type === "float16" ? Uint16Array.from(parts) : Uint32Array.from(parts);
      rows += wanted.rows ?? 1;
      return onDevice(device, { type, bits, exact: new Float32Array() }, size, (tensor) => gpu.find(tensor, wanted));
    };
    const request = randomRequest(random, size);
    const supportsCache = random() < 0.7;
    const models = [onGpu, onCpu].map((rowsOf) => modelOf(rowsOf, size, supportsCache));
    // Twice: the second time the prompt was read before.
    for (const turn of ["first", "again"]) {
      const [found, expected] = [await answerOf(models[0]!, request), await answerOf(models[1]!, request)];
      const what = difference(found, expected);
      if (what === undefined) continue;
      differences.push(`${what} (${turn}, time ${time}: ${type}, ${size}, ${kind}: ${JSON.stringify(request)})`);
    }
  }
  return { differences: differences.slice(0, 10), rows, distributions: 0, left: bytes() };
}

const port = workerPort();
port.onMessage(async (message) => {
  const chance = message as Chance;
  try {
    port.post(await (chance.what === "rows" ? tryRows(chance) : tryAnswers(chance)));
  } catch (error) {
    port.post({ differences: [String((error as Error).stack)], rows: 0, distributions: 0, left: 0 });
  }
});
