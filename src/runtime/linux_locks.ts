/**
 * `fcntl(2)` open-file-description locks on 64-bit Linux, given a way to call the C library. Each runtime brings its
 * own foreign function interface; the structure and the numbers are the kernel's (`asm-generic/fcntl.h`).
 *
 * @module
 */

import type { RangeLocks } from "./runtime.ts";
import { FileError } from "./runtime.ts";

/** The two calls that are needed. */
export interface CLibrary {
  fcntl(descriptor: number, command: number, argument: Uint8Array<ArrayBuffer>): number;
  /** The value of `errno`, asked for right after a failed call. */
  errno(): number;
}

const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;
const EACCES = 13;
const EAGAIN = 11;

/** OFD locks over a C library. */
export function linuxRangeLocks(library: CLibrary): RangeLocks {
  // struct flock { short l_type; short l_whence; off_t l_start; off_t l_len; pid_t l_pid; }, l_pid 0 as OFD demands.
  const flock = new Uint8Array(32);
  const fields = new DataView(flock.buffer);
  const call = (descriptor: number, command: number, type: number, start: number, length: number): boolean => {
    fields.setInt16(0, type, true);
    fields.setBigInt64(8, BigInt(start), true);
    fields.setBigInt64(16, BigInt(length), true);
    fields.setInt32(24, 0, true);
    if (library.fcntl(descriptor, command, flock) === 0) return true;
    const errno = library.errno();
    if (errno === EAGAIN || errno === EACCES) return false;
    throw new FileError(`Cannot lock bytes ${start} to ${start + length}: errno ${errno}`, "EIO");
  };
  return {
    tryLock: (descriptor, start, length, mode) =>
      call(descriptor, F_OFD_SETLK, mode === "shared" ? F_RDLCK : F_WRLCK, start, length),
    unlock: (descriptor, start, length) => void call(descriptor, F_OFD_SETLK, F_UNLCK, start, length),
    isLocked(descriptor, start, length) {
      call(descriptor, F_OFD_GETLK, F_WRLCK, start, length);
      return fields.getInt16(0, true) !== F_UNLCK;
    },
  };
}
