/**
 * `serve`: starts the server, says where it is and what it found, and stops it in good order on SIGINT or SIGTERM.
 *
 * @module
 */

import { lineLog } from "../compose/log.ts";
import { type RunningServer, startServerOn } from "../compose/server.ts";
import type { UpstreamTable } from "../compose/upstreams.ts";
import { VERSION } from "../compose/version.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type Settings, USAGE_ERROR } from "./settings.ts";

/** Runs the command; returns when the server has been stopped. */
export async function serve(runtime: Runtime, settings: Settings): Promise<void> {
  const { config: _, logLevel, drainTimeout, maxMemory, maxGpuMemory, upstream, upstreams, ...options } = settings;
  // Listened to before anybody can know that the server is there: a signal that comes first would just kill it.
  const termination = awaitTermination(runtime);
  let server: RunningServer;
  try {
    const log = lineLog(logLevel, runtime.clock, (line) => console.error(line));
    server = await startServerOn(runtime, {
      ...options,
      upstreams: { ...upstreamTable(upstreams), ...namedUpstreams(upstream) },
      ...(maxMemory !== undefined && { maxRamBytes: maxMemory }),
      ...(maxGpuMemory !== undefined && { maxGpuBytes: maxGpuMemory }),
      log,
    });
  } catch (error) {
    console.error(`warmcache: ${(error as Error).message}`);
    return runtime.exit(error instanceof TypeError || error instanceof RangeError ? USAGE_ERROR : 1);
  }
  greet(server, settings);
  console.log(`${await termination.asked}: finishing running requests; once more to stop at once`);
  // A client that neither reads nor leaves would keep the process for ever.
  runtime.clock.sleep(drainTimeout * 1000, { background: true }).then(() => {
    console.error(`warmcache: requests still run after ${drainTimeout} s: stopping at once`);
    runtime.exit(1);
  });
  await server.stop();
  termination.forget();
  console.log("stopped");
}

function upstreamTable(text = "{}"): UpstreamTable {
  try {
    const table: unknown = JSON.parse(text);
    if (typeof table === "object" && table !== null && !Array.isArray(table)) return table as UpstreamTable;
  } catch {
    // It is refused below, without its text: there may be a credential in it.
  }
  throw new TypeError("Cannot read the upstreams: they are no JSON object of settings by name");
}

/** A later one replaces an earlier one of that name. */
function namedUpstreams(upstream: readonly string[] = []): UpstreamTable {
  return Object.fromEntries(upstream.map((each) => {
    const at = each.indexOf("=");
    if (at < 1) throw new TypeError(`Cannot read an upstream (name=url is needed): ${each}`);
    return [each.slice(0, at), { url: each.slice(at + 1) }];
  }));
}

function greet({ url, models, cacheProblem }: RunningServer, settings: Settings): void {
  const usable = models.filter(({ problem }) => problem === undefined).map(({ id }) => id);
  console.log(`warmcache ${VERSION} listens on ${url}`);
  console.log(`  models  ${usable.join(", ") || "none"}  (in ${settings.models})`);
  if (models.length === 0) {
    console.log(`          put one in ${settings.models}/NAME: config.json, tokenizer.json, onnx/model.onnx`);
    console.log("          or fetch one: server.ts pull ORGANISATION/NAME");
  }
  for (const { id, problem } of models) {
    if (problem !== undefined) console.log(`          ${id} cannot be used: ${problem}`);
  }
  console.log(`  cache   ${settings.cache}`);
  if (cacheProblem !== undefined) console.log(`          no answer can be kept there: ${cacheProblem}`);
}

/** Waits for the signal to stop; a second one ends the process. */
function awaitTermination(runtime: Runtime): { readonly asked: Promise<string>; readonly forget: () => void } {
  const { promise: asked, resolve } = Promise.withResolvers<string>();
  let signals = 0;
  const forget = runtime.onTerminationSignal((signal) => {
    // Whoever asks twice does not want to wait for running requests.
    if (++signals > 1) runtime.exit(1);
    resolve(signal);
  });
  return { asked, forget };
}
