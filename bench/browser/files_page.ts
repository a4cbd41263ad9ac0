/// <reference lib="dom" />
/** A page that has one of two Workers measure itself. */

import type { Measured } from "./measure.ts";

/** Runs a Worker, once; says in which version of the browser. */
export async function measure(worker: "ours" | "sahpool"): Promise<Measured & { version: string }> {
  const running = new Worker(new URL(`./${worker}.js`, import.meta.url), { type: "module" });
  const measured = await new Promise<Measured>((resolve, reject) => {
    running.onmessage = ({ data }) => "failure" in data ? reject(new Error(data.failure)) : resolve(data);
    running.onerror = ({ message }) => reject(new Error(message));
  });
  running.terminate();
  return { ...measured, version: /(?:Chrome|Firefox)\/([\d.]+)/.exec(navigator.userAgent)![1]! };
}
