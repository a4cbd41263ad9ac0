/**
 * The models on this machine: those in the models directory, and after them those in the hub's cache. The only place
 * that turns a model's name into paths. It looks anew on every call, so that what is added or removed shows at once.
 *
 * ```text
 * <directory>/<base>/                    or <directory>/<organisation>/<base>/          {@link ./layout.ts}
 * <directory>/<base>/adapters/<adapter>  or <directory>/[<organisation>/]<adapter>/
 * <hub>/models--<organisation>--<name>/snapshots/<commit>/                              {@link ./hub/hub_cache.ts}
 * ```
 *
 * @module
 */

import type { DeviceFacts, ModelKind, OnnxFiles, ResolvedAdapter } from "../model/backend.ts";
import { ModelError } from "../model/error.ts";
import { messageOf } from "../runtime/message.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import { automaticDtype, type Dtype, DTYPES } from "./dtype.ts";
import { DEFAULT_REVISION, isCommit, repositoryFolder, repositoryOf } from "./hub/hub_cache.ts";
import { ADAPTER, originOf, originsOf, REQUIRED, trainedFrom } from "./layout.ts";
import {
  adapterBeside,
  type AdapterFolder,
  type BaseFolder,
  gather,
  gatherAll,
  type Located,
  look,
  rolesOf,
  toFiles,
} from "./model_folder.ts";
import { checkName, formatModelName, isName, type ModelName } from "./spec.ts";
import { WatchedFolder, type WatchingRuntime } from "./watched_folder.ts";

/** Where to look, and with what. */
export interface CatalogueOptions {
  readonly runtime: WatchingRuntime;
  /** The models directory; a missing one is empty. */
  readonly directory: string;
  /** The hub's cache, if it is looked at; a missing one is empty. */
  readonly hub?: string;
}

/** Something that is a model or an adapter, or tries to be. */
export interface Listing {
  /** The name to ask for: `base` or `base+adapter`. */
  readonly id: string;
  /** What runs it, or that it is an adapter. */
  readonly kind: ModelKind | "adapter";
  /** An adapter's base. */
  readonly parent?: string;
  /** Which exports of a base there are. */
  readonly dtypes?: readonly Dtype[];
  /** When the newest of its files was last written, in seconds since 1970. */
  readonly created: number;
  /** Why it cannot be used, for people; absent when it can. */
  readonly problem?: string;
}

/** Where a model's files are. */
export interface LocatedModel {
  /** The dtype of the graph, `auto` resolved. */
  readonly dtype: Dtype;
  readonly base: Located<OnnxFiles>;
  /** Present when an adapter was named. */
  readonly adapter?: Located<ResolvedAdapter["files"]>;
}

/** How many names a message has; `GET /v1/models` has all of them. */
const MOST_TOLD = 20;

/** How many folders are looked at together: one after the other takes long, all at once keep requests waiting. */
const AT_ONCE = 16;

/** Where device facts are not known: as on a machine without a GPU. */
const ON_CPU: DeviceFacts = { device: "wasm", float16: false };

/** The models on this machine. */
export class Catalogue {
  /** The models directory. */
  readonly directory: string;
  readonly #models: WatchedFolder;
  readonly #hub: WatchedFolder | undefined;

  constructor(options: CatalogueOptions) {
    refuseUnknownOptions("open a catalogue", options, ["runtime", "directory", "hub"]);
    const { runtime, directory, hub } = options;
    this.directory = directory;
    this.#models = new WatchedFolder(runtime, directory, "the models directory");
    this.#hub = hub === undefined ? undefined : new WatchedFolder(runtime, hub, "the hub's cache");
  }

