import type { Sink } from './transport.ts'

const scrap = new Uint8Array(64 << 10)

/** Reads a pipe empty. */
export const NOBODY: Sink = {
  target: () => scrap,
  ahead: () => scrap,
  filled: () => undefined,
  ended: () => undefined,
}
