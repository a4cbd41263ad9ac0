/**
 * Modules in processes of their own, on Deno: a panic in its WebGPU ends the process, whichever Worker it happens in.
 * Messages are structured clones, as between Workers, over the channel that Node has for its own child processes.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { stripVTControlCharacters } from "node:util";
import { startWorker } from "./node_common.ts";
import { FileError, type WorkerHandle } from "./runtime.ts";

/** How much is kept of what a process says before it dies. */
const LAST_WORDS = 16_384;

/** {@link ./runtime.ts Runtime.spawnProcess} */
export function spawnDenoProcess(url: URL, name: string): WorkerHandle {
  if (Deno.permissions.querySync({ name: "run", command: Deno.execPath() }).state !== "granted") {
    throw new FileError(`Cannot start process ${name}: allow it with --allow-run=${Deno.execPath()}`, "EACCES");
  }
  return startWorker(url, name, start);
}

function start(url: URL): WorkerHandle {
  const parameters = ["run", "--quiet", "--no-prompt", "--allow-read", "--allow-env", url.href];
  // Nothing it prints is ours: onnxruntime's and the driver's messages. What it says at the end tells why it ended.
  const child = spawn(Deno.execPath(), parameters, {
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    serialization: "advanced",
  });
  let said = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => said = (said + text).slice(-LAST_WORDS));
  let isWanted = true;
  let fail: (reason: Error) => void = () => {};
  const lose = (reason: string): void => {
    if (isWanted) fail(new Error(reason));
    isWanted = false;
  };
  child.on("error", (error) => lose(error.message));
  child.on(
    "close",
    (code, signal) =>
      lose(`its process ended with ${signal ?? `exit code ${code}`}${lastWords(stripVTControlCharacters(said))}`),
  );
  return {
    post(message) {
      // A channel that has closed says so by `close`, and not to whoever sends last.
      if (isWanted && child.connected) child.send(message as Parameters<ChildProcess["send"]>[0], () => {});
    },
    onMessage: (handler) => void child.on("message", handler),
    onFailure: (handler) => void (fail = handler),
    terminate() {
      isWanted = false;
      child.kill("SIGKILL");
    },
  };
}

/** Of all that was said, the line that tells why. */
function lastWords(said: string): string {
  const panic = /panicked at (.*)\n(.*)/.exec(said);
  const error = /(?:^|\n)(?:error: )?(Uncaught.*)/.exec(said);
  const words = panic ? `${panic[2]} at ${panic[1]}` : error?.[1];
  return words === undefined ? "" : `: ${words}`;
}
