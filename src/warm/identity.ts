/**
 * Which model this is, by content and not by path: two names for one content are one model, and an adapter trained
 * again at the same path is another. Every cached answer is filed under this, so a wrong identity is a wrong answer.
 *
 * An identity is the SHA-256, in lower-case hexadecimal, of the UTF-8 bytes of a JSON array, written without spaces
 * as `JSON.stringify` does. Names and values stand in this order and none is left out, so no two inputs share a text:
 *
 * ```text
 * base     ["warmcache base",2,["kind",…],["graph",sha256],["external_data",[name,sha256],…],["config",sha256],
 *           ["tokenizer",sha256],["tokenizer_config",sha256|null],["generation_config",sha256|null],
 *           ["chat_template",sha256|null],["genai_config",sha256|null],["modules",sha256|null],
 *           ["pooling",sha256|null],["sentence_config",sha256|null],["prompts_config",sha256|null],
 *           ["dtype",…],["device",…],["graph_rewrite",version],["onnxruntime",version],["tokenizers",version],
 *           ["jinja",version]]
 * adapter  ["warmcache adapter",1,["config",sha256],["weights",sha256]]
 * view     ["warmcache view",2,["base",identity],["adapter",identity|null],["scale",number]]
 *          ["warmcache view",2,["base",identity],["adapter",identity],["noise",seed,initScale,rankScale]]
 * ```
 *
 * External data stands by the last part of its path, which the graph names, in the order of these names.
 *
 * @module
 */

import type {
  ContentFile,
  DeviceFacts,
  ModelDevice,
  NullAdapterOptions,
  OnnxBase,
  ResolvedAdapter,
  ResolvedBase,
} from "../model/backend.ts";
import { hexOf } from "../runtime/hex.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Catalogue, LocatedModel } from "./catalogue.ts";
import { type DigestingRuntime, type DigestOptions, FileDigests, type LocatedFile } from "./file_digests.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import type { ModelSpec } from "./spec.ts";

/** A spec, resolved to content. */
export interface ResolvedModel {
  /** What was asked for. */
  readonly spec: ModelSpec;
  /** The base that this means now. */
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
  /** The file in which digests are remembered between runs; its folder is created. None when left out. */
  readonly memoPath?: string | undefined;
  /** What a device can do, and which one `auto` is; asked once for each. Without it, `auto` is `wasm`. */
  readonly deviceFacts?: (device: ModelSpec["device"]) => Promise<DeviceFacts>;
  /** Hears why digests could not be remembered. */
  readonly log?: (message: string) => void;
}

/** Increased whenever what we do to graphs, or with what they compute, changes an answer. */
export const GRAPH_REWRITE_VERSION = 2;

/** What computes the answers, in the versions that `deno.json` pins: others may compute others. */
export const ENGINES = { onnxruntime: "1.30.0", tokenizers: "0.2.0", jinja: "0.5.11" } as const;

/** Finds out which model a spec means now, from its files, without loading it. */
export class Identifier {
  readonly #runtime: Pick<Runtime, "sha256">;
  readonly #catalogue: Pick<Catalogue, "locate">;
  readonly #digests: FileDigests;
  readonly #findFacts: (device: ModelSpec["device"]) => Promise<DeviceFacts>;
  readonly #facts = new Map<ModelSpec["device"], Promise<DeviceFacts>>();

