/**
 * Puts ONNX models together, node by node, with their weights in the same file or in others. Field numbers are those of
 * `onnx.proto`.
 */

import { delimited, join, type Pieces, varint } from "../../src/model/graph/onnx_wire.ts";

/** What a tensor's elements are. */
export type ElementType = "float32" | "float16" | "uint8" | "int8" | "int32" | "int64" | "bool";

const CODES: Readonly<Record<ElementType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
};

/** An attribute: an integer, several, a text, a float, or a graph. */
export type Attribute = number | string | readonly number[] | { readonly float: number } | {
  readonly graph: GraphBuilder;
};

/** What a node has beside its inputs. */
export interface NodeOptions {
  readonly name?: string;
  /** Names of its outputs; one of the node's own name when left out. */
  readonly outputs?: readonly string[];
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

/** A file with weights beside the graph. */
export interface ExternalFile {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A finished model. */
export interface BuiltModel {
  readonly graph: Uint8Array<ArrayBuffer>;
  readonly externalData: readonly ExternalFile[];
}

/** Where in a file a tensor lies. */
export interface Place {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

interface Stored {
  readonly name: string;
  readonly type: ElementType;
  readonly dimensions: readonly number[];
  readonly bytes: Uint8Array | Place;
}

/** A graph under construction. Parts of one (`branch()`) store their tensors with the whole. */
export class GraphBuilder {
  readonly #nodes: Pieces[] = [];
  readonly #inputs: Pieces[] = [];
  readonly #outputs: Pieces[] = [];
  readonly #stored: Map<string, Stored>;
  readonly #once = new Set<string>();
  #count = 0;

  constructor(stored: Map<string, Stored> = new Map()) {
    this.#stored = stored;
  }

  /** The graph of an attribute, which sees what this graph has computed and stored. */
  branch(): GraphBuilder {
    return new GraphBuilder(this.#stored);
  }

  /** Adds a node; returns what its first output is called. */
  node(operator: string, inputs: readonly string[], options: NodeOptions = {}): string {
    const { name = `${operator}_${this.#count++}`, domain, attributes = {} } = options;
    const { outputs = [`${name}_output_0`] } = options;
    this.#nodes.push(delimited(1, [
      ...inputs.flatMap((input) => delimited(1, input)),
      ...outputs.flatMap((output) => delimited(2, output)),
      ...delimited(3, name),
      ...delimited(4, operator),
      ...Object.entries(attributes).flatMap(([key, value]) => delimited(5, attributePieces(key, value))),
      ...(domain === undefined ? [] : delimited(7, domain)),
    ]));
    return outputs[0]!;
  }

