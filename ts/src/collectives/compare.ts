/**
 * The comparison of coefficients that a caller's own function has found: ranks that have reduced the same segment send
 * each other a hash of what they have used, so that a function which differs between ranks gives no result that does.
 */
import { sha256 } from '#platform'
import { AdasumError } from '../errors.ts'
import type { Compare } from '../kernels/run.ts'
import type { SegmentRows } from '../kernels/segment-rows.ts'
import { coefficientsOf } from '../kernels/statistics.ts'
import { printable } from '../printable.ts'
import { bytesOf } from '../tensor/check.ts'
import { type Layout, segmentName } from '../tensor/layout.ts'
import type { Peers } from './peers.ts'

const HASH_BYTES = 8

/**
 * @param sharersOf - the ranks that reduce a segment, or a part of it
 * @throws (the function that is returned) AdasumError ERR_MISMATCH that names the segment
 */
export function compareStatistics(
  call: Peers,
  layout: Layout,
  step: number,
  sharersOf: (segment: number) => readonly number[],
): Compare {
  return async (statistics) => {
    const shared = sharedWith(call, layout, statistics, sharersOf)
    const span = call.begin('gram')
    await Promise.all(
      [...shared].map(async ([peer, segments]) => {
        const [mine, theirs] = [hashesOf(statistics, segments, call.size), new Uint8Array(segments.length * HASH_BYTES)]
        await Promise.all([call.receive(peer, step, [theirs]), call.send(peer, step, [mine])])
        const other = mine.findIndex((byte, i) => byte !== theirs[i])
        if (other >= 0) throw differ(call, peer, segmentName(layout, segments[Math.floor(other / HASH_BYTES)]!))
      }),
    )
    call.end(span)
  }
}

/** The segments that each other rank reduces, too. */
function sharedWith(
  { rank }: Peers,
  { segmentElementCounts }: Layout,
  { firstSegment, endSegment }: SegmentRows,
  sharersOf: (segment: number) => readonly number[],
): Map<number, number[]> {
  const shared = new Map<number, number[]>()
  for (let segment = firstSegment; segment < endSegment; segment++) {
    if (segmentElementCounts[segment] === 0) continue
    for (const peer of sharersOf(segment)) {
      if (peer === rank) continue
      const segments = shared.get(peer)
      if (segments) segments.push(segment)
      else shared.set(peer, [segment])
    }
  }
  return shared
}

function hashesOf(statistics: SegmentRows, segments: readonly number[], inputCount: number): Uint8Array {
  const hashes = new Uint8Array(segments.length * HASH_BYTES)
  for (const [i, segment] of segments.entries()) {
    const hash = sha256(bytesOf(coefficientsOf(statistics.row(segment), inputCount)))
    hashes.set(hash.subarray(0, HASH_BYTES), i * HASH_BYTES)
  }
  return hashes
}

function differ({ rank }: Peers, peerRank: number, name: string): AdasumError {
  const [a, b] = rank < peerRank ? [rank, peerRank] : [peerRank, rank]
  return new AdasumError(
    'ERR_MISMATCH',
    `op.coefficients of segment ${printable(name, NAME_CHARACTERS)} differ between rank ${a} and rank ${b}, which have the same Gram matrix. ` +
      'The function must be pure, and the same on every rank.',
    { rank, peerRank },
  )
}

const NAME_CHARACTERS = 100
