/** SQLite's. */
export const sqlite: WebAssembly.Module;
/** zstd's. */
export const zstd: WebAssembly.Module;
