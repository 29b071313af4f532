/** What differs between Node.js and a browser. `#platform` is `node.ts` or `web.ts`; both implement this interface. */
export interface Platform {
  /** SHA-256 of the concatenated parts, with text as UTF-8: 32 bytes. */
  sha256(...parts: readonly (Uint8Array | string)[]): Uint8Array
  /** HMAC-SHA-256 of the concatenated parts, with text as UTF-8: 32 bytes. */
  hmacSha256(key: string, ...parts: readonly (Uint8Array | string)[]): Uint8Array
  /** The CRC-32 of zlib and PNG. */
  crc32(bytes: Uint8Array): number
  /** Cryptographically secure random bytes. */
  randomBytes(byteLength: number): Uint8Array
  /** Whether two arrays of equal length hold the same bytes. The time it takes does not depend on where they differ. */
  timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean
  /** Memory with any content, for callers that overwrite all of it. */
  uninitializedBytes(byteLength: number): Uint8Array
  /** Resolves after one turn of the event loop, in which everything that was waiting has run. */
  nextTurn(): Promise<void>
  /** How many threads can compute at the same time. */
  coreCount(): number
  /**
   * Prints a warning for the user of the program.
   *
   * @param code - identifies the kind of warning
   */
  emitWarning(message: string, code: string): void
  /** Lets a signal have any number of listeners without a warning of a leak. */
  allowManyListeners(signal: AbortSignal): void
}
