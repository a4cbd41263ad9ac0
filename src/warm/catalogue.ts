/**
 * The models that lie in a directory: Hugging Face layout for bases, PEFT layout for their adapters. The only place
 * that turns a model's name into paths. It looks anew on every call, so that what is added or removed shows at once.
 *
 * ```text
 * <directory>/<base>/                  or <directory>/<organisation>/<base>/
 *   config.json  tokenizer.json  onnx/model.onnx
 *   tokenizer_config.json  generation_config.json  chat_template.jinja          (these may be missing)
 *   adapters/<adapter>/adapter_config.json  adapter_model.safetensors
 * ```
 *
 * @module
 */

import type { ModelKind } from "../model/backend.ts";
import { ModelError } from "../model/error.ts";
import type { Files, FileStat, Runtime } from "../runtime/runtime.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import { type LocatedFile, stateOf } from "./file_digests.ts";
import { checkName, formatModelName, isAdapterName, isBaseName, type ModelName } from "./spec.ts";

/** Where to look, and with what. */
export interface CatalogueOptions {
  readonly runtime: Pick<Runtime, "files">;
  /** The models directory; a missing one is empty. */
  readonly directory: string;
}

/** Something in the models directory that is a model or an adapter, or tries to be. */
export interface Listing {
  /** The name to ask for: `base` or `base+adapter`. */
  readonly id: string;
  /** What runs it, or that it is an adapter. */
  readonly kind: ModelKind | "adapter";
  /** An adapter's base. */
  readonly parent?: string;
  /** When the newest of its files was last written, in seconds since 1970. */
  readonly created: number;
  /** Why it cannot be used, for people; absent when it can. */
  readonly problem?: string;
}

/** Where a model's files are. */
export interface LocatedModel {
  readonly base: FilesOf<typeof BASE>;
  /** Present when an adapter was named. */
  readonly adapter?: FilesOf<typeof ADAPTER>;
}

/** Files by role, as paths inside the folder of a base or an adapter. */
interface Layout {
  readonly required: Readonly<Record<string, string>>;
  readonly optional: Readonly<Record<string, string>>;
}

type FilesOf<L extends Layout> =
  & { readonly [Role in keyof L["required"]]: LocatedFile }
  & { readonly [Role in keyof L["optional"]]?: LocatedFile };

const BASE = {
  required: { graph: "onnx/model.onnx", config: "config.json", tokenizer: "tokenizer.json" },
  optional: {
    tokenizerConfig: "tokenizer_config.json",
    generationConfig: "generation_config.json",
    chatTemplate: "chat_template.jinja",
  },
} as const;

const ADAPTER = {
  required: { config: "adapter_config.json", weights: "adapter_model.safetensors" },
  optional: {},
} as const;

/** A folder that is a base or an adapter, or tries to be. */
interface Folder<L extends Layout> {
  readonly name: string;
  /** Its files, when nothing is wrong with it. */
  readonly files?: FilesOf<L>;
  readonly created: number;
  readonly problem?: string;
}

/** The models in one directory. */
export class Catalogue {
  /** The models directory. */
  readonly directory: string;
  readonly #files: Files;
  /** Files that were found inside the directory, by path, in this state: following links anew would show nothing else. */
  readonly #inside = new Map<string, string>();

  constructor(options: CatalogueOptions) {
    refuseUnknownOptions("open a catalogue", options, ["runtime", "directory"]);
    this.directory = options.directory;
    this.#files = options.runtime.files;
  }

