/** Requests as no client's library would write them, over a socket of their own. */

import { connect } from "node:net";

/** What came back. */
export interface RawAnswer {
  /** 0 where the server hung up without an answer. */
  readonly status: number;
  readonly headers: Headers;
  /** As it came over the wire. */
  readonly body: string;
}

/**
 * Sends a request line and header lines, and reads until the server hangs up. `Host` is the server's own and
 * `Connection` is `close` where the lines do not say otherwise.
 */
export async function rawRequest(
  { url }: { readonly url: string },
  line: string,
  headers: readonly string[] = [],
  body = "",
): Promise<RawAnswer> {
  const { hostname, port, host } = new URL(url);
  const said = (name: string): boolean => headers.some((header) => header.toLowerCase().startsWith(`${name}:`));
  const lines = [
    line,
    ...(said("host") || line.endsWith("HTTP/1.0") ? [] : [`Host: ${host}`]),
    ...(said("connection") ? [] : ["Connection: close"]),
    ...(body === "" || said("content-length") ? [] : [`Content-Length: ${new TextEncoder().encode(body).length}`]),
    ...headers,
  ];
  const socket = connect(Number(port), hostname);
  socket.on("error", () => {});
  socket.write(`${lines.join("\r\n")}\r\n\r\n${body}`, "latin1");
  socket.setEncoding("latin1");
  let text = "";
  for await (const piece of socket) text += piece;
  return parse(text);
}

function parse(text: string): RawAnswer {
  const [head = "", ...rest] = text.split("\r\n\r\n");
  const [line = "", ...lines] = head.split("\r\n");
  const headers = new Headers();
  for (const each of lines) {
    const at = each.indexOf(":");
    headers.append(each.slice(0, at), each.slice(at + 1).trim());
  }
  return { status: Number(line.split(" ")[1] ?? 0), headers, body: rest.join("\r\n\r\n") };
}
