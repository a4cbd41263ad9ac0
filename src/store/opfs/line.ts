/**
 * A page's line to whichever tab leads: to its own Worker where that is the one, else by channels. A leader may go at any
 * moment; what he then owes is broken off as soon as there is another, so that it can be asked again.
 *
 * @module
 */

import type { Clock, Milliseconds, WorkerHandle } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import { LIST_PATH } from "../remote/calls.ts";
import { listenOn } from "./channel.ts";
import type { Ask, FromWorker, News, Question, Reply, Task, ToClient, ToWorker } from "./messages.ts";
import { answersChannel, newName, newsChannel, questionsChannel } from "./names.ts";

/** How often it is asked who leads, while nobody says: at first after so long, then less and less often. */
const FIRST_ASK: Milliseconds = 100;
const RAREST_ASK: Milliseconds = 2000;
/** How long a task waits for a leader. */
const LONGEST_ABSENCE: Milliseconds = 15_000;
/** So often a task is begun again with another leader. */
const MOST_LEADERS = 5;

/** The leader has gone in the middle. */
class Broken extends Error {
  override readonly name = "Broken";
}

interface Waiting {
  onReply(reply: Reply): void;
  onBroken(reason: Error): void;
}

/** A line, held until it is closed. */
export class Line {
  readonly #clock: Clock;
  readonly #client: string;
  readonly #questions: BroadcastChannel;
  #news!: BroadcastChannel;
  #answers!: BroadcastChannel;
  #worker: WorkerHandle | undefined;
  #leader: string | undefined;
  /** Whether it is this page's own Worker. */
  #isOwn = false;
  #isAsking = false;
  #number = 0;
  readonly #waiting = new Map<number, Waiting>();
  readonly #arrivals = new Set<() => void>();
  readonly #end = new AbortController();

  private constructor(directory: string, clock: Clock, client: string) {
    this.#clock = clock;
    this.#client = client;
    this.#questions = new BroadcastChannel(questionsChannel(directory));
  }

  /** Opens a line. */
  static async open(directory: string, clock: Clock): Promise<Line> {
    const client = newName();
    const line = new Line(directory, clock, client);
    line.#news = await listenOn(newsChannel(directory), (message) => line.#onNews(message as News));
    line.#answers = await listenOn(answersChannel(directory, client), (message) => line.#onTold(message as ToClient));
    void line.#askWho();
    return line;
  }

  /** Has this page's Worker heard; the last one counts. */
  attach(worker: WorkerHandle): void {
    this.#worker = worker;
  }

  /** What this page's Worker says of itself and of questions. */
  onWorker(message: FromWorker): void {
    switch (message.type) {
      case "leading":
        this.#setLeader(message.leader);
        this.#isOwn = true;
        return;
      case "gone":
        return this.#onGone(message.leader);
      case "answer":
        this.#waiting.get(message.number)?.onReply(message.reply);
    }
  }

