/** What a model's folder has, told beforehand, so that a page knows what it will get before it fetches it. */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";

/** The folder's `files.json`. */
export interface FileList {
  readonly files: readonly { readonly path: string; readonly size: number; readonly sha256: string }[];
}

/** What models are made of; a folder may have more, such as how it was trained. */
const OF_MODELS = /\.(json|jinja|safetensors|onnx|onnx_data(_\d+)?)$/;

/** Lists a model in Hugging Face layout. */
export async function listModel(folder: string): Promise<FileList> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = found.filter((file) => file.isFile() && OF_MODELS.test(file.name))
    .map((file) => join(file.parentPath, file.name)).sort();
  return {
    files: await Promise.all(paths.map(async (path) => ({
      path: relative(folder, path).replaceAll(sep, "/"),
      size: (await stat(path)).size,
      sha256: await sha256Of(path),
    }))),
  };
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const bytes of createReadStream(path)) hash.update(bytes);
  return hash.digest("hex");
}
