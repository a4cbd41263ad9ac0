/// <reference lib="dom" />
/** How the model in this page is: what its backends tell, gathered into one picture. */

import type { DownloadProgress, LoadedModel, ResolvedModel, WarmEvent } from "@warmcache/warmcache/browser/warm";
import { messageOf } from "../../src/runtime/message.ts";

/** The model in this page. */
export interface Residence {
  readonly state: "cold" | "loading" | "warm" | "failed";
  /** What computes it, for people. */
  readonly device: string;
  /** Bytes that are there of those that are to come, while they come; all there are to load, while it is cold. */
  readonly bytes?: { readonly done: number; readonly all: number } | undefined;
  /** Bytes that it takes while it is warm. */
  readonly memory?: number | undefined;
  /** The adapters in memory. */
  readonly adapters?: readonly string[] | undefined;
  /** Why it takes longer, while it does. */
  readonly delay?: string | undefined;
  /** Why it failed. */
  readonly problem?: string | undefined;
}

/** Gathers. */
export class ResidenceWatch {
  #listener: (residence: Residence) => void = () => {};
  #residence: Residence = { state: "cold", device: "whatever this browser has" };
  /** What there is to load. */
  #all = 0;

  /** Has somebody hear of it from now on, and at once how it is. */
  listen(listener: (residence: Residence) => void): void {
    this.#listener = listener;
    listener(this.#residence);
  }

  /** It is known which model it is. */
  begin({ base, adapter }: ResolvedModel): void {
    const files = "files" in base ? Object.values(base.files as Record<string, FileOrFiles>).flat() : [];
    this.#all = [...files, ...Object.values(adapter?.files ?? {})].reduce((sum, { size }) => sum + size, 0);
    this.#tell({ state: "cold", device: deviceName(base.device), bytes: { done: 0, all: this.#all } });
  }

  /** It cannot be known which model it is, or it cannot be loaded. */
  fail(error: unknown): void {
    this.#tell({ state: "failed", device: this.#residence.device, problem: messageOf(error) });
  }

  /** Files come. */
  onProgress({ files }: DownloadProgress): void {
    // What comes late, or for an adapter alone, is no news.
    if (this.#residence.state === "warm" || this.#residence.state === "failed") return;
    const done = files.reduce((sum, { received }) => sum + received, 0);
    const bytes = { done, all: Math.max(done, this.#all) };
    this.#tell({ ...this.#residence, state: "loading", bytes, delay: undefined });
  }

  /** Files do not come, and are asked for again. */
  onWarning(delay: string): void {
    if (this.#residence.state === "cold" || this.#residence.state === "loading") {
      this.#tell({ ...this.#residence, delay });
    }
  }

  /** Something happened to the model. */
  onEvent(event: WarmEvent): void {
    const { device } = this.#residence;
    switch (event.type) {
      case "loading":
        return this.#tell({ state: "loading", device });
      case "load_failed":
        return this.fail(event.error);
      case "worker_lost":
        return this.fail(event.error ?? "its Worker is gone");
      case "load_aborted":
      case "evicted":
        return this.#tell({ state: "cold", device, bytes: { done: 0, all: this.#all } });
      case "loaded":
        return this.#tell({ state: "warm", device, memory: event.bytes });
    }
  }

  /** It was used, which may have brought an adapter into memory. */
  onUse(loaded: readonly LoadedModel[]): void {
    const model = loaded.find(({ state }) => state === "warm");
    if (model === undefined) return;
    const { bytes, gpu_bytes: gpuBytes, adapters, device } = model;
    this.#tell({ state: "warm", device: deviceName(device), memory: bytes + gpuBytes, adapters });
  }

  #tell(residence: Residence): void {
    this.#residence = residence;
    this.#listener(residence);
  }
}

type FileOrFiles = { readonly size: number } | readonly { readonly size: number }[];

function deviceName(device: string): string {
  if (device.startsWith("webgpu")) return "WebGPU";
  return "gpu" in navigator ? "WASM (WebGPU found no GPU)" : "WASM (this browser has no WebGPU)";
}