  /**
   * Everything that is there, adapters after their base, with what cannot be used and why.
   *
   * @throws FileError when the models directory cannot be read.
   */
  async list(): Promise<Listing[]> {
    const { bases, adapters } = await this.#everything();
    const byOrigin = await this.#byOrigin(adapters);
    const used = new Set<AdapterFolder>();
    const listings = await mapSome(bases, async (base) => {
      const { created, problems } = await gatherAll(base);
      const dtypes = DTYPES.filter((dtype) => base.exports.has(dtype));
      const own: Listing = { id: base.name, kind: "onnx", dtypes, created, ...problem(problems) };
      // Of what cannot be read as a whole, nothing more can be found out.
      if (base.shared.size === 0) return [own];
      const fitting = await this.#fitting(byOrigin, base);
      for (const adapter of fitting) used.add(adapter);
      const beside = await mapSome([...await this.#adaptersBeside(base), ...fitting], async (adapter) => {
        const listing = await this.#listAdapter(base.name, adapter);
        return problems.length === 0 ? listing : { ...listing, problem: "its base cannot be used" };
      });
      return [own, ...beside];
    });
    // In the hub's cache lie adapters of all kinds of models; in our own directory one without a base is a mistake.
    const orphans = adapters.filter((adapter) => !used.has(adapter) && adapter.within === this.#models);
    return [...listings.flat(), ...await mapSome(orphans, (adapter) => this.#listOrphan(adapter))];
  }

  /**
   * Finds the files of a model. They exist, and lie in the models directory, or in the hub's cache, even when symbolic
   * links are followed. A `dtype` that is `auto` or left out becomes the one that serves the device best.
   *
   * @throws ModelError `model_not_found`: with what there is instead, or why it cannot be used.
   * @throws FileError when a directory cannot be read.
   */
  async locate(name: ModelName, facts: DeviceFacts = ON_CPU): Promise<LocatedModel> {
    checkName(name);
    const base = await this.#findBase(name.base);
    if (base === undefined) throw await this.#notFound(formatModelName(name));
    if (base.problems.length > 0) throw cannotUse(formatModelName(name), base.problems);
    const dtype = dtypeFor(name, base, facts);
    const [gathered, adapter] = await Promise.all([
      gather(base, [...base.shared, ...rolesOf(base.exports.get(dtype)!)]),
      name.adapter === undefined ? undefined : this.#locateAdapter(base, name.adapter, formatModelName(name)),
    ]);
    if (gathered.problems.length > 0) throw cannotUse(formatModelName(name), gathered.problems);
    return { dtype, base: toFiles(gathered), ...(adapter === undefined ? {} : { adapter }) };
  }

  /**
   * Paths of the weights of every usable adapter of a base.
   *
   * @throws FileError when a directory cannot be read.
   */
  async adapterWeights(name: string): Promise<string[]> {
    const base = await this.#findBase(name);
    if (base === undefined) return [];
    const { adapters } = await this.#everything();
    const fitting = await this.#fitting(await this.#byOrigin(adapters), base);
    const paths: string[] = [];
    for (const adapter of [...await this.#adaptersBeside(base), ...fitting]) {
      const { files, problems } = await gather(adapter, Object.entries(ADAPTER));
      if (problems.length === 0) paths.push(files.get("weights")![0]!.path);
    }
    return paths;
  }

  async #locateAdapter(base: BaseFolder, name: string, asked: string): Promise<Located<ResolvedAdapter["files"]>> {
    if (!name.includes("/")) {
      // Its folder tells nothing that its files do not: one look less with every request.
      const beside = await gather(adapterBeside(base, name), Object.entries(ADAPTER));
      if (beside.problems.length === 0) return toFiles(beside);
      if (beside.files.size > 0) throw cannotUse(asked, beside.problems);
    }
    const adapter = await this.#findAdapter(name);
    if (adapter === undefined) throw await this.#notFound(asked);
    const [gathered, misfit] = await Promise.all([
      gather(adapter, Object.entries(ADAPTER)),
      this.#whyNotFor(base, adapter),
    ]);
    const problems = [...gathered.problems, ...misfit];
    if (problems.length > 0) throw cannotUse(asked, problems);
    return toFiles(gathered);
  }

  async #notFound(asked: string): Promise<ModelError> {
    const listings = await this.list();
    const broken = listings.find(({ id }) => id === asked)?.problem;
    if (broken !== undefined) return cannotUse(asked, [broken]);
    const usable = listings.filter((listing) => listing.problem === undefined).map((listing) => listing.id);
    const told = usable.slice(0, MOST_TOLD).join(", ") || "none";
    const more = usable.length > MOST_TOLD ? `, and ${usable.length - MOST_TOLD} more` : "";
    return notFound(`Cannot find model (there are: ${told}${more}): ${JSON.stringify(asked)}`);
  }

  /** Bases, and adapters that do not lie beside one. What the models directory has shadows what the hub has. */
  async #everything(): Promise<{ readonly bases: BaseFolder[]; readonly adapters: AdapterFolder[] }> {
    const bases = new Map<string, BaseFolder>();
    const adapters = new Map<string, AdapterFolder>();
    const { folders } = await this.#models.names(this.directory);
    const own = await mapSome([...folders], async (name) => {
      const path = `${this.directory}/${name}`;
      const found = await tryToLook(this.#models, path, name);
      if (found !== undefined) return [found];
      const { folders, isInside } = await this.#models.names(path);
      const children = isInside ? [...folders] : [];
      return await mapSome(children, (child) => tryToLook(this.#models, `${path}/${child}`, `${name}/${child}`));
    });
    const inHub = await mapSome(await this.#snapshots(), ({ id, path }) => tryToLook(this.#hub!, path, id));
    // The hub's cache is full of what was fetched for other programs.
    const useful = inHub.filter((found) => found?.is === "adapter" || (found?.exports.size ?? 0) > 0);
    for (const found of [...own.flat(), ...useful]) {
      if (found?.is === "base" && !bases.has(found.name)) bases.set(found.name, found);
      if (found?.is === "adapter" && !adapters.has(found.name)) adapters.set(found.name, found);
    }
    return { bases: [...bases.values()], adapters: [...adapters.values()] };
  }

  /** What every branch and tag in the hub's cache points to, `main` by its repository's name alone. */
  async #snapshots(): Promise<{ readonly id: string; readonly path: string }[]> {
    const hub = this.#hub;
    if (hub === undefined) return [];
    // A convenience: where it may not be read, it has nothing for us.
    const { folders } = await hub.names(hub.path).catch(() => ({ folders: [] }));
    const found = await mapSome([...folders], async (folder) => {
      const repository = repositoryOf(folder);
      if (repository === undefined || !isName(repository)) return [];
      const { files } = await hub.names(`${hub.path}/${folder}/refs`).catch(() => ({ files: [] }));
      return await Promise.all([...files].map(async (revision) => {
        const id = revision === DEFAULT_REVISION ? repository : `${repository}@${revision}`;
        const path = await this.#snapshot(id);
        return path === undefined ? [] : [{ id, path }];
      }));
    });
    return found.flat(2);
  }

  /** The folder of `repository[@revision]` in the hub's cache. */
  async #snapshot(id: string): Promise<string | undefined> {
    const [repository = "", revision = DEFAULT_REVISION] = id.split("@");
    const hub = this.#hub;
    if (hub === undefined) return undefined;
    const folder = repositoryFolder(hub.path, repository);
    const commit = isCommit(revision)
      ? revision
      : (await hub.text(`${folder}/refs/${revision}`).catch(() => undefined))?.trim();
    return commit === undefined || !isCommit(commit) ? undefined : `${folder}/snapshots/${commit}`;
  }

  async #findBase(name: string): Promise<BaseFolder | undefined> {
    const found = await look(this.#models, `${this.directory}/${name}`, name);
    if (found?.is === "base") return found;
    const path = await this.#snapshot(name);
    const inHub = path === undefined ? undefined : await look(this.#hub!, path, name);
    return inHub?.is === "base" && inHub.exports.size > 0 ? inHub : undefined;
  }

  /** An adapter that does not lie beside its base. */
  async #findAdapter(name: string): Promise<AdapterFolder | undefined> {
    const found = await look(this.#models, `${this.directory}/${name}`, name);
    if (found?.is === "adapter") return found;
    const path = await this.#snapshot(name);
    const inHub = path === undefined ? undefined : await look(this.#hub!, path, name);
    return inHub?.is === "adapter" ? inHub : undefined;
  }

  async #adaptersBeside(base: BaseFolder): Promise<AdapterFolder[]> {
    const { folders, isInside } = await base.within.names(`${base.path}/adapters`);
    return isInside ? [...folders].map((name) => adapterBeside(base, name)) : [];
  }

  /** Adapters that lie elsewhere, by what they call their base. */
  async #byOrigin(adapters: readonly AdapterFolder[]): Promise<ReadonlyMap<string | undefined, AdapterFolder[]>> {
    const origins = await mapSome(adapters, async (adapter) => originOf(await configOf(adapter)));
    return Map.groupBy(adapters, (_, index) => origins[index]);
  }

  /** Those among them that say that they were trained for this base. */
  async #fitting(
    byOrigin: ReadonlyMap<string | undefined, AdapterFolder[]>,
    base: BaseFolder,
  ): Promise<AdapterFolder[]> {
    if (byOrigin.size === 0) return [];
    return originsOf(base.name, await configOf(base)).flatMap((origin) => byOrigin.get(origin) ?? []);
  }

  /** Why an adapter that lies elsewhere is not for a base. */
  async #whyNotFor(base: BaseFolder, adapter: AdapterFolder): Promise<string[]> {
    const [config, baseConfig] = await Promise.all([configOf(adapter), configOf(base)]);
    const origin = originOf(config);
    if (origin === undefined) return [`its ${ADAPTER.config} does not say for which base it is`];
    if (originsOf(base.name, baseConfig).includes(origin)) return [];
    return [`it was trained for another base, ${trainedFrom(config)}`];
  }

  async #listAdapter(base: string, adapter: AdapterFolder): Promise<Listing> {
    const { created, problems } = await gather(adapter, Object.entries(ADAPTER));
    const id = formatModelName({ base, adapter: adapter.name });
    return { id, kind: "adapter", parent: base, created, ...problem(problems) };
  }

