/**
 * Hugging Face's cache on disk, as huggingface_hub lays it out, so that a model that Python has fetched is there for
 * us and one that we have fetched is there for Python.
 * https://huggingface.co/docs/huggingface_hub/guides/manage-cache
 *
 * ```text
 * <hub>/models--<organisation>--<name>/
 *   refs/main                          the commit that a branch or tag pointed to
 *   snapshots/<commit>/<file>          links to
 *   blobs/<etag>                       the files by content
 * ```
 *
 * @module
 */

import type { Runtime } from "../../runtime/runtime.ts";

/** A commit, as Git names it. */
const COMMIT = /^[0-9a-f]{40}$/;

/** The branch that a name without a revision means. */
export const DEFAULT_REVISION = "main";

/** Where the hub's cache is, by the variables that huggingface_hub reads; `undefined` without a home folder. */
export function hubCacheFolder({ environment }: Pick<Runtime, "environment">): string | undefined {
  const variable = (name: string) => environment(name) || undefined;
  const home = variable("HOME") ?? variable("USERPROFILE");
  const expanded = (path: string | undefined) => path?.replace(/^~(?=$|[\\/])/, () => home ?? "~").replace(/\/+$/, "");
  const caches = expanded(variable("XDG_CACHE_HOME")) ?? (home && `${home}/.cache`);
  const hfHome = expanded(variable("HF_HOME")) ?? (caches && `${caches}/huggingface`);
  return expanded(variable("HF_HUB_CACHE") ?? variable("HUGGINGFACE_HUB_CACHE")) ?? (hfHome && `${hfHome}/hub`);
}

/** The folder of a repository in the hub's cache. */
export function repositoryFolder(hub: string, id: string): string {
  return `${hub}/models--${id.replaceAll("/", "--")}`;
}

/** The repository that has a folder of this name; `undefined` for other names. */
export function repositoryOf(folder: string): string | undefined {
  const [kind, ...parts] = folder.split("--");
  return kind === "models" && parts.length >= 1 && parts.length <= 2 ? parts.join("/") : undefined;
}

/** Whether a revision is a commit itself, and no branch or tag that may come to point to another. */
export function isCommit(revision: string): boolean {
  return COMMIT.test(revision);
}
