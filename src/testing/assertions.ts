/**
 * The few assertions that the conformance suites need. They are here since the suites run under any test runner, and
 * `node:assert` is not everywhere. What they throw has `actual` and `expected`, from which runners print differences.
 *
 * @module
 */

/** What was observed is not what has to be. */
export class UnmetError extends Error {
  /** `AssertionError`: the name by which test runners know a failed assertion. */
  override readonly name = "AssertionError";
  /** What was observed. */
  readonly actual: unknown;
  /** What has to be. */
  readonly expected: unknown;
  /** Says what was looked at, what has to be and what was observed. */
  constructor(what: string, actual: unknown, expected: unknown) {
    super(`${what}: expected ${show(expected)}: received ${show(actual)}`);
    this.actual = actual;
    this.expected = expected;
  }
}

/** Lists by their items, bytes by their bytes, objects by their own properties, all else by `Object.is`. */
export function same(actual: unknown, expected: unknown, what = "the value"): void {
  if (!isSame(actual, expected)) throw new UnmetError(what, actual, expected);
}

/** A condition. */
export function truth(condition: boolean, what: string): asserts condition {
  if (!condition) throw new UnmetError(what, condition, true);
}

/** A value that is there. */
export function present<T>(value: T | null | undefined, what: string): T {
  if (value === undefined || value === null) throw new UnmetError(what, value, "something");
  return value;
}

/** Work that fails, at once or later, with an error that fits; it is returned. */
export async function rejects(
  work: () => unknown,
  fits: (error: unknown) => boolean,
  what = "the error",
): Promise<unknown> {
  let result: unknown;
  try {
    result = await work();
  } catch (error) {
    if (fits(error)) return error;
    throw new UnmetError(`${what}, which does not fit`, error, "one that fits");
  }
  throw new UnmetError(what, result, "a rejection");
}

/** Whether an error is a `RangeError`. */
export function isRangeError(error: unknown): boolean {
  return error instanceof RangeError;
}

/** Whether an error is a `TypeError`. */
export function isTypeError(error: unknown): boolean {
  return error instanceof TypeError;
}

function isSame(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
  if (one instanceof Uint8Array || other instanceof Uint8Array) {
    if (!(one instanceof Uint8Array && other instanceof Uint8Array) || one.length !== other.length) return false;
    return one.every((byte, index) => byte === other[index]);
  }
  if (Array.isArray(one) !== Array.isArray(other)) return false;
  const [names, others] = [Object.keys(one), Object.keys(other)];
  if (names.length !== others.length) return false;
  return names.every((name) => Object.hasOwn(other, name) && isSame(Reflect.get(one, name), Reflect.get(other, name)));
}

const LONGEST_SHOWN = 400;

function show(value: unknown): string {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  const plain = (_name: string, inner: unknown): unknown => {
    if (inner instanceof Uint8Array) return `${inner.length} bytes: ${[...inner.subarray(0, 16)].join(" ")}`;
    if (inner === undefined || typeof inner === "function" || typeof inner === "bigint") return String(inner);
    return typeof inner === "number" && !Number.isFinite(inner) ? String(inner) : inner;
  };
  const text = JSON.stringify(value, plain) ?? String(value);
  return text.length <= LONGEST_SHOWN ? text : `${text.slice(0, LONGEST_SHOWN)}…`;
}
