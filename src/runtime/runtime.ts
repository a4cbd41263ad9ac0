/**
 * What the rest of the house may ask of the machine it runs on: files, locks, Workers, signals, a clock, an HTTP
 * listener. One contract here, one file per runtime beside it, chosen once by {@link ./load.ts}. Everything that needs
 * the machine receives a {@link Runtime}; nothing outside this room says `Deno`, `process` or `Bun`.
 *
 * @module
 */

/** A duration, or a moment since 1970-01-01T00:00:00Z, in milliseconds. */
export type Milliseconds = number;

/** The machine, as one value that is passed in. Tests pass one with another clock or a watched `spawnWorker`. */
export interface Runtime {
  /** Which runtime this is, for messages and `/health`. */
  readonly name: string;
  /** Version of the runtime, for messages. */
  readonly version: string;
  /** The local file system. */
  readonly files: Files;
  /** Open file description (OFD) byte-range locks, or `undefined` where the process may not call the C library. */
  readonly rangeLocks: RangeLocks | undefined;
  /** The time and the passing of it. */
  readonly clock: Clock;
  /**
   * Takes the bytes that SQLite locks for EXCLUSIVE on `path` (created if missing), without {@link RangeLocks}.
   * The fallback for processes without FFI: nothing else in this process may open `path` while it is held, since POSIX
   * would drop the lock. `undefined` when somebody else holds it.
   */
  lockWholeFile(path: string): WholeFileLock | undefined;
  /** SHA-256 of bytes in memory, as 32 bytes, at once. FIPS 180-4. */
  sha256(bytes: Uint8Array): Uint8Array;
  /** Begins a SHA-256 of bytes that come in parts. */
  sha256InParts(): Sha256;
  /**
   * SHA-256 of a whole file, computed in a Worker so that gigabytes do not block the caller's event loop.
   *
   * @throws Error when the file cannot be read, or changes while it is read.
   */
  digestFile(path: string): Promise<FileDigest>;
  /**
   * Reads and compiles a WebAssembly module from a `file:`, `http:` or `https:` URL.
   *
   * @throws Error when it cannot be read or is none.
   */
  readModule(url: URL): Promise<WebAssembly.Module>;
  /**
   * Starts a module Worker.
   *
   * @throws FileError `ENOENT` where its module is missing, as in a bundle.
   */
  spawnWorker(url: URL, name: string): WorkerHandle;
  /**
   * Starts a module in a process of its own that may read files and environment variables and nothing else; inside, it
   * is as in a Worker. What takes a whole process down, such as a panic in a GPU driver, takes that one down. Absent
   * where nothing needs it: on Node and Bun, which have no GPU.
   *
   * @throws FileError `ENOENT` where its module is missing, as in a bundle; `EACCES` without `--allow-run`.
   */
  readonly spawnProcess?: (url: URL, name: string) => WorkerHandle;
  /** Calls `handler` on SIGINT and SIGTERM until the returned function is called. */
  onTerminationSignal(handler: (signal: string) => void): () => void;
  /** Listens for HTTP requests. Resolves once the port is bound. */
  serveHttp(options: ServeHttpOptions): Promise<HttpListener>;
  /** Makes a {@link CallContext}; absent where the machine cannot tell who calls on whose behalf (browsers). */
  readonly newCallContext?: <T>() => CallContext<T>;
  /** An environment variable, or `undefined` when it is unset or may not be read. */
  environment(name: string): string | undefined;
  /** What the command line said after the program's name. */
  readonly args: readonly string[];
  /** Whether what the program prints is seen on a terminal, which shows colours. */
  printsToTerminal(): boolean;
  /** Where commands read and print. */
  readonly terminal: Terminal;
  /** Process number of this process, for messages about who holds a lock. */
  readonly processId: number;
  /** What this process has taken of the machine. */
  usage(): ProcessUsage;
  /** Ends the process. */
  exit(code: number): never;
}

/** Where commands read and print: a terminal, a file, or another program's end of a pipe. */
export interface Terminal {
  /** What the program was asked for. */
  readonly output: TerminalStream;
  /** What it says about its work. */
  readonly errors: TerminalStream;
  /** Whether there may be a person at the other end of the input. */
  readsFromTerminal(): boolean;
  /** All of the input, to its end. */
  readInput(): Promise<Uint8Array>;
  /** The next line of the input; `undefined` at its end, and once `signal` is aborted. */
  readLine(signal: AbortSignal): Promise<string | undefined>;
}

/** One of the two that a program prints to. */
export interface TerminalStream {
  /** Whether it is seen on a terminal, which shows colours and can be written over. */
  isTerminal(): boolean;
  /** How many characters fit in a line of the terminal now; `undefined` where it is none, or does not say. */
  columns(): number | undefined;
  /** Prints, and waits until it was taken. Resolves to `false` when nobody reads it any more, as behind `| head`. */
  write(text: string): Promise<boolean>;
}