  /**
   * Everything that is there, adapters after their base, with what cannot be used and why.
   *
   * @throws FileError when the directory cannot be read.
   */
  async list(): Promise<Listing[]> {
    const listings: Listing[] = [];
    for (const name of await this.#baseNames()) {
      const [base, adapters] = await Promise.all([this.#base(name), this.#adapters(name)]);
      listings.push({ id: name, kind: "onnx", created: base.created, ...problem(base.problem) });
      for (const adapter of adapters) {
        listings.push({
          id: formatModelName({ base: name, adapter: adapter.name }),
          kind: "adapter",
          parent: name,
          created: adapter.created,
          ...problem(base.problem === undefined ? adapter.problem : "its base cannot be used"),
        });
      }
    }
    return listings;
  }

  /**
   * Finds the files of a model. They exist, and lie in the models directory even when symbolic links are followed.
   *
   * @throws ModelError `model_not_found`: with what there is instead, or why it cannot be used.
   * @throws FileError when the directory cannot be read.
   */
  async locate(name: ModelName): Promise<LocatedModel> {
    checkName(name);
    const [base, adapter] = await Promise.all([
      this.#base(name.base),
      name.adapter === undefined ? undefined : this.#adapter(name.base, name.adapter),
    ]);
    if (base.files === undefined || (adapter !== undefined && adapter.files === undefined)) {
      throw await this.#notFound(formatModelName(name));
    }
    return { base: base.files, ...(adapter?.files === undefined ? {} : { adapter: adapter.files }) };
  }

  /**
   * Paths of the weights of every usable adapter beside a base.
   *
   * @throws FileError when the directory cannot be read.
   */
  async adapterWeights(base: string): Promise<string[]> {
    return (await this.#adapters(base)).flatMap(({ files }) => files === undefined ? [] : [files.weights.path]);
  }

  async #notFound(id: string): Promise<ModelError> {
    const listings = await this.list();
    const broken = listings.find((listing) => listing.id === id)?.problem;
    const usable = listings.filter((listing) => listing.problem === undefined).map((listing) => listing.id);
    const message = broken === undefined
      ? `Cannot find model (there are: ${usable.join(", ") || "none"}): ${JSON.stringify(id)}`
      : `Cannot use model, ${broken}: ${JSON.stringify(id)}`;
    return new ModelError("model_not_found", message, { parameter: "model" });
  }

  /** Names of folders that look like a base, directly in the directory or one level down. */
  async #baseNames(): Promise<string[]> {
    const names: string[] = [];
    for (const name of await this.#folders(this.directory)) {
      if (await this.#looksLikeBase(name)) names.push(name);
      else if (await this.#isInside(`${this.directory}/${name}`)) {
        for (const child of await this.#folders(`${this.directory}/${name}`)) {
          if (await this.#looksLikeBase(`${name}/${child}`)) names.push(`${name}/${child}`);
        }
      }
    }
    return names;
  }

  async #looksLikeBase(name: string): Promise<boolean> {
    const parts = [...Object.values(BASE.required), "adapters"];
    const found = await Promise.all(parts.map((part) => this.#files.stat(`${this.directory}/${name}/${part}`)));
    return found.some((stat) => stat !== undefined);
  }

  #base(name: string): Promise<Folder<typeof BASE>> {
    return this.#gather(`${this.directory}/${name}`, BASE, name, isBaseName(name));
  }

  #adapter(base: string, name: string): Promise<Folder<typeof ADAPTER>> {
    return this.#gather(`${this.directory}/${base}/adapters/${name}`, ADAPTER, name, isAdapterName(name));
  }

  async #adapters(base: string): Promise<Folder<typeof ADAPTER>[]> {
    const directory = `${this.directory}/${base}/adapters`;
    if (!await this.#isInside(directory)) return [];
    return await Promise.all((await this.#folders(directory)).map((name) => this.#adapter(base, name)));
  }

  async #gather<L extends Layout>(path: string, layout: L, name: string, nameable: boolean): Promise<Folder<L>> {
    const files: Record<string, LocatedFile> = {};
    const problems = nameable ? [] : ["its name has characters that no request can ask for, or is too long"];
    let created = 0;
    const parts = Object.entries({ ...layout.required, ...layout.optional });
    await Promise.all(parts.map(async ([role, part]) => {
      const file = `${path}/${part}`;
      const stat = await this.#files.stat(file);
      if (stat?.isFile !== true) {
        if (role in layout.required) problems.push(`it lacks ${part}`);
        return;
      }
      created = Math.max(created, Number(stat.mtimeNs / NANOSECONDS_PER_SECOND));
      if (await this.#isFileInside(file, stat)) files[role] = { path: file, stat };
      else problems.push(`its ${part} lies outside the models directory`);
    }));
    if (problems.length > 0) return { name, created, problem: problems.sort().join(" and ") };
    return { name, created, files: files as FilesOf<L> };
  }

  async #isFileInside(path: string, stat: FileStat): Promise<boolean> {
    const state = stateOf(stat);
    if (this.#inside.get(path) === state) return true;
    const inside = await this.#isInside(path);
    if (inside) this.#inside.set(path, state);
    return inside;
  }

  async #isInside(path: string): Promise<boolean> {
    const [root, real] = await Promise.all([this.#files.realPath(this.directory), this.#files.realPath(path)]);
    return root !== undefined && real !== undefined && real.startsWith(`${root}/`);
  }

  async #folders(directory: string): Promise<string[]> {
    const entries = await this.#files.list(directory);
    return entries.filter(({ name, isDirectory }) => isDirectory && !name.startsWith(".")).map(({ name }) => name);
  }
}

const NANOSECONDS_PER_SECOND = 1_000_000_000n;

function problem(text: string | undefined): { problem?: string } {
  return text === undefined ? {} : { problem: text };
}
