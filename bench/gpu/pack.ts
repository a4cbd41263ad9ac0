/**
 * Makes a folder that runs `bench/gpu.ts` on a bare Linux machine of this one's processor, with a GPU and no network:
 * deno, the modules and packages that are needed, and the Vulkan loader with what drivers want beside it. Under 64 MiB;
 * models are written where they are measured.
 *
 * Run: `deno run -A bench/gpu/pack.ts FOLDER`, carry FOLDER over, and there `sh FOLDER/run.sh --out figures.json`.
 */

import { execFile } from "node:child_process";
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Programs that are started by their place. */
const PROGRAMS = ["bench/gpu.ts", "src/model/worker/worker.ts", "tests/model/counting_gpu_worker.ts"];
const BESIDE = [
  "bench/gpu/torch_llama.py",
  ...["tokenizer.json", "tokenizer_config.json", "generation_config.json"].map((name) => `models/kjv-tiny/${name}`),
];
/** The packages in use on a GPU, and which of their files are needed. */
const PACKAGES: Readonly<Record<string, RegExp>> = {
  "@huggingface/jinja": /\.(c|m)?js$/,
  "@huggingface/tokenizers": /\.(c|m)?js$/,
  "lru-cache": /\.js$/,
  "onnxruntime-web": /dist\/(ort\.webgpu\.bundle\.min\.mjs|ort-wasm-simd-threaded\.asyncify\.(mjs|wasm))$/,
};
/** The loaders, and what NVIDIA's driver is linked against. */
const LIBRARIES = [
  "libvulkan.so.1",
  "libGLdispatch.so.0",
  "libGLX.so.0",
  "libEGL.so.1",
  "libX11.so.6",
  "libXext.so.6",
  "libxcb.so.1",
  "libXau.so.6",
  "libXdmcp.so.6",
  "libbsd.so.0",
  "libmd.so.0",
];
const MOST_BYTES = 64 * 2 ** 20;

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("Which folder? deno run -A bench/gpu/pack.ts FOLDER");
await mkdir(join(folder, "lib"), { recursive: true });
const room = await mkdtemp(join(tmpdir(), "warmcache-pack-"));
try {
  const app = join(room, "app");
  await writeApp(app);
  await run("tar", ["cf", join(room, "app.tar"), "-C", app, "."]);
  await writeFile(join(folder, "app.tar.gz"), gzipSync(await readFile(join(room, "app.tar")), { level: 9 }));
} finally {
  await rm(room, { recursive: true });
}
await writeFile(join(folder, "deno.gz"), gzipSync(await readFile(process.execPath), { level: 9 }));
await copyFile(join(ROOT, "bench/gpu/run.sh"), join(folder, "run.sh"));
const missing = await copyLibraries(join(folder, "lib"));

let bytes = 0;
for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
  if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
}
console.log(`${folder}: ${(bytes / 2 ** 20).toFixed(1)} MiB`);
if (missing.length > 0) console.log(`not here, and so not in it: ${missing.join(", ")}`);
if (bytes > MOST_BYTES) throw new Error(`${folder} is larger than ${MOST_BYTES} bytes: ${bytes}`);

/** Modules, packages and data, in the places that they have here. */
async function writeApp(app: string): Promise<void> {
  const modules = new Set(BESIDE);
  const packages = new Map<string, string>();
  for (const program of PROGRAMS) {
    const { stdout } = await run(process.execPath, ["info", "--json", program], { cwd: ROOT, maxBuffer: 2 ** 28 });
    const info: Info = JSON.parse(stdout);
    for (const { local } of info.modules) {
      if (local?.startsWith(ROOT) && !local.includes("/node_modules/")) modules.add(relative(ROOT, local));
    }
    for (const { name, localPath } of Object.values(info.npmPackages)) {
      if (name in PACKAGES) packages.set(name, localPath);
    }
  }
  for (const path of modules) {
    await mkdir(join(app, dirname(path)), { recursive: true });
    await copyFile(join(ROOT, path), join(app, path));
  }
  for (const [name, place] of packages) {
    const filter = async (path: string): Promise<boolean> =>
      (await stat(path)).isDirectory() || path === join(place, "package.json") || PACKAGES[name]!.test(path) ||
      path.endsWith("/package.json");
    await cp(place, join(app, "node_modules", name), { recursive: true, filter });
  }
  const { unstable } = JSON.parse(await readFile(join(ROOT, "deno.json"), "utf8"));
  await writeFile(join(app, "deno.json"), JSON.stringify({ nodeModulesDir: "manual", unstable }));
  const versions = [...packages.keys()].map(async (name) => {
    return [name, JSON.parse(await readFile(join(app, "node_modules", name, "package.json"), "utf8")).version];
  });
  const dependencies = Object.fromEntries(await Promise.all(versions));
  await writeFile(join(app, "package.json"), JSON.stringify({ type: "module", dependencies }));
}

interface Info {
  readonly modules: readonly { readonly local?: string }[];
  readonly npmPackages: Readonly<Record<string, { readonly name: string; readonly localPath: string }>>;
}

/** Copies the libraries that this machine has; returns the others. */
async function copyLibraries(target: string): Promise<string[]> {
  const { stdout } = await run("ldconfig", ["-p"]);
  const missing: string[] = [];
  for (const name of LIBRARIES) {
    const line = stdout.split("\n").find((line) => line.trim().startsWith(`${name} `) && line.includes("x86-64"));
    if (line === undefined) missing.push(name);
    else await copyFile(line.split("=> ")[1]!.trim(), join(target, name));
  }
  return missing;
}
