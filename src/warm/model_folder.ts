/**
 * What a folder holds: a base, an adapter, or nothing of ours; and where their files are.
 *
 * @module
 */

import type { ContentFile, OnnxFiles } from "../model/backend.ts";
import type { Dtype } from "./dtype.ts";
import type { LocatedFile } from "./file_digests.ts";
import { ADAPTER, type Export, exportsAmong, GENAI_CONFIG, OPTIONAL, poolingFolder, REQUIRED } from "./layout.ts";
import { isName } from "./spec.ts";
import type { WatchedFolder } from "./watched_folder.ts";

/** Files by role, found. */
export type Located<F> = {
  readonly [Role in keyof F]: NonNullable<F[Role]> extends ContentFile ? LocatedFile : readonly LocatedFile[];
};

/** A folder with a base in it, or what tries to be one. */
export interface BaseFolder {
  readonly is: "base";
  readonly name: string;
  readonly path: string;
  readonly within: WatchedFolder;
  readonly exports: ReadonlyMap<Dtype, Export>;
  /** Files that all exports share, by role, as paths inside the folder. */
  readonly shared: ReadonlyMap<string, string>;
  readonly problems: readonly string[];
}

/** A folder with an adapter in it, or what tries to be one. */
export interface AdapterFolder {
  readonly is: "adapter";
  readonly name: string;
  readonly path: string;
  readonly within: WatchedFolder;
  readonly problems: readonly string[];
}

/** Files that were looked for. */
export interface Gathered {
  readonly files: ReadonlyMap<string, readonly LocatedFile[]>;
  readonly created: number;
  readonly problems: readonly string[];
}

const UNNAMEABLE = "its name has characters that no request can ask for, or is too long";
const NANOSECONDS_PER_SECOND = 1_000_000_000n;

/** What a folder holds; `undefined` when it does not look like a base or an adapter. */
export async function look(
  within: WatchedFolder,
  path: string,
  name: string,
): Promise<BaseFolder | AdapterFolder | undefined> {
  const [top, onnx] = await Promise.all([within.names(path), within.names(`${path}/onnx`)]);
  const files = new Set([...top.files, ...[...onnx.files].map((file) => `onnx/${file}`)]);
  const [genaiConfig, modules] = await Promise.all([
    files.has(GENAI_CONFIG) ? within.json(`${path}/${GENAI_CONFIG}`) : undefined,
    files.has(OPTIONAL.modules) ? within.json(`${path}/${OPTIONAL.modules}`) : undefined,
  ]);
  const exports = exportsAmong(files, genaiConfig);
  const nameable = isName(name) ? [] : [UNNAMEABLE];
  if (exports.size === 0 && files.has(ADAPTER.config)) {
    return { is: "adapter", name, path, within, problems: nameable };
  }
  const lacking = Object.values(REQUIRED).filter((file) => !files.has(file));
  const looksLikeBase = exports.size > 0 || lacking.length < Object.keys(REQUIRED).length ||
    top.folders.has("adapters");
  if (!looksLikeBase) return undefined;
  const lacks = exports.size === 0 ? [...lacking, "onnx/model.onnx"] : lacking;
  const shared = new Map<string, string>(Object.entries(REQUIRED));
  for (const [role, file] of Object.entries(OPTIONAL)) if (files.has(file)) shared.set(role, file);
  const pooling = poolingFolder(modules);
  if (
    top.folders.has(pooling.split("/")[0]!) && (await within.names(`${path}/${pooling}`)).files.has("config.json")
  ) {
    shared.set("pooling", `${pooling}/config.json`);
  }
  const problems = [...nameable, ...lacks.map((file) => `it lacks ${file}`)].sort();
  return { is: "base", name, path, within, exports, shared, problems };
}

/** Every file of a base, whatever its dtype. */
export async function gatherAll(
  base: BaseFolder,
): Promise<{ readonly created: number; readonly problems: readonly string[] }> {
  const roles = [...base.shared, ...[...base.exports.values()].flatMap(rolesOf)];
  const { created, problems } = await gather(base, roles);
  // Files that are not there are told already.
  const more = problems.filter((text) => !base.problems.includes(text));
  return { created, problems: [...base.problems, ...more].sort() };
}

/** Looks for files of a base or an adapter, by role. */
export async function gather(
  { path, within, problems: known }: BaseFolder | AdapterFolder,
  roles: Iterable<readonly [role: string, name: string]>,
): Promise<Gathered> {
  const listed = [...roles];
  const found = await Promise.all(listed.map(([, name]) => within.file(`${path}/${name}`)));
  const files = new Map<string, LocatedFile[]>();
  const problems = [...known];
  let created = 0;
  for (const [index, [role, name]] of listed.entries()) {
    const file = found[index]!;
    if (file === "missing") problems.push(`it lacks ${name}`);
    else if (file === "outside") problems.push(`its ${name} lies outside ${within.called}`);
    else {
      created = Math.max(created, Number(file.stat.mtimeNs / NANOSECONDS_PER_SECOND));
      files.set(role, [...files.get(role) ?? [], file]);
    }
  }
  return { files, created, problems: problems.sort() };
}

/** Roles that several files may have. */
const SEVERAL: readonly string[] = ["externalData" satisfies keyof OnnxFiles];

/** What was found, by role. */
export function toFiles<F>({ files }: Gathered): Located<F> {
  const entries = [...files].map(([role, found]) => [role, SEVERAL.includes(role) ? found : found[0]!]);
  return Object.fromEntries(entries) as Located<F>;
}

/** The files of one export, by role. */
export function rolesOf({ graph, externalData, genaiConfig }: Export): (readonly [role: string, name: string])[] {
  return [
    ["graph", graph],
    ...externalData.map((name) => ["externalData", name] as const),
    ...(genaiConfig === undefined ? [] : [["genaiConfig", genaiConfig] as const]),
  ];
}

/** An adapter that lies in the folder of its base. */
export function adapterBeside({ path, within }: BaseFolder, name: string): AdapterFolder {
  return { is: "adapter", name, path: `${path}/adapters/${name}`, within, problems: isName(name) ? [] : [UNNAMEABLE] };
}