/** What a process takes of its machine. */
export interface ProcessUsage {
  /** Seconds of processor time since its start, its own and the system's for it. */
  readonly cpuSeconds: number;
  /** Bytes of memory that it has now, Workers included. */
  readonly residentBytes: number;
}

/** A value that follows a chain of calls through everything it awaits, and is seen by no other chain. */
export interface CallContext<T> {
  /** Calls `work`; until it and all it started are done, {@link CallContext.current} is `value` there. */
  run<R>(value: T, work: () => R): R;
  /** The value of the innermost {@link CallContext.run} around the caller. */
  current(): T | undefined;
}

/** The time and the passing of it, injected so that tests need not wait. */
export interface Clock {
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  now(): Milliseconds;
  /** Milliseconds since some fixed moment, never going back. For durations. */
  monotonic(): Milliseconds;
  /**
   * Waits.
   *
   * @throws the signal's reason when it is aborted before or while waiting.
   */
  sleep(duration: Milliseconds, options?: SleepOptions): Promise<void>;
  /** Calls `run` once the event loop has dealt with what is ready now. */
  afterTurn(run: () => void): void;
}

/** How to wait. */
export interface SleepOptions {
  /** Ends the wait early, with the signal's reason. */
  readonly signal?: AbortSignal;
  /** A background wait does not keep the process alive. */
  readonly background?: boolean;
}

/** Synchronous and asynchronous access to local files. Paths are the runtime's own; `/` separates. */
export interface Files {
  /**
   * Opens a file for reading and writing at positions, synchronously (SQLite needs it so).
   *
   * @throws FileError; `EAGAIN` where {@link prepare} should have been called first.
   */
  open(path: string, mode: OpenMode): OpenFile;
  /**
   * Has at hand what {@link open} will be asked for. Only where opening a file takes time it does not have (browsers):
   * absent elsewhere. Whoever opens or creates files says which, shortly before.
   *
   * @throws FileError
   */
  prepare?(paths: readonly string[]): Promise<void>;
  /** Whether something is there. */
  exists(path: string): boolean;
  /** What is there now, or `undefined`. Follows symbolic links. */
  stat(path: string): Promise<FileStat | undefined>;
  /** The absolute path without symbolic links, or `undefined` when nothing is there. */
  realPath(path: string): Promise<string | undefined>;
  /**
   * What kind of file system something lies on.
   *
   * @throws FileError when nothing is there.
   */
  fileSystem(path: string): FileSystem;
  /** Names and kinds in a directory, sorted by name; empty when it is missing. */
  list(directory: string): Promise<DirectoryEntry[]>;
  /**
   * A whole file.
   *
   * @throws FileError
   */
  read(path: string): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * Replaces a file by way of a temporary one and a rename, with mode 0600, so that a reader sees the old or the new
   * bytes, never some of each. With `synchronous`, the new bytes are on the disk before they have the name, so that not
   * even a power failure leaves some of each; {@link Files.sync} of the directory has it keep the name.
   *
   * @throws FileError
   */
  replace(path: string, bytes: Uint8Array, options?: { readonly synchronous?: boolean }): Promise<void>;
  /**
   * Gives a file another name on the same disk, in place of what has that name.
   *
   * @throws FileError
   */
  rename(from: string, to: string): Promise<void>;
  /**
   * Makes `path` a symbolic link to `target`, which is relative to the directory of `path` unless it is absolute.
   *
   * @throws FileError `EEXIST` when something is there; `EPERM` where this user, or this disk, may have no links.
   */
  link(target: string, path: string): Promise<void>;
  /**
   * Copies a file, in place of what is there.
   *
   * @throws FileError
   */
  copy(from: string, to: string): Promise<void>;
  /**
   * Waits until a file's bytes, or the names in a directory, are on the disk (fsync), without blocking the thread.
   *
   * @throws FileError
   */
  sync(path: string): Promise<void>;
  /**
   * Creates a directory and its parents with mode 0700, if missing.
   *
   * @throws FileError
   */
  makeDirectory(path: string): void;
  /**
   * Removes a file; a missing one is no error.
   *
   * @throws FileError
   */
  remove(path: string): void;
  /**
   * Removes a directory in which nothing is left; one that holds something, or is missing, is no error.
   *
   * @throws FileError
   */
  removeEmptyDirectory(path: string): void;
}

/**
 * A kind of file system: `local` when this machine alone reaches it, so that its locks and writes are seen by all at
 * once; the kind's name (`nfs`, `smb`, `9p`, `fuse`, …) when others may reach it too; `unknown` where the machine does
 * not say: on other systems than Linux, and on Deno without `--allow-ffi`.
 */
