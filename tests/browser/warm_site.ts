/**
 * A site that has models and lets pages of other sites have them: files by ranges, a hub that names its files and sends
 * for the large ones to another host, and things that go wrong on the way.
 */

import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { KJV_TINY } from "../support/models.ts";

/** The files of the example model, below its folder. */
export const FILES: readonly string[] = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "onnx/model.onnx",
  "adapters/fortunes/adapter_config.json",
  "adapters/fortunes/adapter_model.safetensors",
];

/** The commit that `main` points to. */
export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** What the site does with a file instead of sending it; used up by one request. */
export type Mishap =
  /** Sends so many bytes, and hangs up. */
  | { readonly breakAfter: number }
  /** Sends so many bytes, and then nothing more. */
  | { readonly stopAfter: number }
  | { readonly status: number }
  | "wrong bytes"
  | "no ranges";

/** A request for a file. */
export interface SeenRequest {
  readonly host: "site" | "content";
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** A site that listens. */
export interface ModelSite {
  /** The folder with the example model. */
  readonly folder: string;
  /** The hub that has it, as `test/kjv-tiny`. */
  readonly hub: string;
  readonly requests: SeenRequest[];
  /** What goes wrong next, by path. */
  readonly mishaps: Map<string, Mishap[]>;
  /** What it has, by path; what is changed here is so from then on, in what it says of its files too. */
  readonly files: Map<string, Uint8Array>;
  /** Whether sites elsewhere may read what it says beside the bytes. */
  exposes: boolean;
  /** Whether files have a date, the same one for all, in place of an ETag. Some ways of building sites make them so. */
  dates: boolean;
  close(): Promise<void>;
}

/** What a site says of files in its `files.json`. */
export function listing(files: ReadonlyMap<string, Uint8Array>): { files: ListedFile[] } {
  return {
    files: Array.from(files, ([path, bytes]) => {
      return { path, size: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
    }),
  };
}

/** A file in it. */
export interface ListedFile {
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
}

/** The example model's files. */
export async function exampleFiles(): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const path of FILES) files.set(path, await readFile(join(KJV_TINY, path)));
  return files;
}

/** Starts the site, on two ports. */
export async function serveModels(): Promise<ModelSite> {
  const requests: SeenRequest[] = [];
  const mishaps = new Map<string, Mishap[]>();
  const see = (host: SeenRequest["host"], path: string, { headers }: IncomingMessage): void => {
    requests.push({ host, path, range: headers.range, authorization: headers.authorization });
  };
  const files = await exampleFiles();

  const send = (request: IncomingMessage, response: ServerResponse, path: string): void => {
    const body = path === "files.json" ? new TextEncoder().encode(JSON.stringify(listing(files))) : files.get(path);
    if (body === undefined) return void response.writeHead(404).end();
    const mishap = mishaps.get(path)?.shift();
    if (typeof mishap === "object" && "status" in mishap) return void response.writeHead(mishap.status).end();
    const asked = mishap === "no ranges" ? undefined : /^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1];
    const start = Number(asked ?? 0);
    const bytes = mishap === "wrong bytes" ? body.map((byte) => byte ^ 1) : body;
    response.writeHead(asked === undefined ? 200 : 206, {
      "Content-Type": "application/octet-stream",
      "Content-Length": bytes.length - start,
      ...site.dates
        ? { "Last-Modified": "Thu, 01 Jan 1970 00:00:01 GMT" }
        : { ETag: `"${createHash("sha256").update(body).digest("hex").slice(0, 16)}"` },
      ...asked !== undefined && { "Content-Range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` },
    });
    if (typeof mishap !== "object") return void response.end(bytes.subarray(start));
    if ("stopAfter" in mishap) return void response.write(bytes.subarray(start, start + mishap.stopAfter));
    response.write(bytes.subarray(start, start + mishap.breakAfter), () => setTimeout(() => response.destroy(), 50));
  };

  const content = await listen((request, response) => {
    const path = decodeURIComponent(request.url!).slice(1);
    allow(request, response, site.exposes);
    if (request.method === "OPTIONS") return void response.end();
    see("content", path, request);
    send(request, response, path);
  });
  const main = await listen((request, response) => {
    const url = decodeURIComponent(request.url!);
    allow(request, response, site.exposes);
    if (request.method === "OPTIONS") return void response.end();
    if (url.startsWith("/api/models/test/kjv-tiny/revision/main")) {
      see("site", url, request);
      const siblings = [...files].filter(([path]) => path !== "files.json").map(([path, bytes]) =>
        describe(path, bytes)
      );
      const strange = { rfilename: ".gitattributes", size: 3, blobId: "0".repeat(40) };
      return void response.end(JSON.stringify({ sha: COMMIT, siblings: [strange, ...siblings] }));
    }
    const inHub = url.split(`/test/kjv-tiny/resolve/${COMMIT}/`)[1];
    const path = inHub ?? url.replace("/kjv-tiny/", "");
    see("site", path, request);
    if (inHub !== undefined && isLarge(inHub)) {
      return void response.writeHead(302, { Location: `${addressOf(content)}/${inHub}` }).end();
    }
    send(request, response, path);
  });
  const site: ModelSite = {
    folder: `${addressOf(main)}/kjv-tiny/`,
    hub: addressOf(main),
    requests,
    mishaps,
    files,
    exposes: true,
    dates: false,
    async close() {
      for (const server of [main, content]) {
        const closed = once(server, "close");
        server.close();
        server.closeAllConnections();
        await closed;
      }
    },
  };
  return site;
}

function isLarge(path: string): boolean {
  return /\.(onnx|safetensors)$/.test(path);
}

function describe(rfilename: string, bytes: Uint8Array): object {
  const blobId = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
  if (!isLarge(rfilename)) return { rfilename, size: bytes.length, blobId };
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { rfilename, size: bytes.length, blobId, lfs: { sha256, size: bytes.length, pointerSize: 132 } };
}

/** As huggingface.co does: https://fetch.spec.whatwg.org/#http-cors-protocol */
function allow(request: IncomingMessage, response: ServerResponse, exposes: boolean): void {
  response.setHeader("Access-Control-Allow-Origin", request.headers.origin ?? "*");
  response.setHeader("Access-Control-Allow-Headers", "Authorization, Range");
  if (exposes) response.setHeader("Access-Control-Expose-Headers", "ETag, Content-Range");
}

async function listen(serve: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> {
  const server = createServer(serve);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function addressOf(server: Server): string {
  return `http://localhost:${(server.address() as AddressInfo).port}`;
}