  constructor(options: IdentifierOptions) {
    refuseUnknownOptions("make an identifier", options, ["runtime", "catalogue", "memoPath", "deviceFacts", "log"]);
    const { runtime, catalogue, memoPath, deviceFacts = onCpu, log } = options;
    this.#findFacts = deviceFacts;
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
    const facts = await this.#factsOf(spec.device);
    const located = await this.#catalogue.locate(spec, facts);
    const [base, adapter] = await Promise.all([
      this.#resolveBase(spec, facts.device, located, options),
      this.#resolveAdapter(spec, located, options),
    ]);
    await this.#digests.save();
    const scale = adapter === undefined ? 0 : 1;
    const identity = viewIdentity(this.#runtime, base, adapter, { scale });
    return { spec, base, ...(adapter === undefined ? {} : { adapter }), scale, identity };
  }

  /** Finding out of a GPU takes a process: once. */
  #factsOf(device: ModelSpec["device"]): Promise<DeviceFacts> {
    const known = this.#facts.get(device);
    if (known !== undefined) return known;
    const facts = this.#findFacts(device);
    this.#facts.set(device, facts);
    // What failed may work the next time.
    facts.catch(() => this.#facts.delete(device));
    return facts;
  }

  async #resolveBase(
    spec: ModelSpec,
    device: ModelDevice,
    { base, dtype }: LocatedModel,
    options: DigestOptions,
  ): Promise<OnnxBase> {
    const { externalData: parts = [], ...single } = base;
    const [files, externalData] = await Promise.all([
      this.#digestAll(single, options),
      Promise.all(parts.map((file) => this.#digests.digest(file, options))),
    ]);
    const optional = (file: ContentFile | undefined): string | null => file?.sha256 ?? null;
    const identity = hashOf(this.#runtime, [
      "warmcache base",
      2,
      ["kind", spec.kind],
      ["graph", files.graph.sha256],
      ["external_data", ...externalData.map(({ path, sha256 }) => [path.split("/").at(-1), sha256]).sort(byName)],
      ["config", files.config.sha256],
      ["tokenizer", files.tokenizer.sha256],
      ["tokenizer_config", optional(files.tokenizerConfig)],
      ["generation_config", optional(files.generationConfig)],
      ["chat_template", optional(files.chatTemplate)],
      ["genai_config", optional(files.genaiConfig)],
      ["modules", optional(files.modules)],
      ["pooling", optional(files.pooling)],
      ["sentence_config", optional(files.sentenceConfig)],
      ["prompts_config", optional(files.promptsConfig)],
      ["dtype", dtype],
      ["device", device],
      ["graph_rewrite", GRAPH_REWRITE_VERSION],
      ...Object.entries(ENGINES),
    ]);
    const withData = externalData.length === 0 ? files : { ...files, externalData };
    return { kind: "onnx", name: spec.base, identity, dtype, device, files: withData };
  }

  async #resolveAdapter(
    spec: ModelSpec,
    located: LocatedModel,
    options: DigestOptions,
  ): Promise<ResolvedAdapter | undefined> {
    if (spec.adapter === undefined || located.adapter === undefined) return undefined;
    const files = await this.#digestAll(located.adapter, options);
    const identity = hashOf(this.#runtime, [
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
}

/** Where nobody knows better. */
function onCpu(device: ModelSpec["device"]): Promise<DeviceFacts> {
  return Promise.resolve({ device: device === "auto" ? "wasm" : device, float16: false });
}

function byName([one = ""]: readonly (string | undefined)[], [other = ""]: readonly (string | undefined)[]): number {
  return one < other ? -1 : Number(one > other);
}

/** Hashes with the machine's SHA-256. */
type Hashing = Pick<Runtime, "sha256">;

function hashOf(runtime: Hashing, description: readonly unknown[]): string {
  return hexOf(runtime.sha256(new TextEncoder().encode(JSON.stringify(description))));
}

/**
 * The identity of a base alone, with an adapter scaled by λ, or with noise in its place. Answers of two views may be
 * taken for each other exactly when their identities are equal.
 *
 * @throws RangeError for a number that is not finite.
 * @throws TypeError for noise without an adapter whose shape it takes.
 */
export function viewIdentity(
  runtime: Hashing,
  base: Pick<ResolvedBase, "identity">,
  adapter: Pick<ResolvedAdapter, "identity"> | undefined,
  as: { readonly scale: number } | { readonly noise: NullAdapterOptions },
): string {
  // Without an adapter there is nothing to scale: one identity, however it was asked for.
  const how = "scale" in as ? ["scale", adapter === undefined ? 0 : as.scale] : ["noise", ...noiseOf(as.noise)];
  if (adapter === undefined && !("scale" in as)) {
    throw new TypeError("Cannot identify a view: noise takes the shape of an adapter, and none was given");
  }
  for (const number of how.slice(1)) {
    // JSON has one word for all of these, so different views would share an identity.
    if (!Number.isFinite(number)) throw new RangeError(`Cannot identify a view: ${how[0]} is not finite: ${number}`);
  }
  return hashOf(runtime, [
    "warmcache view",
    2,
    ["base", base.identity],
    ["adapter", adapter?.identity ?? null],
    how,
  ]);
}

function noiseOf({ seed, initScale = 0.02, rankScale = 1 }: NullAdapterOptions): number[] {
  return [seed, initScale, rankScale];
}
