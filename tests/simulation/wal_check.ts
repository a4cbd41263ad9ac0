/**
 * An independent reader of a write-ahead log and its wal-index (https://sqlite.org/walformat.html), to see whether the
 * one agrees with the other.
 */

const LOG_HEADER = 32;
const FRAME_HEADER = 24;
const REGION = 32 * 1024;
const FIRST_TABLE_AT = 136;
const FIRST_FRAMES = 4062;
const FRAMES = 4096;
const SLOTS = 8192;

/** What is wrong with a wal-index that nobody is just writing; `undefined` when nothing is, or it was left half written. */
export function checkWalIndex(log: Uint8Array | undefined, index: Uint8Array | undefined): string | undefined {
  if (!index || index.length < REGION) return undefined;
  const view = viewOf(index);
  for (let at = 0; at < 48; at++) if (index[at] !== index[at + 48]) return undefined;
  // Set to zeros by whoever wants it to be recovered.
  if (view.getUint32(0, true) === 0) return undefined;
  const sum = checksum(view, 0, 40, true, [0, 0]);
  if (sum[0] !== view.getUint32(40, true) || sum[1] !== view.getUint32(44, true)) {
    return "the header's checksum is wrong";
  }
  const last = view.getUint32(16, true);
  const backfilled = view.getUint32(96, true);
  if (backfilled > last) return `${backfilled} frames are said to be moved, of ${last}`;
  if (last === 0) return undefined;
  if (!log || log.length < LOG_HEADER) return `${last} frames, but there is no log`;

  const stored = view.getUint16(14, true);
  const pageBytes = stored === 1 ? 65536 : stored;
  const frames = viewOf(log);
  const littleEndian = (frames.getUint32(0) & 1) === 0;
  if (frames.getUint32(8) !== pageBytes) return `pages of ${pageBytes} bytes, in the log of ${frames.getUint32(8)}`;
  for (const at of [16, 20]) {
    // Both are stored as they are in the log.
    if (view.getUint32(at + 16) !== frames.getUint32(at)) return "the salt is not the log's";
  }
  if (log.length < LOG_HEADER + last * (FRAME_HEADER + pageBytes)) return `the log is shorter than ${last} frames`;
  let running = checksum(frames, 0, 24, littleEndian, [0, 0]);
  const newest = new Map<number, number>();
  for (let frame = 1; frame <= last; frame++) {
    const at = LOG_HEADER + (frame - 1) * (FRAME_HEADER + pageBytes);
    if (frames.getUint32(at + 8) !== frames.getUint32(16) || frames.getUint32(at + 12) !== frames.getUint32(20)) {
      return `frame ${frame} of ${last} has another salt`;
    }
    running = checksum(frames, at, 8, littleEndian, running);
    running = checksum(frames, at + FRAME_HEADER, pageBytes, littleEndian, running);
    if (running[0] !== frames.getUint32(at + 16) || running[1] !== frames.getUint32(at + 20)) {
      return `frame ${frame} of ${last} has a wrong checksum`;
    }
    newest.set(frames.getUint32(at), frame);
    if (frame === last && frames.getUint32(at + 4) !== view.getUint32(20, true)) return "the last frame is no commit";
  }
  for (const [page, frame] of newest) {
    const found = look(view, page, last);
    if (found !== frame) return `page ${page} is in frame ${frame}, the tables say ${found}`;
  }
  return undefined;
}

/** Looks a page up as SQLite does. */
function look(view: DataView, page: number, last: number): number {
  for (
    let region = last <= FIRST_FRAMES ? 0 : 1 + Math.floor((last - FIRST_FRAMES - 1) / FRAMES);
    region >= 0;
    region--
  ) {
    const base = region * REGION;
    if (base + REGION > view.byteLength) return -1;
    const pages = base + (region === 0 ? FIRST_TABLE_AT : 0);
    const before = region === 0 ? 0 : FIRST_FRAMES + (region - 1) * FRAMES;
    let found = 0;
    for (let slot = (page * 383) % SLOTS, tries = 0; tries < SLOTS; slot = (slot + 1) % SLOTS, tries++) {
      const entry = view.getUint16(base + REGION - SLOTS * 2 + slot * 2, true);
      if (entry === 0) break;
      if (before + entry <= last && view.getUint32(pages + (entry - 1) * 4, true) === page) found = before + entry;
    }
    if (found !== 0) return found;
  }
  return 0;
}

function checksum(
  view: DataView,
  from: number,
  length: number,
  littleEndian: boolean,
  [one, other]: readonly [number, number],
): [number, number] {
  for (let at = from; at < from + length; at += 8) {
    one = (one + view.getUint32(at, littleEndian) + other) >>> 0;
    other = (other + view.getUint32(at + 4, littleEndian) + one) >>> 0;
  }
  return [one, other];
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
