/**
 * Real redis-servers for tests: alone, behind a password or TLS, or three as a Cluster. They are started on free ports,
 * can be killed as a power failure would end them, and go with the process that tests run in.
 */

import type { ChildProcess } from "node:child_process";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import process from "node:process";
import type { TestContext } from "node:test";
import { requirePart } from "./parts.ts";
import { temporaryFolder } from "./temporary.ts";

/** How long a server may take to start, or a Cluster to agree. */
const PATIENCE = 30_000;
/** How often a second a slow line lets something pass. */
const TURNS = 50;

const running = new Set<ChildProcess>();
const killAll = (): void => running.forEach((child) => child.kill("SIGKILL"));
process.on("exit", killAll);
// Deno tells a test module of its end in this way only.
globalThis.addEventListener?.("unload", killAll);

/** How to start a server. */
export interface RedisServerOptions {
  /** Further words for its command line, such as `--appendonly yes`. */
  readonly args?: readonly string[];
  /** Behind a certificate of the test's own. */
  readonly tls?: TestCertificate;
  /** For {@link RedisServer.command}, where the server asks for it. */
  readonly password?: string;
}

/** A certificate for `localhost`, which is its own authority. */
export interface TestCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** A redis-server that runs until it is stopped. */
export class RedisServer {
  readonly port: number;
  readonly directory: string;
  readonly #options: RedisServerOptions;
  #child: ChildProcess | undefined;

  private constructor(port: number, directory: string, options: RedisServerOptions) {
    this.port = port;
    this.directory = directory;
    this.#options = options;
  }

