/// <reference lib="dom" />
/// <reference lib="webworker" />
/** The Worker of `kit.ts`: OPFS has synchronous files in Workers only. */

addEventListener("message", async ({ data }) => {
  if (data.complain) console.error(data.complain);
  postMessage(data.name ? await work(data).catch((error: Error) => error.name) : "");
});

async function work({ name, text, fill }: { name: string; text?: string; fill?: number }): Promise<string> {
  const root = await navigator.storage.getDirectory();
  const handle = await root.getFileHandle(name, { create: true });
  const access = await handle.createSyncAccessHandle();
  try {
    if (text !== undefined) access.write(new TextEncoder().encode(text), { at: 0 });
    const block = new Uint8Array(1 << 20);
    for (let at = 0; at < (fill ?? 0); at += block.length) {
      if (access.write(block, { at }) < block.length) return "a short write";
    }
    access.flush();
    const bytes = new Uint8Array(Math.min(access.getSize(), 1000));
    access.read(bytes, { at: 0 });
    return new TextDecoder().decode(bytes);
  } finally {
    access.close();
  }
}