export type FileSystem = "local" | "unknown" | (string & Record<never, never>);

/**
 * How to open: `read` an existing file, `write` an existing one (read and write), or `create` it if missing (read and
 * write, mode 0600).
 */
export type OpenMode = "read" | "write" | "create";

/** An open file, used at explicit positions. All methods throw {@link FileError}. */
export interface OpenFile {
  /** The operating system's descriptor, for {@link RangeLocks}. */
  readonly descriptor: number;
  /** Whether its bytes are always the same: once the file is written to, they can no longer be read. */
  readonly neverChanges?: true;
  /** Fills `target` from `position`; returns how many bytes there were (fewer at the end of the file). */
  read(target: Uint8Array, position: number): number;
  /** Writes all of `source` at `position`. */
  write(source: Uint8Array, position: number): void;
  /** Cuts or extends the file to `size` bytes. */
  truncate(size: number): void;
  /** Waits until the file's bytes are on the disk (fdatasync). */
  sync(): void;
  /** Size in bytes. */
  size(): number;
  /** Whether its path still leads to it: nobody has removed, renamed or replaced it. Asked for after closing, too. */
  isInPlace(): boolean;
  /** Closes it; closing twice is no error. */
  close(): void;
}

/** What a path names. Times in nanoseconds since 1970, to see that a file changed. */
export interface FileStat {
  readonly isFile: boolean;
  readonly isDirectory: boolean;
  readonly size: number;
  /** Who may read, write and run it: the nine permission bits of POSIX. Means nothing on Windows. */
  readonly mode: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly inode: bigint;
  readonly device: bigint;
}

/** One name in a directory. A symbolic link counts as what it points to. */
export interface DirectoryEntry {
  readonly name: string;
  readonly isFile: boolean;
  readonly isDirectory: boolean;
}

/** A file operation failed. `code` is the operating system's name for why: `ENOENT`, `EACCES`, `ENOSPC`, `EROFS`, … */
export class FileError extends Error {
  override readonly name = "FileError";
  /** The operating system's name for the failure, such as `ENOSPC`. */
  readonly code: string;
  constructor(message: string, code: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * `fcntl` open-file-description locks (Linux, since 3.15): they belong to the open file, not to the process, see each
 * other and native POSIX locks, and vanish when the process dies.
 */
export interface RangeLocks {
  /** Takes or converts a lock on `length` bytes from `start`; `false` when somebody else is in the way. */
  tryLock(descriptor: number, start: number, length: number, mode: "shared" | "exclusive"): boolean;
  /** Gives up whatever this open file holds there. */
  unlock(descriptor: number, start: number, length: number): void;
  /** Whether somebody else holds a lock there, shared or exclusive. Takes none. */
  isLocked(descriptor: number, start: number, length: number): boolean;
}

/** A lock from {@link Runtime.lockWholeFile}. */
export interface WholeFileLock {
  release(): void;
}

/** SHA-256 of a file, and the state of the file it was computed from. */
export interface FileDigest {
  /** 64 lower-case hexadecimal digits. */
  readonly sha256: string;
  readonly stat: FileStat;
}

/** A SHA-256 on its way. */
export interface Sha256 {
  /** The next bytes. */
  update(bytes: Uint8Array): void;
  /** The digest of all of them, as 32 bytes. May be asked for once. */
  digest(): Uint8Array;
}

/** A running Worker, seen from outside. */
export interface WorkerHandle {
  /** Sends a structured-cloneable message, moving what `transfer` lists. */
  post(message: unknown, transfer?: Transferable[]): void;
  /** Sets who receives the Worker's messages. */
  onMessage(handler: (message: unknown) => void): void;
  /** Sets who hears that the Worker died of an uncaught error. */
  onFailure(handler: (reason: Error) => void): void;
  /** Ends the Worker and gives its memory back. Ending twice is no error. */
  terminate(): void;
}

/** A Worker's own end of the line. */
export interface WorkerPort {
  post(message: unknown, transfer?: Transferable[]): void;
  onMessage(handler: (message: unknown) => void): void;
}

/** Where to listen, and who answers. */
export interface ServeHttpOptions {
  readonly hostname: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** How long the headers of a request may take to come, where the runtime can be told; what it likes when left out. */
  readonly headerTimeout?: Milliseconds;
  readonly fetch: (request: Request) => Response | Promise<Response>;
}

/** A bound port. */
export interface HttpListener {
  readonly hostname: string;
  readonly port: number;
  /** Whether it closes connections whose headers do not come in time. */
  readonly limitsHeaders: boolean;
  /** Stops accepting, lets running requests finish, then resolves. */
  shutdown(): Promise<void>;
}
