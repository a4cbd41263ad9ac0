/** What both Workers do with a database in the private file system, and how long it takes them. */

/** A database, as both have one. */
export interface Subject {
  /** Opens it, made if missing. */
  open(): Promise<Rows>;
}

/** The table of an open database. */
export interface Rows {
  put(key: Uint8Array, body: Uint8Array): void;
  get(key: Uint8Array): Uint8Array | undefined;
  begin(): void;
  commit(): void;
  checkpoint(): void;
  close(): void;
}

/** What it came to. */
export interface Measured {
  /** A digest of what was found. */
  readonly answers: string;
  /** Microseconds, by what was done. */
  readonly figures: Readonly<Record<string, number>>;
}

const ROWS = 20_000;
const BODY = 1600;
const ALONE = 500;
const BATCH = 500;
const LOOKUPS = 20_000;

/** Does the work, and posts what it measured. */
export async function run({ open }: Subject): Promise<void> {
  try {
    postMessage(await measured(open));
  } catch (error) {
    postMessage({ failure: String(error) });
  }
}

async function measured(open: Subject["open"]): Promise<Measured> {
  const figures: Record<string, number> = {};
  let before = performance.now();
  const lap = (what: string, times = 1): void => {
    figures[what] = (performance.now() - before) * 1000 / times;
    before = performance.now();
  };
  const keys = Array.from({ length: 2 * ROWS }, (_, number) => keyOf(number));
  const body = new Uint8Array(BODY).fill(7);
  before = performance.now();
  let rows = await open();
  lap("open, new");
  for (let number = 0; number < ALONE; number++) rows.put(keys[number]!, body);
  lap("put", ALONE);
  for (let number = ALONE; number < ROWS; number += BATCH) {
    rows.begin();
    for (let each = number; each < number + BATCH; each++) rows.put(keys[each]!, body);
    rows.commit();
  }
  lap(`put, ${BATCH} to a transaction`, ROWS - ALONE);
  rows.checkpoint();
  rows.close();
  before = performance.now();
  rows = await open();
  lap("open again");
  let sum = 0;
  for (let number = 0; number < LOOKUPS; number++) {
    const found = rows.get(keys[(number * 7919) % ROWS]!);
    sum += found!.length * found![number % BODY]!;
  }
  lap("hit", LOOKUPS);
  for (let number = 0; number < LOOKUPS; number++) {
    if (rows.get(keys[ROWS + (number * 7919) % ROWS]!)) throw new Error("A row that nobody put");
  }
  lap("miss", LOOKUPS);
  rows.close();
  return { answers: String(sum), figures };
}

/** 32 bytes that look like a digest. */
function keyOf(number: number): Uint8Array {
  const key = new Uint8Array(32);
  let state = number + 1;
  for (let at = 0; at < key.length; at++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + at;
    key[at] = state >>> 13;
  }
  new DataView(key.buffer).setUint32(28, number);
  return key;
}