  /** Starts one and waits until it answers. */
  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), await temporaryFolder(), options);
    await server.restart();
    return server;
  }

  get url(): string {
    return `${this.#options.tls ? "rediss://localhost" : "redis://127.0.0.1"}:${this.port}`;
  }

  /** Starts it again on the same port and folder. */
  async restart(args: readonly string[] = []): Promise<void> {
    const { tls } = this.#options;
    const listen = tls
      ? ["--port", "0", "--tls-port", `${this.port}`, "--tls-cert-file", tls.certificate, "--tls-key-file", tls.key]
        .concat(["--tls-ca-cert-file", tls.certificate, "--tls-auth-clients", "no"])
      : ["--port", `${this.port}`];
    const child = spawn(
      "redis-server",
      [...listen, "--dir", this.directory, "--save", "", "--enable-debug-command", "yes"]
        .concat([...this.#options.args ?? [], ...args]),
      { stdio: "ignore" },
    );
    child.unref();
    running.add(child);
    child.once("exit", () => running.delete(child));
    this.#child = child;
    await until("redis-server to answer", () => /PONG|LOADING|NOAUTH|MASTERDOWN/.test(this.command("PING")));
  }

  /** Runs a command by redis-cli; the reply, or the error, as it prints it. */
  command(...words: string[]): string {
    const { tls, password } = this.#options;
    const secure = tls ? ["--tls", "--cacert", tls.certificate, "-h", "localhost"] : [];
    const known = password === undefined ? [] : ["--no-auth-warning", "-a", password];
    try {
      const line = [...secure, ...known, "-p", `${this.port}`, ...words];
      return execFileSync("redis-cli", line, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
    } catch {
      return "";
    }
  }

  /** Stops it in the midst of whatever it does, as SIGSTOP does. */
  freeze(): void {
    process.kill(this.#child!.pid!, "SIGSTOP");
  }

  /** Lets it go on. */
  thaw(): void {
    process.kill(this.#child!.pid!, "SIGCONT");
  }

  /** Ends it by SIGKILL, and waits until it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    this.#child = undefined;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.ref();
    child.kill("SIGKILL");
    await gone;
  }

  /**
   * Cuts the end off its append-only file, while it is down, as a kill in the midst of a write does: of the last
   * transaction there, `commands` are left, and a piece of the next.
   */
  tear(commands: number): void {
    // Before Redis 7 it is one file.
    const parts = join(this.directory, "appendonlydir", "appendonly.aof.1.incr.aof");
    const path = existsSync(parts) ? parts : join(this.directory, "appendonly.aof");
    const log = readFileSync(path, "latin1");
    let end = log.lastIndexOf("*1\r\n$5\r\nMULTI\r\n");
    // Its own first line, and the command itself.
    for (let left = 1 + commands; left > 0; left--) end += takeCommand(log.slice(end))!.length;
    truncateSync(path, end + "*1".length);
  }

  /** {@link kill}s it and removes what it left. */
  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A Cluster of three masters. */
export async function startCluster(): Promise<RedisServer[]> {
  const servers = await Promise.all([0, 1, 2].map(async () =>
    await RedisServer.start({
      args: ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
        .concat(["--cluster-port", `${await freePort()}`, "--cluster-require-full-coverage", "no"]),
    })
  ));
  const nodes = servers.map(({ port }) => `127.0.0.1:${port}`);
  execFileSync("redis-cli", ["--cluster", "create", ...nodes, "--cluster-yes"], { stdio: "ignore" });
  await until("the Cluster to agree", () =>
    servers.every((server) => {
      const info = server.command("CLUSTER", "INFO");
      return info.includes("cluster_state:ok") && info.includes("cluster_known_nodes:3");
    }));
  return servers;
}

/** A certificate for `localhost`, made by openssl. */
export async function makeCertificate(): Promise<TestCertificate> {
  const directory = await temporaryFolder();
  const [certificate, key] = [join(directory, "certificate.pem"), join(directory, "key.pem")];
  const files = ["-keyout", key, "-out", certificate];
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", ...files, ...names], {
    stdio: "ignore",
  });
  return { certificate, key };
}

/** A server that takes connections and answers what it is told to, byte for byte, to whatever it is sent. */
export class FalseRedis {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(port: number, server: Server, sockets: Set<Socket>) {
    this.port = port;
    this.#server = server;
    this.#sockets = sockets;
  }

  /** `answer` gets the words of a command, in capitals, and gives bytes, or nothing. */
  static async start(answer: (words: readonly string[]) => string | undefined): Promise<FalseRedis> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
      let text = "";
      socket.on("data", (bytes) => {
        text += bytes.toString("latin1");
        for (let taken = takeCommand(text); taken; taken = takeCommand(text)) {
          text = text.slice(taken.length);
          const reply = answer(taken.words.map((word) => word.toUpperCase()));
          if (reply !== undefined) socket.write(reply, "latin1");
        }
      });
    });
    const port = await listen(server);
    return new FalseRedis(port, server, sockets);
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Closes all connections and listens no more. */
  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** A way to a server that tests can make slow, deaf or dead. */
export class Line {
  readonly port: number;
  /** Whether nothing that the server says arrives. */
  isMute = false;
  /** More bytes at once than this, and it hangs up. */
  longest: number = Infinity;
  /** How many connections there have been. */
  connections = 0;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(port: number, server: Server, sockets: Set<Socket>) {
    this.port = port;
    this.#server = server;
    this.#sockets = sockets;
  }

  /** `bytesPerSecond`, there and back each. */
  static async to(target: number, bytesPerSecond: number = Infinity): Promise<Line> {
    const sockets = new Set<Socket>();
    const server = createServer((near) => {
      const far = connect(target, "127.0.0.1");
      line.connections++;
      line.#pass(near, far, bytesPerSecond, () => false);
      line.#pass(far, near, bytesPerSecond, () => line.isMute);
    });
    const port = await listen(server);
    const line = new Line(port, server, sockets);
    return line;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Ends all connections, and takes no more. */
  async close(): Promise<void> {
    this.hangUp();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Ends all connections. */
  hangUp(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #pass(from: Socket, to: Socket, bytesPerSecond: number, isLost: () => boolean): void {
    const waiting: Uint8Array[] = [];
    let length = 0;
    from.on("data", (bytes: Uint8Array) => {
      if (isLost()) return;
      waiting.push(bytes.slice());
      length += bytes.length;
      if (length > this.longest) this.hangUp();
      else if (bytesPerSecond === Infinity) to.write(bytes);
    });
    const timer = setInterval(() => {
      let left = Math.min(bytesPerSecond / TURNS, Number.MAX_SAFE_INTEGER);
      length = 0;
      while (waiting.length > 0 && left > 0) {
        const piece = waiting[0]!.subarray(0, left);
        if (bytesPerSecond < Infinity) to.write(piece);
        left -= piece.length;
        waiting[0] = waiting[0]!.subarray(piece.length);
        if (waiting[0].length === 0) waiting.shift();
      }
    }, 1000 / TURNS);
    from.on("close", () => {
      clearInterval(timer);
      this.#sockets.delete(from);
      to.destroy();
    });
    from.on("error", () => {});
    this.#sockets.add(from);
  }
}

/** Whether redis-server is there; if not, the test is skipped, or fails on CI. */
export function requireRedis(context: TestContext): boolean {
  return requirePart(context, "redis-server") && requirePart(context, "redis-cli");
}

/** Waits until something holds. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let waited = 0; !await holds(); waited += 20) {
    if (waited > PATIENCE) throw new Error(`Waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A port that nobody listens on just now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
  });
}

/** The first whole command in what was received, in RESP. */
function takeCommand(text: string): { words: string[]; length: number } | undefined {
  const count = /^\*(\d+)\r\n/.exec(text);
  if (!count) return undefined;
  let at = count[0].length;
  const words: string[] = [];
  for (let index = 0; index < Number(count[1]); index++) {
    const size = /^\$(\d+)\r\n/.exec(text.slice(at));
    if (!size) return undefined;
    const start = at + size[0].length;
    const end = start + Number(size[1]);
    if (text.length < end + 2) return undefined;
    words.push(text.slice(start, end));
    at = end + 2;
  }
  return { words, length: at };
}
