/**
 * The clients of `slow_clients.ts`: sockets that take in next to nothing and are read when it says so. No runtime lets
 * a program choose how much a connection takes in, and on loopback that is megabytes, so these are the C library's own.
 *
 * It is told on its standard input, a line each: `open <port> <count> <request in base64>`, `read <bytes>` from each,
 * and `close`; it answers each with a line.
 */

import process from "node:process";
import { createInterface } from "node:readline";

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const MSG_DONTWAIT = 0x40;
/** The least that Linux takes, doubled by it. */
const RECEIVE_BUFFER = 2304;

const { symbols: c } = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
});

const sockets: number[] = [];

function open(port: number, request: Uint8Array<ArrayBuffer>): void {
  const socket = c.socket(AF_INET, SOCK_STREAM, 0);
  if (socket < 0) throw new Error("Cannot make a socket: raise the limit of open files (ulimit -n)");
  c.setsockopt(socket, SOL_SOCKET, SO_RCVBUF, new Uint8Array(Int32Array.of(RECEIVE_BUFFER).buffer), 4);
  // struct sockaddr_in of 127.0.0.1: family, port in network order, address.
  const address = Uint8Array.of(AF_INET, 0, port >> 8, port & 0xff, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0);
  if (c.connect(socket, address, address.length) !== 0) throw new Error("Cannot connect");
  if (Number(c.send(socket, request, BigInt(request.length), 0)) !== request.length) throw new Error("Cannot send");
  sockets.push(socket);
}

/** Returns how many bytes came, and on how many sockets. */
function read(bytes: number): [number, number] {
  const buffer = new Uint8Array(bytes);
  let [sum, heard] = [0, 0];
  for (const socket of sockets) {
    const count = Number(c.recv(socket, buffer, BigInt(bytes), MSG_DONTWAIT));
    if (count <= 0) continue;
    sum += count;
    heard++;
  }
  return [sum, heard];
}

for await (const line of createInterface({ input: process.stdin })) {
  const [what, ...parts] = line.split(" ");
  if (what === "open") {
    const [port, count, request] = parts;
    // Each with a number of its own, where the request asks for one.
    for (let at = 0; at < Number(count); at++) {
      const text = new TextDecoder().decode(Uint8Array.fromBase64(request!));
      open(
        Number(port),
        new TextEncoder().encode(text.replaceAll("00000000", String(sockets.length).padStart(8, "0"))),
      );
      // The system's queue of connections that wait is short.
      if (at % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 25));
    }
    console.log(`open ${sockets.length}`);
  } else if (what === "read") {
    console.log(`read ${read(Number(parts[0])).join(" ")}`);
  } else {
    for (const socket of sockets.splice(0)) c.close(socket);
    console.log("closed");
  }
}
