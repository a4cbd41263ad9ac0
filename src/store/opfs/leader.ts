/**
 * The one who keeps a directory: opens its store, and answers whoever asks, his own page by its port and all others by
 * channels. To him they are clients of a server ({@link ../remote/service.ts}).
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import type { Milliseconds, Runtime } from "../../runtime/runtime.ts";
import { openStoreService, type StoreService } from "../remote/service.ts";
import { toCacheError } from "../sqlite/failure.ts";
import { openSqliteStore } from "../sqlite/sqlite_store.ts";
import type { Store } from "../store.ts";
import { listenOn } from "./channel.ts";
import { Gate } from "./gate.ts";
import type { Answer, FromWorker, News, Question, Reply, StorePlace, ToClient } from "./messages.ts";
import { answersChannel, newsChannel, questionsChannel } from "./names.ts";
import { doTask, unknownHere, type Workplace } from "./tasks.ts";

/** So many channels to clients are kept open. */
const MOST_CHANNELS = 64;
/** A list that nobody has read on for so long has lost its reader. */
const LONGEST_PAUSE: Milliseconds = 60_000;
/**
 * How much of what the browser says it allows the site a cache takes where nothing is said. One that has filled it up
 * could not even be emptied: to remove something, too, takes room. Chromium says 10 GiB wherever it is asked.
 */
const SHARE = 0.5;
const MOST_BYTES = 1024 * 1024 * 1024;
/** So many lists are read at a time. */
const MOST_LISTS = 64;

type Send = (reply: Reply, transfer?: Transferable[]) => void;

/** What a leader needs. */
export interface LeaderOptions {
  readonly runtime: Runtime;
  readonly place: StorePlace;
  /** What the leader is called. */
  readonly name: string;
  /** Tells the own page. */
  readonly tell: (message: FromWorker, transfer?: Transferable[]) => void;
  /** Hears that he cannot go on. */
  readonly abdicate: () => void;
}

