/**
 * `serve`: starts the server, says where it is and what it found, and stops it in good order on SIGINT or SIGTERM.
 *
 * @module
 */

import { lineLog, type Log } from "../compose/log.ts";
import { type RunningServer, startServerOn } from "../compose/server.ts";
import { VERSION } from "../compose/version.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { serverOptions } from "./server_options.ts";
import { type Settings, USAGE_ERROR } from "./settings.ts";

/** Runs the command; returns when the server has been stopped. */
export async function serve(runtime: Runtime, settings: Settings): Promise<void> {
  const { logLevel, logFormat, drainDelay = 0, drainTimeout } = settings;
  // Listened to before anybody can know that the server is there: a signal that comes first would just kill it.
  const termination = awaitTermination(runtime);
  const log = lineLog(logLevel, runtime.clock, (line) => console.error(line), logFormat);
  // Whoever reads JSON wants nothing else; people are greeted.
  const say = logFormat === "json" ? (message: string) => log("info", message) : console.log;
  const complain = (message: string): void => {
    if (logFormat === "json") log("error", message);
    else console.error(`warmcache: ${message}`);
  };
  let server: RunningServer;
  try {
    server = await startServerOn(runtime, { ...serverOptions(settings), log });
  } catch (error) {
    complain((error as Error).message);
    return runtime.exit(error instanceof TypeError || error instanceof RangeError ? USAGE_ERROR : 1);
  }
  if (logFormat === "json") logStart(server, log);
  else greet(server, settings);
  say(`${await termination.asked}: finishing running requests; once more to stop at once`);
  // A client that neither reads nor leaves would keep the process for ever.
  runtime.clock.sleep(drainDelay + drainTimeout, { background: true }).then(() => {
    complain(`requests still run after ${drainTimeout / 1000} s: stopping at once`);
    runtime.exit(1);
  });
  await server.stop();
  termination.forget();
  say("stopped");
}

/** What people are greeted with, for programs. */
function logStart({ url, models, cachePlace, cacheProblem }: RunningServer, log: Log): void {
  log("info", `warmcache ${VERSION} listens on ${url}`, {
    event: "listening",
    version: VERSION,
    url,
    cache: cachePlace,
  });
  for (const { id, problem } of models) {
    if (problem !== undefined) log("warn", `${id} cannot be used: ${problem}`, { event: "model_unusable", model: id });
  }
  if (cacheProblem !== undefined) log("warn", `no answer can be kept: ${cacheProblem}`, { event: "cache_unusable" });
}

function greet({ url, models, cachePlace, cacheProblem }: RunningServer, settings: Settings): void {
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
  console.log(`  cache   ${cachePlace}`);
  console.log(`  pages   ${url}/ (dashboard), ${url}/docs (API)`);
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
