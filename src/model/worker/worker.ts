/**
 * A model's Worker on Deno, Node and Bun.
 *
 * @module
 */

import "../../runtime/load.ts";
import { serveModel } from "./serve.ts";

serveModel({ wasm: () => import("onnxruntime-web"), webgpu: () => import("onnxruntime-web/webgpu") });
