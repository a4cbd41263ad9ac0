/** What a browser has to load of a bundle, by esbuild's own account of what is in which file. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

interface Metafile {
  readonly outputs: Readonly<
    Record<string, {
      readonly entryPoint?: string;
      readonly inputs: Readonly<Record<string, { readonly bytesInOutput: number }>>;
      readonly imports: readonly { readonly path: string; readonly kind: string; readonly external?: boolean }[];
    }>
  >;
}

/** The sizes of the files in a folder, compressed by gzip as servers do it. */
export class BundleSizes {
  readonly #outputs: Metafile["outputs"];
  readonly #bytes: ReadonlyMap<string, number>;

  private constructor(outputs: Metafile["outputs"], bytes: ReadonlyMap<string, number>) {
    this.#outputs = outputs;
    this.#bytes = bytes;
  }

  /** Reads `meta.json` and the files that it names. */
  static async of(folder: string): Promise<BundleSizes> {
    const { outputs } = JSON.parse(await readFile(join(folder, "meta.json"), "utf8")) as Metafile;
    const bytes = new Map<string, number>();
    for (const path of Object.keys(outputs)) {
      bytes.set(path, gzipSync(await readFile(join(folder, path.split("/").at(-1)!)), { level: 9 }).byteLength);
    }
    return new BundleSizes(outputs, bytes);
  }

  /** The modules in it. */
  get modules(): string[] {
    return [...new Set(Object.values(this.#outputs).flatMap(({ inputs }) => Object.keys(inputs)))];
  }

  /** What it imports and does not have. */
  get outside(): string[] {
    const imports = Object.values(this.#outputs).flatMap(({ imports }) => imports);
    return imports.filter(({ external }) => external).map(({ path }) => path);
  }

  /** An entry, with everything that is loaded before it runs. */
  atOnce(entry: string): number {
    return this.#sum([this.#fileOf(entry)]);
  }

  /** The same, and what it loads when it needs a module that is called so. */
  with(entry: string, later: RegExp): number {
    const files = Object.keys(this.#outputs).filter((path) => later.test(path.split("/").at(-1)!));
    return this.#sum([this.#fileOf(entry), ...files]);
  }

  #fileOf(entry: string): string {
    return Object.keys(this.#outputs).find((path) => this.#outputs[path]!.entryPoint === entry)!;
  }

  #sum(files: readonly string[]): number {
    const all = new Set(files);
    for (const file of all) {
      for (const { path, kind, external } of this.#outputs[file]!.imports) {
        if (kind === "import-statement" && !external) all.add(path);
      }
    }
    return [...all].reduce((sum, file) => sum + this.#bytes.get(file)!, 0);
  }
}
