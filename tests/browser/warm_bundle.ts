/** The page with models, its Workers, and onnxruntime's .wasm files beside them and elsewhere, as a site serves them. */

import { readFile } from "node:fs/promises";
import { pathOf } from "../house/module_graph.ts";
import { bundleForBrowser, type SiteFiles } from "./support/bundle.ts";

/** What onnxruntime-web looks for beside its Worker: the CPU's build, and the one for GPUs. */
const ONNXRUNTIME = ["ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.asyncify.wasm"];

let bundled: Promise<SiteFiles> | undefined;

/** Bundles them, once. */
export function bundleWarm(): Promise<SiteFiles> {
  return bundled ??= bundle();
}

async function bundle(): Promise<SiteFiles> {
  const { files } = await bundleForBrowser({
    warm: "tests/browser/pages/warm.ts",
    warm_strict: "tests/browser/pages/warm_strict.ts",
    browser_model_worker: "src/compose/browser_model_worker.ts",
    own_model_worker: "tests/browser/pages/model_worker.ts",
    worker: "src/store/opfs/worker.ts",
  });
  const all = new Map(files);
  for (const name of ONNXRUNTIME) {
    const bytes = await readFile(pathOf(`node_modules/onnxruntime-web/dist/${name}`));
    for (const path of [name, `elsewhere/${name}`]) all.set(path, bytes);
  }
  return all;
}
