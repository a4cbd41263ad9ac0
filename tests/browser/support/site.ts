/** A site on this machine: files from memory or from folders, over real HTTP, with the types that browsers insist on. */

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import type { SiteFiles } from "./bundle.ts";

/** What to serve besides the files, and how. */
export interface SiteOptions {
  /** Folders, by the path they are served under: `{ models: "/path/of/models" }`. */
  readonly folders?: Readonly<Record<string, string>>;
  /** Whether pages are cross-origin isolated (COOP and COEP), so that they have `SharedArrayBuffer`. Default: no. */
  readonly isolated?: boolean;
  /** More headers of every answer. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A site that listens. */
export interface Site {
  /** Its origin, `http://localhost:…`: a secure context. */
  readonly origin: string;
  /** The same site under a name that browsers do not trust: no OPFS, no Web Locks. */
  readonly insecureOrigin: string;
  /** The paths that were asked for, in order. */
  readonly asked: readonly string[];
  /** Stops listening, and breaks off what is under way. */
  close(): Promise<void>;
}

/** A name of this machine, to the browsers that the kit starts, that is not `localhost`. */
export const INSECURE_HOST = "insecure.test";

const TYPES: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json",
  ".map": "application/json",
  ".mjs": "text/javascript; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
};

const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

/**
 * Serves files, on a port that the system chooses. For `x.js` there is a page `x.html`, unless the files have one, which
 * runs that module and is otherwise empty.
 */
export async function serveSite(files: SiteFiles, options: SiteOptions = {}): Promise<Site> {
  const asked: string[] = [];
  const common = { "Cache-Control": "no-store", ...options.isolated && ISOLATION, ...options.headers };
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url!, "http://x").pathname).slice(1) || "index.html";
    asked.push(path);
    const body = await find(path, files, options.folders ?? {});
    if (body === undefined) {
      response.writeHead(404, common).end("Not found\n");
    } else {
      const type = TYPES[extname(path)] ?? "application/octet-stream";
      response.writeHead(200, { ...common, "Content-Type": type, "Content-Length": body.length });
      response.end(request.method === "HEAD" ? undefined : body);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://localhost:${port}`,
    insecureOrigin: `http://${INSECURE_HOST}:${port}`,
    asked,
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function find(
  path: string,
  files: SiteFiles,
  folders: Readonly<Record<string, string>>,
): Promise<Uint8Array | undefined> {
  const made = files.get(path);
  if (made !== undefined) return made;
  const script = path.replace(/\.html$/, ".js");
  if (script !== path && files.has(script)) return new TextEncoder().encode(pageOf(script));
  for (const [name, folder] of Object.entries(folders)) {
    const below = normalize(path);
    if (below.startsWith(`${name}/`)) {
      return await readFile(join(folder, below.slice(name.length + 1))).catch(() => undefined);
    }
  }
  return undefined;
}

/** An empty page with one module; with an icon, or browsers ask for one and complain. */
function pageOf(script: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>${script}</title>
<link rel="icon" href="data:,">
<script type="module" src="/${script}"></script>
</html>
`;
}
