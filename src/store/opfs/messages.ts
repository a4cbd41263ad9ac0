/**
 * What goes between the tabs of a site, by structured clone: questions to the leader and his answers, which are calls of
 * the remote store's wire ({@link ../remote/message.ts}) or tasks, and the news of who he is.
 *
 * @module
 */

import type { CacheErrorCode } from "../error.ts";
import type { VerifyOptions } from "../verify.ts";

/** How a leader opens the store. */
export interface StorePlace {
  /** In the site's private file system. */
  readonly directory: string;
  readonly synchronous?: "normal" | "full";
  readonly maxBytes?: number;
  readonly keepExpired?: number;
}

/** Something to be done as a whole, on plain data. */
export type Task =
  | { readonly name: "modelSizes" }
  | { readonly name: "verify"; readonly options: Omit<VerifyOptions, "checkKey" | "onProgress" | "signal"> }
  | { readonly name: "export"; readonly model: string }
  | { readonly name: "import"; readonly file: Blob; readonly replace: boolean };

/** What a client asks. */
export type Ask =
  | { readonly type: "calls"; readonly body: Uint8Array }
  | { readonly type: "list"; readonly body: Uint8Array }
  | { readonly type: "task"; readonly task: Task }
  /** The next page of a list. */
  | { readonly type: "more" }
  /** No more of it. */
  | { readonly type: "stop" };

/** A question, to be answered under the same number. */
export interface Question {
  readonly client: string;
  readonly number: number;
  readonly ask: Ask;
}

/** What the leader says to a question. */
export type Reply =
  | { readonly type: "bytes"; readonly body: Uint8Array }
  /** The list has ended. */
  | { readonly type: "end" }
  | { readonly type: "value"; readonly value: unknown }
  | { readonly type: "progress"; readonly value: unknown }
  /** He does not understand. */
  | { readonly type: "refused"; readonly message: string }
  | { readonly type: "failed"; readonly code: CacheErrorCode; readonly message: string };

/** A reply, and what it answers. */
export interface Answer {
  readonly number: number;
  readonly reply: Reply;
}

/** What is told to everybody. */
export type News =
  | { readonly type: "who"; readonly client: string }
  | { readonly type: "leader"; readonly leader: string }
  | { readonly type: "gone"; readonly leader: string };

/** What the leader tells one client: who he is, when he was asked, and answers. */
export type ToClient = { readonly type: "leader"; readonly leader: string } | { readonly type: "answer" } & Answer;

/** What a page tells its own Worker. */
export type ToWorker =
  | { readonly type: "open"; readonly place: StorePlace }
  | { readonly type: "question" } & Question
  | { readonly type: "close" };

/** What a Worker tells its page. */
export type FromWorker =
  /** It waits for its turn to lead. */
  | { readonly type: "waiting" }
  | { readonly type: "leading"; readonly leader: string }
  | { readonly type: "answer" } & Answer
  /** It leads no more. */
  | { readonly type: "gone"; readonly leader: string }
  /** It could not lead, and tries again. */
  | { readonly type: "failed"; readonly why: string }
  /** It can never lead: this browser, or this page, has no such storage. */
  | { readonly type: "unsupported"; readonly why: string }
  | { readonly type: "closed" };