  /** Adds what computes a tensor, unless it was added before. */
  once(output: string, add: () => void): void {
    if (this.#once.has(output)) return;
    this.#once.add(output);
    add();
  }

  /** Stores a tensor, once for each name; returns the name. */
  store(name: string, type: ElementType, dimensions: readonly number[], bytes: Uint8Array): string {
    this.#stored.set(name, { name, type, dimensions, bytes });
    return name;
  }

  /** Refers to a tensor in a file that the caller writes; returns its name. */
  elsewhere(name: string, type: ElementType, dimensions: readonly number[], place: Place): string {
    this.#stored.set(name, { name, type, dimensions, bytes: place });
    return name;
  }

  /** Stores numbers as float32 or float16. */
  floats(
    name: string,
    type: "float32" | "float16",
    dimensions: readonly number[],
    values: ArrayLike<number>,
  ): string {
    const bits = type === "float16" ? Uint16Array.from(values, halfBits) : Float32Array.from(values);
    return this.store(name, type, dimensions, new Uint8Array(bits.buffer));
  }

  /** Stores 64-bit integers; without dimensions a list, with none of them a scalar. */
  integers(values: readonly number[], dimensions: readonly number[] = [values.length]): string {
    const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    return this.store(`integers_${values.join("_")}_${dimensions.join("x")}`, "int64", dimensions, bytes);
  }

  input(name: string, type: ElementType, dimensions: readonly (number | string)[]): string {
    this.#inputs.push(delimited(11, valuePieces(name, type, dimensions)));
    return name;
  }

  output(name: string, type: ElementType, dimensions: readonly (number | string)[]): string {
    this.#outputs.push(delimited(12, valuePieces(name, type, dimensions)));
    return name;
  }

  /** Nodes, inputs and outputs. */
  pieces(): Pieces {
    return [...this.#nodes.flat(), ...delimited(2, "graph"), ...this.#inputs.flat(), ...this.#outputs.flat()];
  }

  /**
   * The model.
   *
   * @param files Names of files that large tensors go to, by turns; with none they stay in the graph.
   * @param from How many bytes such a tensor has.
   */
  finish(files: readonly string[] = [], from: number = 1024): BuiltModel {
    const external = files.map((name) => ({ name, parts: [] as Uint8Array[], size: 0 }));
    let turn = 0;
    const tensors = [...this.#stored.values()].flatMap(({ name, type, dimensions, bytes }) => {
      const head = [...dimensions.flatMap((size) => varint(1, size)), ...varint(2, CODES[type]), ...delimited(8, name)];
      if (!(bytes instanceof Uint8Array)) return delimited(5, [...head, ...elsewhere(bytes)]);
      if (files.length === 0 || bytes.length < from) return delimited(5, [...head, ...delimited(9, [bytes])]);
      const file = external[turn++ % files.length]!;
      // Exporters begin tensors at whole pages.
      const padding = (4096 - file.size % 4096) % 4096;
      const offset = file.size + padding;
      file.parts.push(new Uint8Array(padding), bytes);
      file.size = offset + bytes.length;
      return delimited(5, [...head, ...elsewhere({ location: file.name, offset, length: bytes.length })]);
    });
    const opsets = [["", 17], ["com.microsoft", 1]] as const;
    const graph = join([
      ...varint(1, 8),
      ...delimited(2, "warmcache-tests"),
      ...delimited(7, [...this.pieces(), ...tensors]),
      ...opsets.flatMap(([domain, version]) => delimited(8, [...delimited(1, domain), ...varint(2, version)])),
    ]);
    return { graph, externalData: external.map(({ name, parts }) => ({ name, bytes: join(parts) })) };
  }
}

/** What a tensor says in place of its data. */
function elsewhere(place: Place): Pieces {
  const entries = Object.entries(place).flatMap(([key, value]) => {
    return delimited(13, [...delimited(1, key), ...delimited(2, String(value))]);
  });
  return [...entries, ...varint(14, 1)];
}

/** The bits of the nearest float16, the even one of two (IEEE 754-2019, binary16). */
export function halfBits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(size)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(size || 1e-9)));
  const scaled = size / 2 ** (exponent - 10);
  const low = Math.floor(scaled);
  const rest = scaled - low;
  const rounded = low + (rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? 1 : 0);
  // Below 2^-14 the leading bit is absent; a carry runs over into the exponent by itself.
  return sign | (exponent === -14 ? rounded : (exponent + 14) * 1024 + rounded);
}

/** The number that float16 bits stand for. */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = bits >> 10 & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
}

function attributePieces(name: string, value: Attribute): Pieces {
  const head = delimited(1, name);
  if (typeof value === "number") return [...head, ...integer(3, value), ...varint(20, 2)];
  if (typeof value === "string") return [...head, ...delimited(4, value), ...varint(20, 3)];
  if ("graph" in value) return [...head, ...delimited(6, value.graph.pieces()), ...varint(20, 5)];
  if ("float" in value) {
    const bytes = new Uint8Array(Float32Array.of(value.float).buffer);
    return [...head, new Uint8Array([2 * 8 + 5, ...bytes]), ...varint(20, 1)];
  }
  return [...head, ...value.flatMap((each) => integer(8, each)), ...varint(20, 7)];
}

/** A varint field that may be negative, which takes all of 64 bits. */
function integer(field: number, value: number): Pieces {
  if (value >= 0) return varint(field, value);
  const bytes = [field * 8];
  for (let rest = BigInt.asUintN(64, BigInt(value)); rest > 0n; rest >>= 7n) {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
  }
  return [new Uint8Array(bytes)];
}

function valuePieces(name: string, type: ElementType, dimensions: readonly (number | string)[]): Pieces {
  const shape = dimensions.flatMap((size) => {
    return delimited(1, typeof size === "number" ? varint(1, size) : delimited(2, size));
  });
  const tensor = [...varint(1, CODES[type]), ...delimited(2, shape)];
  return [...delimited(1, name), ...delimited(2, delimited(1, tensor))];
}
