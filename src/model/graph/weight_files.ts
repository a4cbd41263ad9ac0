/**
 * The files that a graph's weights lie in, the graph's own and those beside it, open while onnxruntime takes from them.
 * A graph says by name which file a tensor is in; it may name those that were resolved with it, and no others.
 *
 * @module
 */

import type { Runtime } from "../../runtime/runtime.ts";
import type { ContentFile, OnnxFiles } from "../backend.ts";
import type { ModelError } from "../error.ts";
import { VerifiedFile } from "./verified_file.ts";

/** A file by the name that onnxruntime asks for it by. */
export interface MountedFile {
  readonly path: string;
  readonly data: Uint8Array;
}

/** Open files whose content is known. */
export class WeightFiles {
  /** The graph itself. */
  readonly graph: VerifiedFile;
  /** What tensors in the graph's own file are told that it is called: no other file in its folder is. */
  readonly ownName: string;
  readonly #byName: ReadonlyMap<string, VerifiedFile>;

  private constructor(ownName: string, byName: ReadonlyMap<string, VerifiedFile>) {
    this.ownName = ownName;
    this.graph = byName.get(ownName)!;
    this.#byName = byName;
  }

  /**
   * Opens a model's files and reads them once, to compare them with what was promised.
   *
   * @throws ModelError `identity_changed`; FileError when one cannot be read; Error when they are too large.
   */
  static async open(
    runtime: Runtime,
    { graph, externalData = [] }: Pick<OnnxFiles, "graph" | "externalData">,
  ): Promise<WeightFiles> {
    const files = [graph, ...externalData];
    const size = files.reduce((sum, file) => sum + file.size, 0);
    if (size > ADDRESSABLE) {
      const what = `${graph.path} has ${size} bytes${files.length > 1 ? " with its external data" : ""}`;
      throw new Error(`${what}: onnxruntime can address ${ADDRESSABLE} here; take a smaller dtype`);
    }
    const byName = new Map<string, VerifiedFile>();
    try {
      for (const file of files) {
        const name = lastPart(file);
        if (byName.has(name)) throw new Error(`two files with weights have one name: ${name} beside ${graph.path}`);
        byName.set(name, await VerifiedFile.open(runtime, file));
      }
      return new WeightFiles(lastPart(graph), byName);
    } catch (error) {
      for (const file of byName.values()) file.close();
      throw error;
    }
  }

  /** Why reading failed, when it did. onnxruntime keeps it to itself. */
  get failure(): ModelError | undefined {
    return [...this.#byName.values()].find(({ failure }) => failure !== undefined)?.failure;
  }

  /**
   * The file that a graph refers to for a tensor, and its name.
   *
   * @throws Error when it is none of the model's.
   */
  referredTo(location: string, tensor: string): { readonly name: string; readonly file: VerifiedFile } {
    const name = location.replace(/^\.\//, "");
    const file = name === this.ownName ? undefined : this.#byName.get(name);
    if (file !== undefined) return { name, file };
    const others = [...this.#byName.keys()].filter((other) => other !== this.ownName);
    const reason = /[/\\]/.test(name) ? "it has to lie beside the graph" : `there is ${others.join(", ") || "none"}`;
    throw new Error(
      `weights of ${tensor} are in a file that is not the model's: ${JSON.stringify(location)}; ${reason}`,
    );
  }

  /** The files as onnxruntime takes them. */
  mounted(): MountedFile[] {
    return Array.from(this.#byName, ([path, file]) => ({ path, data: readOnDemand(file) }));
  }

  /** Closes them; closing twice is no error. */
  close(): void {
    for (const file of this.#byName.values()) file.close();
  }
}

function lastPart({ path }: ContentFile): string {
  return path.split(/[/\\]/).at(-1)!;
}

/**
 * A file in the shape that onnxruntime takes data in: of that it asks how long it is, and for the part that it is about
 * to copy.
 */
function readOnDemand(file: VerifiedFile): Uint8Array {
  let buffer = new Uint8Array();
  return Object.defineProperties(new Uint8Array(), {
    byteLength: { value: file.size },
    subarray: {
      value(start: number, end: number): Uint8Array {
        if (buffer.length < end - start) buffer = new Uint8Array(end - start);
        return file.read(start, end, buffer.subarray(0, end - start));
      },
    },
  });
}

/** WebAssembly's addresses, which places in a file have to fit as well, have 32 bits. */
const ADDRESSABLE = 2 ** 32;
