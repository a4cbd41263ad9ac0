/** zstd's module. */
export const zstd: WebAssembly.Module;
