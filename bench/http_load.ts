/**
 * The load of `http.ts`, in a process of its own: connections that are kept alive, each of which asks, reads the answer,
 * compares every byte of it with what it should be, and asks again. On bare sockets, so that it costs little beside the
 * servers it measures.
 *
 * Reads one {@link Job} from its standard input, as JSON, and prints one {@link Load}.
 */

import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import process from "node:process";
import { text } from "node:stream/consumers";
import { seededRandom } from "./harness.ts";

/** What to ask whom, and for how long. */
export interface Job {
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** A file with the exchanges to ask for in turn: JSON, an array of {@link Exchange}. */
  readonly exchanges: string;
  readonly connections: number;
  /** Milliseconds before anything is counted. */
  readonly warmUp: number;
  /** Milliseconds that are counted. */
  readonly duration: number;
}

/** A request's body, and the answer's. */
export interface Exchange {
  readonly request: string;
  readonly answer: string;
}

/** What came of it. Times are from the first byte sent to the last one received, in microseconds. */
export interface Load {
  /** Those of the warm-up included. */
  readonly answers: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

/** A message ready to be sent, and what has to come back. */
interface Prepared {
  readonly message: Buffer;
  readonly answer: Buffer;
}

if ((import.meta as { main?: boolean }).main) {
  console.log(JSON.stringify(await load(JSON.parse(await text(process.stdin)) as Job)));
}

async function load(job: Job): Promise<Load> {
  const exchanges = JSON.parse(readFileSync(job.exchanges, "utf8")) as Exchange[];
  const prepared = exchanges.map((exchange) => prepare(job, exchange));
  const random = seededRandom(job.connections);
  const started = performance.now();
  const counted = { from: started + job.warmUp, until: started + job.warmUp + job.duration };
  const times: number[] = [];
  let answers = 0;
  await Promise.all(Array.from({ length: job.connections }, () => {
    const next = (): Prepared => prepared[Math.floor(random() * prepared.length)]!;
    return converse(job.port, next, counted.until, (sent, now) => {
      answers++;
      if (sent >= counted.from && now <= counted.until) times.push(now - sent);
    });
  }));
  times.sort((a, b) => a - b);
  const at = (share: number): number => Math.round(times[Math.floor(share * (times.length - 1))]! * 1000);
  return {
    answers,
    perSecond: Math.round(times.length * 1000 / job.duration),
    p50: at(0.5),
    p99: at(0.99),
  };
}

function prepare({ port, path, headers }: Job, { request, answer }: Exchange): Prepared {
  const body = Buffer.from(request);
  const lines = Object.entries({ Host: `127.0.0.1:${port}`, ...headers, "Content-Length": String(body.length) });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const message = Buffer.concat([Buffer.from(`POST ${path} HTTP/1.1\r\n${head}\r\n`), body]);
  return { message, answer: Buffer.from(answer) };
}

/** One connection: a request whenever the answer to the last one is complete, until the time is up. */
function converse(
  port: number,
  next: () => Prepared,
  until: number,
  answered: (sent: number, now: number) => void,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket: Socket = connect({ port, host: "127.0.0.1", noDelay: true });
  let asked = next();
  let sent = 0;
  let received: Buffer = Buffer.alloc(0);
  const ask = (): void => {
    asked = next();
    sent = performance.now();
    socket.write(asked.message);
  };
  socket.on("connect", ask);
  socket.on("data", (piece: Buffer) => {
    received = received.length === 0 ? piece : Buffer.concat([received, piece]);
    let body: Buffer | undefined;
    try {
      body = bodyOf(received);
      if (body === undefined) return;
      if (!body.equals(asked.answer)) throw new Error(`Another answer than was expected: ${body.subarray(0, 200)}`);
    } catch (error) {
      reject(error);
      socket.destroy();
      return;
    }
    received = Buffer.alloc(0);
    const now = performance.now();
    answered(sent, now);
    if (now < until) return ask();
    socket.destroy();
    resolve();
  });
  socket.on("error", reject);
  socket.on("close", () => reject(new Error("The server closed a connection")));
  return promise;
}

/** The body of a response that is all there; `undefined` while it is not. */
function bodyOf(received: Buffer): Buffer | undefined {
  const end = received.indexOf("\r\n\r\n");
  if (end === -1) return undefined;
  const head = received.toString("latin1", 0, end);
  if (!head.startsWith("HTTP/1.1 200 ")) throw new Error(`Another status than 200: ${received.subarray(0, 400)}`);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head);
  const rest = received.subarray(end + 4);
  if (length === null) return unchunked(rest);
  return rest.length < Number(length[1]) ? undefined : rest;
}

/** RFC 9112 section 7.1, without extensions and trailers. */
function unchunked(rest: Buffer): Buffer | undefined {
  const pieces: Buffer[] = [];
  for (let at = 0;;) {
    const lineEnd = rest.indexOf("\r\n", at);
    if (lineEnd === -1) return undefined;
    const size = parseInt(rest.toString("latin1", at, lineEnd), 16);
    const next = lineEnd + 2 + size + 2;
    if (rest.length < next) return undefined;
    if (size === 0) return Buffer.concat(pieces);
    pieces.push(rest.subarray(lineEnd + 2, next - 2));
    at = next;
  }
}
