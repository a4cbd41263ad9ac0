/**
 * `pull`: fetches a model into Hugging Face's cache on this machine, from where the server serves it.
 *
 * @module
 */

import { automaticDevice } from "../model/device.ts";
import { DEFAULT_REVISION, hubCacheFolder } from "../warm/hub/hub_cache.ts";
import { pull as fetchModel, type Pulled } from "../warm/hub/pull.ts";
import { formatModelName, isName } from "../warm/spec.ts";
import type { CommandParts } from "./command.ts";
import { progressPrinter } from "./progress.ts";
import type { PullFlags } from "./settings.ts";

/** Runs the command. @throws TypeError when it cannot be followed; Error when it fails. */
export async function pull(parts: CommandParts, model: string, flags: PullFlags): Promise<void> {
  const { console, runtime, settings } = parts;
  const { revision = DEFAULT_REVISION, dtype, endpoint } = flags;
  const hub = settings.hub || hubCacheFolder(runtime);
  if (hub === undefined) {
    throw new TypeError("Cannot find the hub's cache without a home folder: say where, by --hub");
  }
  const { clock, terminal } = runtime;
  const pulled = await fetchModel({
    runtime,
    hub,
    id: model,
    revision,
    dtype,
    endpoint,
    token: runtime.environment("HF_TOKEN")?.trim() || undefined,
    signal: parts.signal,
    facts: await automaticDevice(runtime),
    onProgress: progressPrinter({
      clock,
      isTerminal: terminal.output.isTerminal(),
      print: (line) => void (console.isJson || terminal.output.write(`${line}\n`)),
    }),
  });
  if (console.isJson) await console.printJson({ model, revision, ...pulled });
  else await console.print(`${describe(model, revision, pulled)}, in ${pulled.folder}`);
}

/** What was fetched, by the name that requests ask for. */
function describe(model: string, revision: string, { dtype, commit }: Pulled): string {
  const named = revision === DEFAULT_REVISION ? model : `${model}@${revision}`;
  // A branch such as refs/pr/1 has a name that no model can have.
  const base = isName(named) ? named : `${model}@${commit}`;
  return dtype === undefined ? `the adapter ${base}` : `the model ${formatModelName({ base, dtype })}`;
}
