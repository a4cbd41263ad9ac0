/**
 * `pull`: fetches a model into Hugging Face's cache on this machine, from where the server serves it.
 *
 * @module
 */

import { automaticDevice } from "../model/device.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { DEFAULT_REVISION, hubCacheFolder } from "../warm/hub/hub_cache.ts";
import { pull as fetchModel, type Pulled } from "../warm/hub/pull.ts";
import { formatModelName, isName } from "../warm/spec.ts";
import { progressPrinter } from "./progress.ts";
import { type PullFlags, type Settings, USAGE_ERROR } from "./settings.ts";

/** Runs the command; one that fails ends the process with status 1, one that cannot be followed with 2. */
export async function pull(runtime: Runtime, settings: Settings, model: string, flags: PullFlags): Promise<void> {
  const { revision = DEFAULT_REVISION, dtype, endpoint } = flags;
  try {
    const hub = settings.hub || hubCacheFolder(runtime);
    if (hub === undefined) {
      throw new TypeError("Cannot find the hub's cache without a home folder: say where, by --hub");
    }
    const pulled = await fetchModel({
      runtime,
      hub,
      id: model,
      revision,
      dtype,
      endpoint,
      token: runtime.environment("HF_TOKEN")?.trim() || undefined,
      facts: await automaticDevice(runtime),
      onProgress: progressPrinter({
        clock: runtime.clock,
        isTerminal: runtime.printsToTerminal(),
        print: (line) => console.log(line),
      }),
    });
    console.log(`${describe(model, revision, pulled)}, in ${pulled.folder}`);
  } catch (error) {
    console.error(`warmcache: ${(error as Error).message}`);
    return runtime.exit(error instanceof TypeError ? USAGE_ERROR : 1);
  }
}

/** What was fetched, by the name that requests ask for. */
function describe(model: string, revision: string, { dtype, commit }: Pulled): string {
  const named = revision === DEFAULT_REVISION ? model : `${model}@${revision}`;
  // A branch such as refs/pr/1 has a name that no model can have.
  const base = isName(named) ? named : `${model}@${commit}`;
  return dtype === undefined ? `the adapter ${base}` : `the model ${formatModelName({ base, dtype })}`;
}