/** A leader, until he is closed. */
export class Leader implements Workplace {
  readonly runtime: Runtime;
  readonly directory: string;
  readonly gate: Gate = new Gate();
  store!: Store;
  #service!: StoreService;
  readonly #place: StorePlace;
  readonly #name: string;
  readonly #tell: LeaderOptions["tell"];
  readonly #abdicate: () => void;
  /** Whoever has no answer by now asks the next one. */
  #isDone = false;
  #questions!: BroadcastChannel;
  #news!: BroadcastChannel;
  readonly #channels = new LRUCache<string, BroadcastChannel>({
    max: MOST_CHANNELS,
    dispose: (channel) => channel.close(),
  });
  /** Lists that are being read, by client and number. */
  readonly #lists = new LRUCache<string, ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>>({
    max: MOST_LISTS,
    ttl: LONGEST_PAUSE,
    ttlAutopurge: true,
    dispose: (reader, _place, reason) => {
      if (reason !== "delete") reader.cancel().catch(() => {});
    },
  });
  /** Tasks under way, likewise. */
  readonly #tasks = new Map<string, AbortController>();

  private constructor({ runtime, place, name, tell, abdicate }: LeaderOptions) {
    this.runtime = runtime;
    this.directory = place.directory;
    this.#place = place;
    this.#name = name;
    this.#tell = tell;
    this.#abdicate = abdicate;
  }

  /**
   * Opens the store, and says so to everybody.
   *
   * @throws CacheError when it cannot be opened.
   */
  static async lead(options: LeaderOptions): Promise<Leader> {
    const leader = new Leader(options);
    await leader.#openStore();
    const { directory } = leader;
    const onQuestion = (message: unknown): void => leader.onQuestion(message as Question);
    leader.#questions = await listenOn(questionsChannel(directory), onQuestion);
    leader.#news = await listenOn(newsChannel(directory), (message) => leader.#onNews(message as News));
    options.tell({ type: "leading", leader: options.name });
    leader.#news.postMessage({ type: "leader", leader: options.name } satisfies News);
    return leader;
  }

  /** A question of another page's, by channel. */
  onQuestion(question: Question): void {
    const { client, number } = question;
    this.#answer(question, (reply) => {
      this.#channelTo(client).postMessage({ type: "answer", number, reply } satisfies ToClient);
    });
  }

  /** A question of the own page's. */
  onOwnQuestion(question: Question): void {
    this.#answer(question, (reply, transfer) => {
      this.#tell({ type: "answer", number: question.number, reply } satisfies { type: "answer" } & Answer, transfer);
    });
  }

  /** Answers what was asked, closes the store, and makes room for another leader. */
  async close(): Promise<void> {
    const leader = this.#name;
    this.#questions.onmessage = null;
    this.#news.onmessage = null;
    for (const task of this.#tasks.values()) task.abort(new Error("the tab that kept the cache was closed"));
    this.#lists.clear();
    await this.gate.alone(async () => {
      this.#isDone = true;
      await this.store.close();
    });
    this.#news.postMessage({ type: "gone", leader } satisfies News);
    this.#tell({ type: "gone", leader });
    this.#channels.clear();
    this.#questions.close();
    this.#news.close();
  }

  async withoutStore<T>(work: () => Promise<T>): Promise<T> {
    return await this.gate.alone(async () => {
      try {
        await this.store.close();
        return await work();
      } finally {
        await this.#openStore().catch(this.#abdicate);
      }
    });
  }

  async #openStore(): Promise<void> {
    const { runtime } = this;
    const maxBytes = this.#place.maxBytes ?? await usualLimit();
    this.store = await openSqliteStore({
      ...this.#place,
      ...maxBytes !== undefined && { maxBytes },
      runtime,
      locking: "exclusive",
      handsOver: true,
    });
    const { clock } = runtime;
    this.#service = await openStoreService({ store: this.store, clock, report: () => {}, tellsWhy: true });
  }

  #onNews(news: News): void {
    if (news.type !== "who") return;
    this.#channelTo(news.client).postMessage({ type: "leader", leader: this.#name } satisfies ToClient);
  }

  #channelTo(client: string): BroadcastChannel {
    const known = this.#channels.get(client);
    if (known !== undefined) return known;
    const channel = new BroadcastChannel(answersChannel(this.directory, client));
    this.#channels.set(client, channel);
    return channel;
  }

  #answer(question: Question, sendIt: Send): void {
    const send: Send = (...reply) => this.#isDone ? undefined : sendIt(...reply);
    this.#do(question, send).catch((error) => {
      if (error instanceof TypeError || error instanceof RangeError) {
        return send({ type: "refused", message: error.message });
      }
      const { code, message } = toCacheError(error);
      send({ type: "failed", code, message });
    });
  }

  async #do({ client, number, ask }: Question, send: Send): Promise<void> {
    const place = `${client} ${number}`;
    switch (ask.type) {
      case "calls": {
        const body = await this.gate.pass(() => this.#service.answer(undefined, ask.body));
        return send({ type: "bytes", body }, [body.buffer]);
      }
      case "list":
        this.#lists.set(place, this.#service.list(undefined, ask.body).getReader());
        return await this.#nextPage(place, send);
      case "more":
        return await this.#nextPage(place, send);
      case "task": {
        const task = new AbortController();
        this.#tasks.set(place, task);
        try {
          const onProgress = (value: unknown): void => send({ type: "progress", value });
          return send({ type: "value", value: await doTask(this, ask.task, { signal: task.signal, onProgress }) });
        } finally {
          this.#tasks.delete(place);
        }
      }
      case "stop":
        this.#tasks.get(place)?.abort(new Error("nobody waits for it any longer"));
        this.#lists.get(place)?.cancel().catch(() => {});
        this.#lists.delete(place);
        return;
      default:
        throw unknownHere("answer", (ask as { type: unknown }).type);
    }
  }

  async #nextPage(place: string, send: Send): Promise<void> {
    // Having been read, it is not given up for a while.
    const reader = this.#lists.get(place, { updateAgeOnGet: true });
    if (reader === undefined) throw new Error("the list was not read for too long, and was given up");
    const { done, value } = await this.gate.pass(() => reader.read());
    if (!done) return send({ type: "bytes", body: value }, [value.buffer]);
    this.#lists.delete(place);
    send({ type: "end" });
  }
}

async function usualLimit(): Promise<number | undefined> {
  const { storage } = navigator as { readonly storage?: { estimate?(): Promise<{ quota?: number }> } };
  const { quota } = await storage?.estimate?.().catch(() => undefined) ?? {};
  return quota === undefined ? undefined : Math.min(Math.max(1, Math.floor(quota * SHARE)), MOST_BYTES);
}
