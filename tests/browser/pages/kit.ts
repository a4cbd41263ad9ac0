/// <reference lib="dom" />
/** What a page can do, for the tests of the kit itself. */

const worker = new Worker(new URL("./kit_worker.js", import.meta.url), { type: "module" });

/** Gives back what it gets. */
export function echo(value: unknown): unknown {
  return value;
}

/** Fails, with a code. */
export function fail(): never {
  throw Object.assign(new RangeError("too far"), { code: "far" });
}

/** Never ends. */
export function wait(): Promise<void> {
  return new Promise(() => {});
}

/** What the page is allowed to do. */
export function rights(): { secure: boolean; isolated: boolean } {
  return { secure: isSecureContext, isolated: crossOriginIsolated };
}

/** Says something on the page's console, at a level. */
export function say(level: "error" | "warn" | "log", text: string): void {
  console[level](text);
}

/** Fails where nobody waits for it. */
export function failLater(): void {
  setTimeout(() => {
    throw new Error("nobody listens");
  });
}

/** Fetches and compiles a .wasm file as browsers prefer to: while it comes in, which takes the right type. */
export async function compile(path: string): Promise<string[]> {
  const module = await WebAssembly.compileStreaming(fetch(path));
  return WebAssembly.Module.exports(module).map(({ name }) => name).slice(0, 3);
}

/** Writes into a file of the origin's own file system. */
export async function write(name: string, text: string): Promise<void> {
  await ask({ name, text });
}

/** Reads one; empty where there is none. */
export async function read(name: string): Promise<string> {
  return await ask({ name });
}

/** Writes until there is no room, and tells how that showed: an error's name, or "a short write". */
export async function fill(name: string, most: number): Promise<string> {
  return await ask({ name, fill: most });
}

/** Lets the Worker complain. */
export async function complainInWorker(text: string): Promise<void> {
  await ask({ complain: text });
}

async function ask(message: object): Promise<string> {
  const answer = new Promise<string>((resolve) => {
    worker.addEventListener("message", ({ data }) => resolve(data), { once: true });
  });
  worker.postMessage(message);
  return await answer;
}
