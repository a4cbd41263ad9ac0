/**
 * What is left of a database: its file, however short, with its log laid over it as SQLite would; and, apart from that,
 * what lies in the log behind a broken place, where SQLite stops reading.
 *
 * The format of the log: https://sqlite.org/fileformat2.html#the_write_ahead_log
 *
 * @module
 */

import type { Files, OpenFile } from "../../runtime/runtime.ts";
import type { PageReader } from "./verify_pages.ts";
import { half, readCell, readTreePage, word } from "./verify_pages.ts";

const WAL_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const WAL_MAGIC = 0x377f0682;
const PAGE_SIZES: readonly number[] = [8192, 4096, 1024, 2048, 16384, 32768, 65536, 512];
/** Pages that are looked at to find out how long they are. */
const LOOKED_AT = 64;
/** Pages that stay in memory. */
const KEPT = 64;

/** What lies in a log. */
interface Log {
  readonly pageSize: number;
  /** Where in the log the newest version of each page is, as far as SQLite reads. */
  readonly pages: ReadonlyMap<number, number>;
  /** Pages of the database after the last transaction; `undefined` where there is none. */
  readonly count: number | undefined;
  /** Where pages lie that were committed behind a broken place. */
  readonly beyond: readonly number[];
  /** Whether it ends with pages that belong to no whole transaction. */
  readonly torn: boolean;
}

/** An image of a database. */
export class DatabaseImage implements PageReader {
  readonly pageSize: number;
  readonly count: number;
  /** What is to be said of the log. */
  readonly notes: readonly string[];
  readonly #file: OpenFile;
  readonly #wal: OpenFile | undefined;
  readonly #log: Log | undefined;
  readonly #kept = new Map<number, Uint8Array>();

