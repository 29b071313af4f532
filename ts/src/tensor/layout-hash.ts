/** The hash of a layout, by which ranks tell different models apart before any number is mixed. */
import { sha256 } from '#platform'
import { bytesOf } from './check.ts'
import type { Layout } from './layout.ts'

const UNNAMED: Uint8Array = new Uint8Array(8)
const known = new WeakMap<Layout, Uint8Array>()

/** The first 8 bytes of SHA-256 over segment table and names; zeros for a single unnamed segment. */
export function layoutHash(layout: Layout): Uint8Array {
  let hash = known.get(layout)
  if (!hash) known.set(layout, (hash = hashOf(layout)))
  return hash
}

function hashOf({ segmentElementCounts, names }: Layout): Uint8Array {
  if (!names && segmentElementCounts.length === 1) return UNNAMED
  const named = names ? [JSON.stringify(names)] : []
  return sha256(bytesOf(segmentElementCounts), ...named).subarray(0, 8)
}
