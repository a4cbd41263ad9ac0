/**
 * Which model this is, by content and not by path: two names for one content are one model, and an adapter trained
 * again at the same path is another. Every cached answer is filed under this, so a wrong identity is a wrong answer.
 *
 * An identity is the SHA-256, in lower-case hexadecimal, of the UTF-8 bytes of a JSON array, written without spaces
 * as `JSON.stringify` does. Names and values stand in this order and none is left out, so no two inputs share a text:
 *
 * ```text
 * base     ["warmcache base",1,["kind",…],["graph",sha256],["config",sha256],["tokenizer",sha256],
 *           ["tokenizer_config",sha256|null],["generation_config",sha256|null],["chat_template",sha256|null],
 *           ["dtype",…],["device",…],["graph_rewrite",version]]
 * adapter  ["warmcache adapter",1,["config",sha256],["weights",sha256]]
 * view     ["warmcache view",1,["base",identity],["adapter",identity|null],["scale",number]]
 * ```
 *
 * @module
 */

import type { ContentFile, ModelDevice, OnnxBase, ResolvedAdapter, ResolvedBase } from "../model/backend.ts";
import { hexOf } from "../runtime/hex.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Catalogue, LocatedModel } from "./catalogue.ts";
import { type DigestingRuntime, type DigestOptions, FileDigests, type LocatedFile } from "./file_digests.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import type { ModelSpec } from "./spec.ts";

/** A spec, resolved to content. */
export interface ResolvedModel {
  readonly spec: ModelSpec;
  readonly base: ResolvedBase;
  /** Present when the spec names an adapter. */
  readonly adapter?: ResolvedAdapter;
  /** λ, the strength of the adapter: 1 as trained, 0 without one. */
  readonly scale: number;
  /** View identity: base, adapter and scale together. What responses are filed under. */
  readonly identity: string;
}

/** What an {@link Identifier} works with. */
export interface IdentifierOptions {
  readonly runtime: DigestingRuntime & Pick<Runtime, "sha256">;
  readonly catalogue: Pick<Catalogue, "locate">;
  /** The file in which digests are remembered between runs; its folder is created. */
  readonly memoPath: string;
  /** What the device `auto` is on this machine, asked once; `wasm` when left out. */
  readonly automaticDevice?: () => Promise<ModelDevice>;
  /** Hears why digests could not be remembered. */
  readonly log?: (message: string) => void;
}

/** Increased whenever the rewriting of graphs at load changes what a model answers. */
export const GRAPH_REWRITE_VERSION = 1;

/** Finds out which model a spec means now, from its files, without loading it. */
export class Identifier {
  readonly #runtime: Pick<Runtime, "sha256">;
  readonly #catalogue: Pick<Catalogue, "locate">;
  readonly #digests: FileDigests;
  readonly #findDevice: () => Promise<ModelDevice>;
  #automaticDevice: Promise<ModelDevice> | undefined;

  constructor(options: IdentifierOptions) {
    refuseUnknownOptions("make an identifier", options, ["runtime", "catalogue", "memoPath", "automaticDevice", "log"]);
    const { runtime, catalogue, memoPath, automaticDevice = () => Promise.resolve("wasm"), log } = options;
    this.#findDevice = automaticDevice;
    this.#runtime = runtime;
    this.#catalogue = catalogue;
    this.#digests = new FileDigests({ runtime, memoPath, ...(log === undefined ? {} : { log }) });
  }

  /**
   * Resolves a spec. Looks at the state of every file each time; hashes those that it does not know in that state.
   *
   * @throws ModelError `model_not_found`; `model_load_failed` when a file cannot be read.
   */
  async identify(spec: ModelSpec, options: DigestOptions = {}): Promise<ResolvedModel> {
    refuseUnknownOptions("identify a model", options, ["fresh"]);
    const located = await this.#catalogue.locate(spec);
    const [base, adapter] = await Promise.all([
      this.#resolveBase(spec, located, options),
      this.#resolveAdapter(spec, located, options),
    ]);
    await this.#digests.save();
    const scale = adapter === undefined ? 0 : 1;
    const identity = this.#hash([
      "warmcache view",
      1,
      ["base", base.identity],
      ["adapter", adapter?.identity ?? null],
      ["scale", scale],
    ]);
    return { spec, base, ...(adapter === undefined ? {} : { adapter }), scale, identity };
  }

  async #resolveBase(spec: ModelSpec, located: LocatedModel, options: DigestOptions): Promise<OnnxBase> {
    const files = await this.#digestAll(located.base, options);
    const device = spec.device === "auto" ? await (this.#automaticDevice ??= this.#findDevice()) : spec.device;
    const identity = this.#hash([
      "warmcache base",
      1,
      ["kind", spec.kind],
      ["graph", files.graph.sha256],
      ["config", files.config.sha256],
      ["tokenizer", files.tokenizer.sha256],
      ["tokenizer_config", files.tokenizerConfig?.sha256 ?? null],
      ["generation_config", files.generationConfig?.sha256 ?? null],
      ["chat_template", files.chatTemplate?.sha256 ?? null],
      ["dtype", spec.dtype],
      ["device", device],
      ["graph_rewrite", GRAPH_REWRITE_VERSION],
    ]);
    return { kind: "onnx", name: spec.base, identity, dtype: spec.dtype, device, files };
  }

  async #resolveAdapter(
    spec: ModelSpec,
    located: LocatedModel,
    options: DigestOptions,
  ): Promise<ResolvedAdapter | undefined> {
    if (spec.adapter === undefined || located.adapter === undefined) return undefined;
    const files = await this.#digestAll(located.adapter, options);
    const identity = this.#hash([
      "warmcache adapter",
      1,
      ["config", files.config.sha256],
      ["weights", files.weights.sha256],
    ]);
    return { name: spec.adapter, identity, files };
  }

  async #digestAll<F extends { readonly [Role in keyof F]?: LocatedFile }>(
    files: F,
    options: DigestOptions,
  ): Promise<{ readonly [Role in keyof F]: ContentFile }> {
    const digested = Object.entries<LocatedFile>(files as Record<string, LocatedFile>).map(async ([role, file]) =>
      [role, await this.#digests.digest(file, options)] as const
    );
    return Object.fromEntries(await Promise.all(digested)) as { [Role in keyof F]: ContentFile };
  }

  #hash(description: readonly unknown[]): string {
    const digest = this.#runtime.sha256(new TextEncoder().encode(JSON.stringify(description)));
    return hexOf(digest);
  }
}