  /**
   * Opens what lies at `path`, and its log.
   *
   * @throws FileError
   */
  constructor(files: Files, path: string) {
    this.#file = files.open(path, "read");
    try {
      this.#wal = files.exists(`${path}-wal`) ? files.open(`${path}-wal`, "read") : undefined;
      this.#log = this.#wal && readLog(this.#wal, () => pageSizeOf(this.#file));
      this.pageSize = this.#log?.pageSize ?? pageSizeOf(this.#file);
      this.count = this.#log?.count ?? Math.ceil(this.#file.size() / this.pageSize);
      this.notes = notesOn(this.#wal, this.#log);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** How many pages lie in the log behind a broken place. */
  get beyond(): number {
    return this.#log?.beyond.length ?? 0;
  }

  page(number: number): Uint8Array | undefined {
    if (number < 1 || number > this.count) return undefined;
    let page = this.#kept.get(number);
    if (page === undefined) {
      const inLog = this.#log?.pages.get(number);
      page = inLog === undefined
        ? readPage(this.#file, (number - 1) * this.pageSize, this.pageSize)
        : readPage(this.#wal!, inLog, this.pageSize);
      if (page === undefined) return undefined;
      if (this.#kept.size >= KEPT) this.#kept.delete(this.#kept.keys().next().value!);
      this.#kept.set(number, page);
    }
    return page;
  }

  /** The `index`th page behind a broken place in the log, as page `number` of an image that is this one otherwise. */
  with(index: number, number: number): PageReader {
    const page = readPage(this.#wal!, this.#log!.beyond[index]!, this.pageSize);
    return {
      pageSize: this.pageSize,
      count: Math.max(this.count, number),
      page: (each) => each === number ? page : this.page(each),
    };
  }

  close(): void {
    this.#file.close();
    this.#wal?.close();
  }
}

/** A page, the end of which may be missing; `undefined` where nothing of it is there. */
function readPage(file: OpenFile, at: number, pageSize: number): Uint8Array | undefined {
  const page = new Uint8Array(pageSize);
  return file.read(page, at) > 0 ? page : undefined;
}

function notesOn(wal: OpenFile | undefined, log: Log | undefined): string[] {
  if (wal === undefined || wal.size() === 0) return [];
  if (log === undefined) return ["the -wal file is too short to hold anything"];
  if (log.beyond.length > 0) {
    return [`the -wal file is broken in the middle: ${log.beyond.length} pages lie behind that`];
  }
  return log.torn
    ? ["the -wal file ends in the middle of a transaction, which was never acknowledged or is cut off"]
    : [];
}

/** `pageSize` is that of the database's file, for a log that does not say. */
function readLog(file: OpenFile, pageSizeOfFile: () => number): Log | undefined {
  const header = new Uint8Array(WAL_HEADER_BYTES + FRAME_HEADER_BYTES);
  if (file.read(header, 0) < header.byteLength) return undefined;
  const magic = word(header, 0);
  const isBigEndian = (magic & 1) === 1;
  const start = checksum(header.subarray(0, 24), isBigEndian, [0, 0]);
  const isSound = (magic & ~1) >>> 0 === WAL_MAGIC && start[0] === word(header, 24) && start[1] === word(header, 28);
  const pageSize = isSound ? word(header, 8) : pageSizeOfFile();
  // Where the log's own header is broken, its first frame has the salts as well.
  const saltsAt = isSound ? 16 : WAL_HEADER_BYTES + 8;
  const salts = [word(header, saltsAt), word(header, saltsAt + 4)];
  const pages = new Map<number, number>();
  const beyond = new Map<number, number>();
  let pending = new Map<number, number>();
  let count: number | undefined;
  let isBroken = !isSound;
  let before: readonly [number, number] = start;
  let at = WAL_HEADER_BYTES;
  const frame = new Uint8Array(FRAME_HEADER_BYTES + pageSize);
  for (; file.read(frame, at) === frame.byteLength; at += frame.byteLength) {
    // What was written before the log was begun anew.
    if (word(frame, 8) !== salts[0] || word(frame, 12) !== salts[1]) break;
    const [number, committed] = [word(frame, 0), word(frame, 4)];
    if (!isBroken) {
      const sum = checksum(frame.subarray(0, 8), isBigEndian, before);
      before = checksum(frame.subarray(FRAME_HEADER_BYTES), isBigEndian, sum);
      if (before[0] !== word(frame, 16) || before[1] !== word(frame, 20)) {
        isBroken = true;
        pending = new Map();
      }
    }
    pending.set(number, at + FRAME_HEADER_BYTES);
    if (committed === 0) continue;
    for (const [number, place] of pending) (isBroken ? beyond : pages).set(number, place);
    if (!isBroken) count = committed;
    pending = new Map();
  }
  return { pageSize, pages, count, beyond: [...beyond.values()], torn: pending.size > 0 };
}

/** The log's own checksum: section 4.2. */
function checksum(bytes: Uint8Array, isBigEndian: boolean, from: readonly [number, number]): [number, number] {
  let [first, second] = from;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.byteLength; at += 8) {
    first = (first + view.getUint32(at, !isBigEndian) + second) >>> 0;
    second = (second + view.getUint32(at + 4, !isBigEndian) + first) >>> 0;
  }
  return [first, second];
}

/** How long a database's pages are: what its header says, unless another length makes more of them pages. */
function pageSizeOf(file: OpenFile): number {
  const header = new Uint8Array(18);
  file.read(header, 0);
  const said = half(header, 16) === 1 ? 65536 : half(header, 16);
  const candidates = [...new Set([...PAGE_SIZES.includes(said) ? [said] : [], ...PAGE_SIZES])];
  let [best, most] = [candidates[0]!, 0];
  for (const pageSize of candidates) {
    const bytes = bytesInPages(file, pageSize);
    if (bytes > most) [best, most] = [pageSize, bytes];
  }
  return best;
}

/** How many bytes of a file's beginning lie in pages whose cells can all be read, and fill them, were they so long. */
function bytesInPages(file: OpenFile, pageSize: number): number {
  const count = Math.ceil(file.size() / pageSize);
  const reader: PageReader = {
    pageSize,
    count,
    page: (number) => readPage(file, (number - 1) * pageSize, pageSize),
  };
  let found = 0;
  // The same part of the file, however long the pages.
  const most = Math.min(count, Math.ceil(LOOKED_AT * PAGE_SIZES[0]! / pageSize));
  for (let number = 1; number <= most; number++) {
    const page = readTreePage(reader, number);
    if (page === undefined || page.cells.length === 0) continue;
    const cells = page.cells.map((at) => readCell(reader, page, at));
    // Pages are filled from their end: in one that is taken to be longer or shorter nothing ends there.
    const ends = cells.map((cell) => cell && cell.at + cell.local + (cell.overflow > 0 ? 4 : 0));
    if (ends.every((end) => end !== undefined) && ends.includes(pageSize)) found += pageSize;
  }
  return found;
}
