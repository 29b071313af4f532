import type { Sink } from './transport.ts'

const scrap = new Uint8Array(64 << 10)

/** A sink that reads everything and drops it. */
export const NOBODY: Sink = {
  target: () => scrap,
  targetAhead: () => scrap,
  onFilled: () => undefined,
  onEnd: () => undefined,
}
