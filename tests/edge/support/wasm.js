/* @ts-self-types="./wasm.d.ts" */
/**
 * The .wasm files as modules that are compiled when a Worker is uploaded. In JavaScript, since Deno's compiler would take
 * them for TypeScript.
 */

export { default as sqlite } from "@sqlite.org/sqlite-wasm/sqlite3.wasm";
export { default as zstd } from "../../../node_modules/@bokuweb/zstd-wasm/dist/common/zstd.wasm";
