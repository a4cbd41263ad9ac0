/** What a bundle for the edge weighs: no part may outgrow what `docs/edge.md` says. */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { bundleForEdge } from "../../examples/edge/bundle.ts";
import { pathOf } from "../house/module_graph.ts";
import { BundleSizes } from "../package/bundle_sizes.ts";
import { temporaryFolder } from "../support/temporary.ts";

const ENTRIES = ["tests/edge/workers/core.ts", "tests/edge/workers/fetching.ts"] as const;

describe("a bundle for the edge", () => {
  it("is no larger than it is said to be", async (context) => {
    const outdir = await temporaryFolder();
    const { metafile } = await build({
      absWorkingDir: pathOf(""),
      entryPoints: [...ENTRIES],
      outdir,
      entryNames: "[name]",
      bundle: true,
      splitting: true,
      minify: true,
      metafile: true,
      format: "esm",
      platform: "neutral",
      mainFields: ["module", "main"],
      conditions: ["workerd", "worker", "browser"],
      target: "es2022",
      external: ["*.wasm"],
      logLevel: "silent",
    });
    await writeFile(join(outdir, "meta.json"), JSON.stringify(metafile));
    const sizes = await BundleSizes.of(outdir);
    const { script } = await bundleForEdge("examples/edge/worker.ts", { minify: true });
    const rows = {
      "the cache itself": [sizes.atOnce(ENTRIES[0]), 60_000],
      "with fetch": [sizes.atOnce(ENTRIES[1]), 72_000],
      "with the store of a Durable Object": [sizes.with(ENTRIES[1], /sql_store/), 85_000],
      "the example, in one file": [gzipSync(script, { level: 9 }).byteLength, 102_000],
    } as const;
    for (const [what, [bytes, most]] of Object.entries(rows)) {
      assert.ok(bytes > 1000 && bytes <= most, `${what}: ${bytes} of ${most} bytes, compressed by gzip`);
      context.diagnostic(`${what}: ${bytes} bytes, compressed by gzip`);
    }
  });

  it("holds nothing that only servers need", async () => {
    const { imports, script } = await bundleForEdge("examples/edge/worker.ts");
    assert.deepEqual(imports, []);
    assert.doesNotMatch(
      script,
      /node_modules\/(\.deno\/)?(zod|commander|hono|@redis|prom-client|@pydantic|onnxruntime)/,
    );
  });
});
