/**
 * The linear layers of a graph, and where among them the modules are that an adapter was trained for.
 *
 * @module
 */

import { spellings, withoutWrappers } from "./module_names.ts";
import type { FloatType } from "../worker/tensors.ts";

/** A linear layer y = x·W, with W of `inputSize` rows and `outputSize` columns. */
export interface LinearLayer {
  /** Path of the module that the graph computes here, as the graph has it: `model.layers.0.self_attn.q_proj`. */
  readonly name: string;
  readonly inputSize: number;
  readonly outputSize: number;
  /** Element type of x and y. */
  readonly type: FloatType;
  /** Every place where it is computed: the branches of an `If` have one each. */
  readonly sites: readonly Site[];
  /** Columns of queries, keys and values, in this order, where it computes all three. */
  readonly attention?: readonly number[];
}

/** A place where a layer is computed. */
export interface Site {
  /** `GraphNode.place` of the node that gives y. */
  readonly place: number;
  readonly input: string;
  readonly output: string;
}

/** Columns of a layer, and the columns of a module that belong there. */
export interface Part {
  readonly layer: LinearLayer;
  /** First of the columns in the layer. */
  readonly column: number;
  /** First of the columns in the module. */
  readonly source: number;
  readonly columns: number;
}

/** The linear layers of a graph. */
export class LinearLayers {
  readonly #byName: ReadonlyMap<string, LinearLayer>;
  /** By name without wrappers; `undefined` where several have the same. */
  readonly #byCore = new Map<string, LinearLayer | undefined>();

  constructor(layers: Iterable<LinearLayer>) {
    this.#byName = new Map(Array.from(layers, (layer) => [layer.name, layer]));
    for (const layer of this.#byName.values()) {
      const core = withoutWrappers(layer.name);
      this.#byCore.set(core, this.#byCore.has(core) ? undefined : layer);
    }
  }

  /** How many there are. */
  get size(): number {
    return this.#byName.size;
  }

  /** The layer of a name. */
  get(name: string): LinearLayer | undefined {
    return this.#byName.get(name);
  }

  /**
   * Where a module of the original model is computed: in a layer of its own, in some columns of a layer that computes
   * its neighbours too, or in several layers. Empty when it is nowhere.
   */
  locate(module: string): readonly Part[] {
    for (const { name, part, parts } of spellings(module)) {
      if (parts !== undefined) {
        const layers = parts.map((path) => this.#find(path));
        if (layers.every((layer) => layer !== undefined)) return besideEachOther(layers);
        continue;
      }
      const layer = this.#find(name);
      if (layer === undefined) continue;
      const sizes = part === undefined ? [layer.outputSize] : sizesWithin(layer, part.of);
      const index = part?.index ?? 0;
      if (sizes === undefined) continue;
      const column = sizes.slice(0, index).reduce((sum, size) => sum + size, 0);
      return [{ layer, column, source: 0, columns: sizes[index]! }];
    }
    return [];
  }

  #find(path: string): LinearLayer | undefined {
    return this.#byName.get(path) ?? this.#byCore.get(withoutWrappers(path));
  }
}

function besideEachOther(layers: readonly LinearLayer[]): Part[] {
  let source = 0;
  return layers.map((layer) => {
    const part = { layer, column: 0, source, columns: layer.outputSize };
    source += layer.outputSize;
    return part;
  });
}

/** Columns of each of the modules that a layer computes together. */
function sizesWithin({ outputSize, attention }: LinearLayer, count: number): readonly number[] | undefined {
  if (count === 3) return attention;
  return outputSize % count === 0 ? new Array(count).fill(outputSize / count) : undefined;
}