  /** This page's Worker has died. */
  onWorkerLost(): void {
    if (this.#isOwn) this.#onGone(this.#leader!);
  }

  /**
   * Waits until there is a leader.
   *
   * @throws the signal's reason; Error once the line is closed.
   */
  async whenLed(signal?: AbortSignal | null): Promise<void> {
    while (this.#leader === undefined) {
      signal?.throwIfAborted();
      this.#end.signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        const done = (): void => {
          this.#arrivals.delete(done);
          signal?.removeEventListener("abort", done);
          resolve();
        };
        this.#arrivals.add(done);
        signal?.addEventListener("abort", done);
      });
    }
    signal?.throwIfAborted();
  }

  /**
   * As the global one, for messages of the remote store.
   *
   * @throws Error when the leader has gone before he has answered; the signal's reason.
   */
  async fetch(url: string, { body, signal }: RequestInit): Promise<Response> {
    const message = body as Uint8Array<ArrayBuffer>;
    await this.whenLed(signal);
    if (url === LIST_PATH) return await this.#list(message);
    return responseOf(await this.#askOnce({ type: "calls", body: message }, { signal, transfer: [message.buffer] }));
  }

  /**
   * Has the leader do something, begun again where he goes meanwhile, unless it may be done once only.
   *
   * @throws CacheError that it failed with, or `unavailable`; the signal's reason.
   */
  async run(tried: string, task: Task, { signal, onProgress, once = false }: {
    readonly signal?: AbortSignal | undefined;
    readonly onProgress?: ((value: unknown) => void) | undefined;
    readonly once?: boolean;
  } = {}): Promise<unknown> {
    for (let left = once ? 1 : MOST_LEADERS;; left--) {
      try {
        await this.#whenLedSoon(tried, signal);
        const reply = await this.#askOnce({ type: "task", task }, { signal, onProgress });
        if (reply.type === "value") return reply.value;
        if (reply.type === "failed") throw new CacheError(reply.code, reply.message);
        throw new TypeError(reply.type === "refused" ? reply.message : `Cannot ${tried}: an odd reply: ${reply.type}`);
      } catch (error) {
        if (!(error instanceof Broken)) throw error;
        if (left <= 1) throw new CacheError("unavailable", `Cannot ${tried}: ${error.message}`, { cause: error });
      }
    }
  }

  /** As {@link whenLed}, but there may never be one. */
  async #whenLedSoon(tried: string, signal: AbortSignal | undefined): Promise<void> {
    const enough = new AbortController();
    const done = new AbortController();
    const giveUp = (): void => {
      enough.abort(new CacheError("unavailable", `Cannot ${tried}: no tab keeps the cache just now`));
    };
    this.#clock.sleep(LONGEST_ABSENCE, { signal: done.signal }).then(giveUp, () => {});
    try {
      await this.whenLed(signal ? AbortSignal.any([signal, enough.signal]) : enough.signal);
    } finally {
      done.abort();
    }
  }

  /** Lets go. What is under way is broken off. */
  close(): void {
    this.#end.abort(new Broken("the store was closed"));
    this.#breakOff("the store was closed");
    for (const channel of [this.#questions, this.#news, this.#answers]) channel.close();
  }

  #onNews(news: News): void {
    if (news.type === "leader") this.#setLeader(news.leader);
    else if (news.type === "gone") this.#onGone(news.leader);
  }

  #onTold(told: ToClient): void {
    if (told.type === "answer") this.#waiting.get(told.number)?.onReply(told.reply);
    // He may have gone since; whoever came after him has said so to everybody.
    else if (this.#leader === undefined) this.#setLeader(told.leader);
  }

  #setLeader(leader: string): void {
    const isOther = leader !== this.#leader;
    this.#leader = leader;
    // Browsers end Workers without a word, too; another leader is there only once this page's own leads no more.
    if (isOther) this.#isOwn = false;
    if (isOther) this.#breakOff("the tab that kept the cache has gone, and another one keeps it now");
    this.#arrive();
  }

  #onGone(leader: string): void {
    if (leader !== this.#leader) return;
    this.#leader = undefined;
    this.#isOwn = false;
    this.#breakOff("the tab that kept the cache has gone");
    void this.#askWho();
  }

  #breakOff(why: string): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { onBroken } of waiting) onBroken(new Broken(why));
    if (this.#end.signal.aborted) this.#arrive();
  }

  #arrive(): void {
    for (const arrived of [...this.#arrivals]) arrived();
  }

  /** Asks who leads until somebody says. Never rejects. */
  async #askWho(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const { signal } = this.#end;
    for (let wait = FIRST_ASK; this.#leader === undefined && !signal.aborted; wait = Math.min(2 * wait, RAREST_ASK)) {
      this.#news.postMessage({ type: "who", client: this.#client } satisfies News);
      await this.#clock.sleep(wait, { signal, background: true }).catch(() => {});
    }
    this.#isAsking = false;
  }

  /** Sends a question; whoever sent it takes it away again. */
  #send(waiting: Waiting, ask: Ask, transfer: Transferable[] = []): number {
    if (this.#leader === undefined) throw new Broken("the tab that kept the cache has gone");
    const number = ++this.#number;
    this.#waiting.set(number, waiting);
    this.#post({ client: this.#client, number, ask }, transfer);
    return number;
  }

  #post(question: Question, transfer: Transferable[] = []): void {
    if (this.#isOwn) this.#worker!.post({ type: "question", ...question } satisfies ToWorker, transfer);
    else this.#questions.postMessage(question);
  }

  async #askOnce(ask: Ask, { signal, onProgress, transfer }: {
    readonly signal?: AbortSignal | null | undefined;
    readonly onProgress?: ((value: unknown) => void) | undefined;
    readonly transfer?: Transferable[];
  }): Promise<Reply> {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const number = this.#send(
      {
        onReply: (reply) => reply.type === "progress" ? onProgress?.(reply.value) : resolve(reply),
        onBroken: reject,
      },
      ask,
      transfer,
    );
    const abort = (): void => {
      if (ask.type === "task") this.#post({ client: this.#client, number, ask: { type: "stop" } });
      // He may have died without a word, and his successor have spoken before we listened.
      if (!this.#isOwn && ask.type === "calls") this.#leader = undefined;
      void this.#askWho();
      reject(signal!.reason);
    };
    signal?.addEventListener("abort", abort);
    try {
      return await promise;
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#waiting.delete(number);
    }
  }

  /** A list comes page by page, each when it is asked for. */
  async #list(body: Uint8Array): Promise<Response> {
    let page: PromiseWithResolvers<Reply> | undefined = Promise.withResolvers<Reply>();
    let broken: Error | undefined;
    const number = this.#send({
      onReply: (reply) => page?.resolve(reply),
      onBroken: (reason) => {
        broken = reason;
        page?.reject(reason);
      },
    }, { type: "list", body });
    const next = async (): Promise<Reply> => {
      try {
        return await page!.promise;
      } finally {
        page = undefined;
      }
    };
    const first = await next();
    if (first.type !== "bytes") {
      this.#waiting.delete(number);
      return responseOf(first);
    }
    let bytes: Uint8Array | undefined = first.body;
    const pages = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        if (bytes === undefined) {
          if (broken !== undefined) throw broken;
          page = Promise.withResolvers();
          this.#post({ client: this.#client, number, ask: { type: "more" } });
          const reply = await next();
          if (reply.type !== "bytes") {
            this.#waiting.delete(number);
            if (reply.type !== "end") {
              throw new Error("message" in reply ? reply.message : `an odd reply: ${reply.type}`);
            }
            return controller.close();
          }
          bytes = reply.body;
        }
        controller.enqueue(bytes);
        bytes = undefined;
      },
      cancel: () => {
        if (this.#waiting.delete(number)) this.#post({ client: this.#client, number, ask: { type: "stop" } });
      },
    }, { highWaterMark: 0 });
    return new Response(pages);
  }
}

/** A reply, as a server would give it. */
function responseOf(reply: Reply): Response {
  if (reply.type === "bytes") return new Response(reply.body as Uint8Array<ArrayBuffer>);
  if (reply.type === "end") return new Response();
  const isRefused = reply.type === "refused";
  const message = "message" in reply ? reply.message : `an odd reply: ${reply.type}`;
  return new Response(JSON.stringify({ error: { message } }), { status: isRefused ? 400 : 503 });
}
