/** What a driver does for the kit: the part that differs from browser to browser. */

/** How to start a browser. */
export interface BrowserOptions {
  /** The folder of its profile, which outlives it: for what has to be there after a restart. Default: a new one. */
  readonly profile?: string;
  /** Whether its windows are private ones, which keep nothing. Default: no. */
  readonly private?: boolean;
  /**
   * How many bytes a site may store, about; Firefox allows no less than 10 MiB. A write to OPFS beyond it throws a
   * `QuotaExceededError` in Chromium; in Firefox it writes less than it was given, and `truncate` throws an object that
   * is no `DOMException`, named `NS_ERROR_FILE_NO_DEVICE_SPACE`. Default: the browser's own limit.
   */
  readonly storageLimit?: number;
  /** More flags for Chromium's command line. Default: none. */
  readonly flags?: readonly string[];
}

/** A tab, as its driver has it. */
export interface DrivenTab {
  /** Runs a script in the page, and gives what it comes to: a string or nothing. */
  evaluate(script: string): Promise<unknown>;
  /** Loads the page anew. */
  reload(): Promise<void>;
  /** Closes it without asking it. */
  close(): Promise<void>;
  /** Kills its process. */
  crash?(): Promise<void>;
}

/** A browser, as its driver has it. */
export interface DrivenBrowser {
  /** What its pages and their Workers complained of. */
  readonly complaints: string[];
  /** Opens a page in a new tab. */
  open(url: string): Promise<DrivenTab>;
  /** Ends it. */
  close(): Promise<void>;
  /** Kills it. */
  kill(): Promise<void>;
}
