/**
 * A graph in use. It can be given more adapter inputs between two runs, and it never runs again once a run has failed.
 *
 * @module
 */

import { disposeFeeds } from "../adapter/lora_feeds.ts";
import type { OnnxRuntime } from "../worker/ort.ts";
import { Fifo } from "../worker/fifo.ts";
import { turn } from "../worker/turn.ts";
import type { Feeds, GraphLoader, LoadedGraph } from "./graph.ts";

/** One run. */
export interface GraphRun<T> {
  /** What goes in, adapter apart. */
  readonly feeds: Feeds;
  /** The adapter's matrices; those of a module that it leaves out are nothing. */
  readonly adapter: Feeds;
  /** The outputs that are wanted. */
  readonly outputs: readonly string[];
  /** Takes what came out, and lets go of its tensors, before anything else runs. */
  readonly take: (results: Feeds) => Promise<T>;
  readonly signal?: AbortSignal | undefined;
}

/** A graph, ready to run. */
export class LiveGraph {
  readonly #load: GraphLoader;
  readonly #onnx: OnnxRuntime;
  /** One change of the graph at a time. */
  readonly #targeting = new Fifo();
  /**
   * Why a run failed, if one did. The library may have been left holding a lock of its own, which the next call would
   * wait for, with this thread, for ever; seen when a GPU is lost.
   */
  #failure: { readonly error: unknown } | undefined;
  #graph: LoadedGraph;

  /** @param graph What `load` has loaded first. */
  constructor(onnx: OnnxRuntime, graph: LoadedGraph, load: GraphLoader) {
    this.#load = load;
    this.#onnx = onnx;
    this.#graph = graph;
  }

  /** The linear layers an adapter may target, by node name. */
  get layers(): LoadedGraph["layers"] {
    return this.#graph.layers;
  }

  /** Whether a run has failed, after which nothing may call into the library, not even to let go of a tensor. */
  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Modules that have adapter inputs. With more of them, numbers may come out otherwise in their last bits. */
  get modules(): ReadonlySet<string> {
    return this.#graph.modules;
  }

  /**
   * Gives `modules` adapter inputs. If some have none yet, a new session is built beside the old and takes its place.
   */
  async target(modules: Iterable<string>): Promise<void> {
    await this.#targeting.run(async () => {
      const wanted = new Set([...this.#graph.modules, ...modules]);
      if (wanted.size === this.#graph.modules.size) return;
      const graph = await this.#load(wanted);
      await this.#onnx.lock.run(async () => {
        const { session, noAdapter } = this.#graph;
        this.#graph = graph;
        await session.release();
        disposeFeeds(noAdapter);
      });
    });
  }

  /**
   * Runs the graph when all runs that were asked for before have ended.
   *
   * @throws the signal's reason, when it is aborted before the run begins
   */
  run<T>({ feeds, adapter, outputs, take, signal }: GraphRun<T>): Promise<T> {
    return this.#onnx.lock.run(async () => {
      signal?.throwIfAborted();
      if (this.#failure !== undefined) throw this.#failure.error;
      const { session, noAdapter } = this.#graph;
      try {
        const taken = await take(await session.run({ ...noAdapter, ...adapter, ...feeds }, outputs));
        await turn();
        const refusal = this.#onnx.refusal();
        if (refusal !== undefined) throw new Error(`the GPU has refused what a run needs: ${refusal}`);
        return taken;
      } catch (error) {
        this.#failure = { error };
        throw error;
      }
    });
  }
}
