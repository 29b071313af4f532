/** What differs between Node.js and a browser. `#platform` is `node.ts` there and `web.ts` here; either has all of this. */
export interface Platform {
  /** SHA-256 of the parts, one behind the other, text as UTF-8: 32 bytes. */
  sha256(...parts: readonly (Uint8Array | string)[]): Uint8Array
  /** HMAC-SHA-256 of the parts, one behind the other, text as UTF-8: 32 bytes. */
  hmacSha256(key: string, ...parts: readonly (Uint8Array | string)[]): Uint8Array
  /** As of zlib and PNG. */
  crc32(bytes: Uint8Array): number
  /** Bytes that nobody can foresee. */
  randomBytes(byteLength: number): Uint8Array
  /** Whether two arrays of one length hold the same bytes; the time it takes does not tell where they differ. */
  timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean
  /** Memory to be overwritten whole: it may hold anything. */
  uninitializedBytes(byteLength: number): Uint8Array
  /** A turn of the event loop: resolves once all that has been waiting has had its turn. */
  nextTurn(): Promise<void>
  /** Threads that can compute side by side. */
  coreCount(): number
  /** Tells whoever runs the program, not the program. @param code - by which such warnings are told apart */
  emitWarning(message: string, code: string): void
  /** As many listeners as there are peers are no mistake. */
  allowManyListeners(signal: AbortSignal): void
}
