/* @ts-self-types="./wasm.d.ts" */
/**
 * zstd as a module that is compiled when the Worker is uploaded: at the edge nothing is compiled later. In JavaScript,
 * since Deno's compiler would take the .wasm for TypeScript; a project of your own imports it where it needs it.
 */

export { default as zstd } from "../../node_modules/@bokuweb/zstd-wasm/dist/common/zstd.wasm";
