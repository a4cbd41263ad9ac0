/**
 * `serve`: starts the server, says where it is and what it found, and stops it in good order on SIGINT or SIGTERM.
 *
 * @module
 */

import { lineLog } from "../compose/log.ts";
import { type RunningServer, startServerOn } from "../compose/server.ts";
import { VERSION } from "../compose/version.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type Settings, USAGE_ERROR } from "./settings.ts";

/** Runs the command; returns when the server has been stopped. */
export async function serve(runtime: Runtime, settings: Settings): Promise<void> {
  const { config: _, logLevel, drainTimeout, maxMemory, maxGpuMemory, ...options } = settings;
  // Listened to before anybody can know that the server is there: a signal that comes first would just kill it.
  const termination = awaitTermination(runtime);
  let server: RunningServer;
  try {
    const log = lineLog(logLevel, runtime.clock, (line) => console.error(line));
    server = await startServerOn(runtime, {
      ...options,
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

function greet({ url, models, cacheProblem }: RunningServer, settings: Settings): void {
  const usable = models.filter(({ problem }) => problem === undefined).map(({ id }) => id);
  console.log(`warmcache ${VERSION} listens on ${url}`);
  console.log(`  models  ${usable.join(", ") || "none"}  (in ${settings.models})`);
  if (models.length === 0) {
    console.log(`          put one in ${settings.models}/NAME: config.json, tokenizer.json, onnx/model.onnx`);
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