  async #listOrphan(adapter: AdapterFolder): Promise<Listing> {
    const { created, problems } = await gather(adapter, Object.entries(ADAPTER));
    const trained = trainedFrom(await configOf(adapter));
    const orphaned = trained === undefined
      ? `its ${ADAPTER.config} does not say for which base it is`
      : `its base is not here, ${trained}`;
    return { id: adapter.name, kind: "adapter", created, ...problem([...problems, orphaned]) };
  }
}

/** As {@link look}; what cannot be read is a base with that for a problem: one such folder must not hide all others. */
async function tryToLook(
  within: WatchedFolder,
  path: string,
  name: string,
): Promise<BaseFolder | AdapterFolder | undefined> {
  try {
    return await look(within, path, name);
  } catch (error) {
    const problems = [`it cannot be read, ${messageOf(error)}`];
    return { is: "base", name, path, within, exports: new Map(), shared: new Map(), problems };
  }
}

/** What a base or an adapter says of itself. */
async function configOf({ is, path, within }: BaseFolder | AdapterFolder): Promise<unknown> {
  return await within.json(`${path}/${is === "base" ? REQUIRED.config : ADAPTER.config}`);
}

/** Looks at many folders, some at a time; in their order. */
async function mapSome<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let from = 0; from < items.length; from += AT_ONCE) {
    results.push(...await Promise.all(items.slice(from, from + AT_ONCE).map(work)));
  }
  return results;
}

function dtypeFor(name: ModelName, { exports }: BaseFolder, facts: DeviceFacts): Dtype {
  const { dtype = "auto" } = name;
  const there = DTYPES.filter((each) => exports.has(each));
  const chosen = dtype === "auto" ? automaticDtype(there, facts) : there.find((each) => each === dtype);
  if (chosen !== undefined) return chosen;
  const reason = dtype === "auto"
    ? `Cannot find an export that runs on ${facts.device} without float16`
    : `Cannot find dtype ${dtype} of the model`;
  throw notFound(`${reason} (there are: ${there.join(", ")}): ${JSON.stringify(formatModelName(name))}`);
}

function cannotUse(asked: string, problems: readonly string[]): ModelError {
  return notFound(`Cannot use model, ${problems.join(" and ")}: ${JSON.stringify(asked)}`);
}

function notFound(message: string): ModelError {
  return new ModelError("model_not_found", message, { parameter: "model" });
}

function problem(problems: readonly string[]): { problem?: string } {
  return problems.length === 0 ? {} : { problem: problems.join(" and ") };
}
