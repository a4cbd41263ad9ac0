/**
 * The library `@redis/client` as this store uses it: one connection, or one to each master of a Cluster, that carries
 * commands until it breaks and is then thrown away. When to connect anew is {@link ./link.ts}'s to decide: the library
 * by itself would wait without end for a server that accepts a connection and says nothing, and would take the replies
 * after a garbled one for those to other commands.
 *
 * @module
 */

import { createClient, createCluster, ErrorReply, RESP_TYPES } from "@redis/client";
import type { Endpoint, Settings } from "./options.ts";
import { Refusal } from "./refusal.ts";

/** Part of a command. */
export type Argument = string | Uint8Array;

/** A command about one key. */
export interface Command {
  /** What the key has between its braces. */
  readonly route: string;
  readonly key: string;
  readonly args: readonly Argument[];
}

/** What Redis answers. Strings are bytes, but for the short ones that only say how it went. */
export type Reply = null | number | string | Uint8Array | readonly Reply[];

/** Connections to a server or a Cluster. */
export interface Driver {
  /** Connects; rejects with what stood in the way. */
  connect(): Promise<void>;
  /** Sends a command to where its key lives. Rejects only when nobody knows what became of it. */
  send(command: Command): Promise<Reply | Refusal>;
  /** Ways to send to each server that holds keys, for what concerns no key in particular. */
  everywhere(): Promise<readonly ((args: readonly string[]) => Promise<Reply | Refusal>)[]>;
  /** Hears that it broke while nothing was asked of it, or that a reply made no sense. */
  onBroken: (error: Error) => void;
  /** Lets go of all connections at once. */
  destroy(): void;
}

/** The library's clients, as far as they are used here. */
interface Emitter {
  on(event: string, listener: (value: unknown) => void): unknown;
}
interface NodeClient extends Emitter {
  connect(): Promise<unknown>;
  destroy(): void;
  sendCommand(args: readonly Argument[], options?: object): Promise<Reply>;
}
interface ClusterClient extends Emitter {
  readonly masters: readonly object[];
  nodeClient(node: object): Promise<NodeClient>;
  connect(): Promise<unknown>;
  destroy(): void;
  sendCommand(key: string, isReadOnly: boolean, args: readonly Argument[], options?: object): Promise<Reply>;
}

/** The library takes and gives bytes as Node's own class, on every runtime, and names it as what strings become. */
const { Buffer: NodeBytes } = globalThis as unknown as {
  Buffer: { from(bytes: ArrayBufferLike, offset: number, length: number): Uint8Array };
};
const AS_BYTES = { typeMapping: { [RESP_TYPES.BLOB_STRING]: NodeBytes } };

/** Connections that have not been made yet. */
export function newDriver(settings: Settings): Driver {
  return settings.isCluster ? new ClusterDriver(settings) : new SingleDriver(settings);
}

class SingleDriver implements Driver {
  onBroken: Driver["onBroken"] = () => {};
  readonly #client: NodeClient;

  constructor(settings: Settings) {
    const endpoint = settings.endpoints[0]!;
    const options = {
      ...shared(settings),
      database: endpoint.database,
      socket: socketOf(settings, endpoint),
    };
    this.#client = createClient(options as Parameters<typeof createClient>[0]) as unknown as NodeClient;
    this.#client.on("error", (error) => this.onBroken(error as Error));
  }

  async connect(): Promise<void> {
    await this.#client.connect();
  }

  send({ args }: Command): Promise<Reply | Refusal> {
    return orRefusal(this.#client.sendCommand(args.map(bytesOf), AS_BYTES));
  }

  everywhere(): Promise<readonly ((args: readonly string[]) => Promise<Reply | Refusal>)[]> {
    return Promise.resolve([(args) => orRefusal(this.#client.sendCommand(args, AS_BYTES))]);
  }

  destroy(): void {
    this.onBroken = () => {};
    this.#client.destroy();
  }
}

class ClusterDriver implements Driver {
  onBroken: Driver["onBroken"] = () => {};
  readonly #cluster: ClusterClient;
  /** Why the last node could not be used: the library itself says only that none could. */
  #lastError: unknown;

  constructor(settings: Settings) {
    const options = {
      RESP: 2,
      // Else one node that is down would keep all others from being used.
      minimizeConnections: true,
      // A node that breaks is left to the next driver, which learns anew which nodes there are.
      topologyRefreshOnReconnectionAttemptStrategy: false,
      rootNodes: settings.endpoints.map((endpoint) => ({ socket: { host: endpoint.host, port: endpoint.port } })),
      defaults: { ...shared(settings), socket: socketOf(settings) },
    };
    const cluster = createCluster(options as Parameters<typeof createCluster>[0]);
    this.#cluster = cluster as unknown as ClusterClient;
    for (const event of ["error", "node-error"]) {
      this.#cluster.on(event, (error) => {
        this.#lastError = error;
        if (event === "node-error") this.onBroken(error as Error);
      });
    }
  }

  async connect(): Promise<void> {
    try {
      await this.#cluster.connect();
    } catch (error) {
      throw this.#lastError ?? error;
    }
  }

  send({ key, args }: Command): Promise<Reply | Refusal> {
    return orRefusal(this.#cluster.sendCommand(key, false, args.map(bytesOf), AS_BYTES));
  }

  async everywhere(): Promise<readonly ((args: readonly string[]) => Promise<Reply | Refusal>)[]> {
    const clients = await Promise.all(this.#cluster.masters.map((node) => this.#cluster.nodeClient(node)));
    return clients.map((client) => (args) => orRefusal(client.sendCommand(args, AS_BYTES)));
  }

  destroy(): void {
    this.onBroken = () => {};
    this.#cluster.destroy();
  }
}

function shared({ username, password }: Settings): object {
  return {
    // Nothing newer is used, and there are proxies, and ACL rules, that do not know HELLO.
    RESP: 2,
    // A password without a name is the default user's, also where he needs none.
    ...(password !== undefined
      ? { username: username ?? "default", password }
      : username !== undefined && { username }),
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: "disabled",
  };
}

function socketOf({ tls, commandTimeout }: Settings, endpoint?: Endpoint): object {
  // Node names the server that it wants only where it is told to; an address is no name.
  const servername = endpoint && !/^[\d.]+$|:/.test(endpoint.host) ? { servername: endpoint.host } : {};
  return {
    ...(endpoint && { host: endpoint.host, port: endpoint.port }),
    ...(tls && { tls: true, ...servername, ...tls }),
    connectTimeout: Math.max(commandTimeout, 1000),
    reconnectStrategy: false,
  };
}

/** What Redis itself has refused is an answer; anything else is the connection's end. */
async function orRefusal(reply: Promise<Reply>): Promise<Reply | Refusal> {
  try {
    return await reply;
  } catch (error) {
    if (error instanceof ErrorReply) return new Refusal(error.message);
    throw error;
  }
}

function bytesOf(argument: Argument): Argument {
  if (typeof argument === "string") return argument;
  return NodeBytes.from(argument.buffer, argument.byteOffset, argument.byteLength);
}
