/**
 * A hub on this machine, laid out as huggingface.co is: an interface that names a repository's files, files that it
 * sends itself, and large ones for which it redirects to another host. What goes wrong on the way can be ordered.
 */

import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** The commit that `main` points to. */
export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** What the hub may do instead of sending a file as it should. Each is used up by one request for its bytes. */
export type Mishap =
  /** Sends so many bytes, from the range that was asked for or always from the first, and hangs up. */
  | { readonly breakAfter: number; readonly ranges?: false }
  /** Sends a status instead. */
  | { readonly status: number; readonly headers?: Record<string, string> }
  /** Sends other bytes of the same length. */
  | "wrong bytes"
  /** Sends the whole file whatever range was asked for. */
  | "no ranges"
  /** Begins and then says nothing more. */
  | "silence";

/** A request that the hub or its content host has received. */
export interface SeenRequest {
  readonly host: "hub" | "content";
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** Files of a repository, and what goes wrong with them. */
export interface HubRepository {
  readonly id: string;
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** Files that Git LFS has, and the content host sends; the others are Git blobs. */
  readonly large?: readonly string[];
  /** By path, in this order. */
  readonly mishaps?: Readonly<Record<string, readonly Mishap[]>>;
  /** What the hub says of the repository instead. */
  readonly answer?: unknown;
  /** Sizes that the hub promises instead of the true ones, of large files by path. */
  readonly sizes?: Readonly<Record<string, number | string>>;
  /** Where the hub sends for large files instead. */
  readonly location?: string;
  /** Readers have to carry this token. */
  readonly token?: string;
}

/** A hub that listens. */
export interface TestHub extends AsyncDisposable {
  readonly endpoint: string;
  readonly requests: readonly SeenRequest[];
  /** What is asked for the bytes of files, with the range, if one was named. */
  downloads(): string[];
}

/** Starts a hub with one repository. */
export async function startHub(repository: HubRepository): Promise<TestHub> {
  const requests: SeenRequest[] = [];
  const mishaps = new Map(Object.entries(repository.mishaps ?? {}).map(([path, list]) => [path, [...list]]));
  const see = (host: SeenRequest["host"], { method = "", url = "", headers }: IncomingMessage): void => {
    const { range, authorization } = headers;
    requests.push({ host, method, path: decodeURIComponent(url), range, authorization });
  };
  const content = await listen((request, response) => {
    see("content", request);
    send(request, response, decodeURIComponent(request.url!.slice(1)));
  });
  const hub = await listen((request, response) => {
    see("hub", request);
    if (repository.token !== undefined && request.headers.authorization !== `Bearer ${repository.token}`) {
      response.writeHead(401, { "X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted" }).end();
      return;
    }
    const url = decodeURIComponent(request.url!);
    if (url === `/api/models/${repository.id}/revision/main` || url.endsWith(`/revision/${COMMIT}`)) {
      const siblings = Object.keys(repository.files).map((rfilename) => ({ rfilename }));
      response.writeHead(200, { "Content-Type": "application/json" });
      const { answer = { id: repository.id, sha: COMMIT, siblings } } = repository;
      response.end(JSON.stringify(answer));
      return;
    }
    const [, path = ""] = url.split(`/${repository.id}/resolve/${COMMIT}/`);
    const bytes = repository.files[path];
    if (bytes === undefined) {
      const code = url.startsWith("/api/") && url.includes(`/${repository.id}/`) ? "RevisionNotFound" : "RepoNotFound";
      response.writeHead(404, { "X-Error-Code": code }).end();
      return;
    }
    response.setHeader("X-Repo-Commit", COMMIT);
    if (repository.large?.includes(path)) {
      response.writeHead(302, {
        Location: repository.location ?? `${content.url}/${path}`,
        "X-Linked-Etag": `"${createHash("sha256").update(bytes).digest("hex")}"`,
        "X-Linked-Size": repository.sizes?.[path] ?? bytes.length,
        ETag: '"of the redirect"',
      }).end();
      return;
    }
    const blob = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
    response.setHeader("ETag", `W/"${blob}"`);
    send(request, response, path);
  });

  function send({ method, headers }: IncomingMessage, response: ServerResponse, path: string): void {
    const bytes = repository.files[path]!;
    if (method === "HEAD") {
      response.writeHead(200, { "Content-Length": bytes.length }).end();
      return;
    }
    const mishap = mishaps.get(path)?.shift();
    if (typeof mishap === "object" && "status" in mishap) {
      response.writeHead(mishap.status, mishap.headers).end();
      return;
    }
    const hasRanges = mishap !== "no ranges" && !(typeof mishap === "object" && mishap.ranges === false);
    const range = !hasRanges ? undefined : /^bytes=(\d+)-$/.exec(headers.range ?? "");
    const start = Number(range?.[1] ?? 0);
    if (start >= bytes.length && range) {
      response.writeHead(416, { "Content-Range": `bytes */${bytes.length}` }).end();
      return;
    }
    const body = mishap === "wrong bytes" ? bytes.slice(start).fill(0) : bytes.slice(start);
    response.writeHead(range ? 206 : 200, {
      "Content-Length": body.length,
      ...(range ? { "Content-Range": `bytes ${start}-${bytes.length - 1}/${bytes.length}` } : {}),
    });
    if (mishap === "silence") response.write(body.slice(0, 1));
    else if (typeof mishap === "object") {
      response.write(body.slice(0, mishap.breakAfter), () => setTimeout(() => response.destroy(), 20));
    } else response.end(body);
  }

  return {
    endpoint: hub.url,
    requests,
    downloads: () =>
      requests.filter(({ method, path }) => method === "GET" && !path.startsWith("/api/"))
        // A redirect and what it leads to are one.
        .filter(({ host, path }) => host === "content" || !repository.large?.some((name) => path.endsWith(`/${name}`)))
        .map(({ path, range }) => `${path.split(`/${COMMIT}/`).at(-1)!.replace(/^\//, "")}${range ? ` ${range}` : ""}`),
    async [Symbol.asyncDispose]() {
      await Promise.all([hub, content].map((each) => each.stop()));
    },
  };
}

async function listen(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<{ readonly url: string; readonly stop: () => Promise<void> }> {
  const server: Server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://127.0.0.1:${port}`, stop };
}
