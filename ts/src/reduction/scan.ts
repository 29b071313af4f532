/** The search for NaN and infinity in a vector, in steps between which the event loop may turn. */
import type { Binding } from '../binding/binding.ts'
import { pieceElementCount, piecesBetween, runsOf, sliceOf } from '../kernels/slice.ts'
import type { Layout } from '../tensor/layout.ts'
import type { Vector } from '../tensor/vector.ts'
import { nextTurn } from '#platform'

/** Bytes scanned at a time. */
const SCAN_BYTE_LENGTH = 16 << 20

/**
 * Whether a vector has NaN or infinity in it, or (f64) a segment whose squared norm overflows; lets the event loop
 * turn.
 */
export async function scanNonFinite(
  binding: Binding,
  layout: Layout,
  data: Vector,
  check: () => void,
): Promise<boolean> {
  return inTurns(scanSteps(binding, layout, data), check)
}

/** As scanNonFinite, at once. */
export function scanNonFiniteSync(binding: Binding, layout: Layout, data: Vector): boolean {
  for (const isFound of scanSteps(binding, layout, data)) if (isFound) return true
  return false
}

function* scanSteps(binding: Binding, layout: Layout, data: Vector): Generator<boolean> {
  const { dtype, segmentElementCounts } = layout
  const [first, ...others] = data.parts
  if (others.length === 0 && first!.length <= SCAN_BYTE_LENGTH)
    yield binding.hasNonFinite(dtype.code, first!, segmentElementCounts)
  else yield* dtype.name === 'f64' ? normSteps(binding, layout, data) : elementSteps(binding, layout, data)
}

/** Whether a vector has NaN or infinity in it, however large its numbers are; lets the event loop turn. */
export function scanElements(binding: Binding, layout: Layout, data: Vector, check: () => void): Promise<boolean> {
  return inTurns(layout.dtype.name === 'f64' ? f64Steps(data) : elementSteps(binding, layout, data), check)
}

async function inTurns(steps: Generator<boolean>, check: () => void): Promise<boolean> {
  let step = steps.next()
  while (!step.done) {
    if (step.value) return true
    step = steps.next()
    if (step.done) break
    await nextTurn()
    check()
  }
  return false
}

/**
 * The kernel for f64 looks at squared norms, which may overflow where every element is finite: here each is looked at.
 */
function* f64Steps(data: Vector): Generator<boolean> {
  for (const part of portionsOf(data)) {
    const count = part.length / Float64Array.BYTES_PER_ELEMENT
    yield !new Float64Array(part.buffer, part.byteOffset, count).every(Number.isFinite)
  }
}

/** For dtypes whose norms cannot overflow, the vector may be cut anywhere. */
function* elementSteps(binding: Binding, { dtype }: Layout, data: Vector): Generator<boolean> {
  for (const part of portionsOf(data))
    yield binding.hasNonFinite(dtype.code, part, Float64Array.of(part.length / dtype.byteLength))
}

/** The portions of a vector that are scanned in one step each. */
function* portionsOf({ parts }: Vector): Generator<Uint8Array> {
  for (const part of parts)
    for (let at = 0; at < part.length; at += SCAN_BYTE_LENGTH) yield part.subarray(at, at + SCAN_BYTE_LENGTH)
}

/**
 * Scans as many segments at a time as fit in a step. The squared norm of a longer one is put together from its parts.
 */
function* normSteps(binding: Binding, layout: Layout, data: Vector): Generator<boolean> {
  const { dtype, segmentElementCounts, segmentBegins } = layout
  const byteOffset = (segment: number): number => segmentBegins[segment]! * dtype.byteLength
  const breaks = new Set(data.breaks)
  for (let from = 0, to = 0; from < segmentElementCounts.length; from = to) {
    const isOver = (): boolean => byteOffset(to + 1) - byteOffset(from) > SCAN_BYTE_LENGTH || breaks.has(byteOffset(to))
    do to++
    while (to < segmentElementCounts.length && !isOver())
    const part = data.contiguous(byteOffset(from), byteOffset(to))
    if (part.length > SCAN_BYTE_LENGTH) yield* largeNormSteps(binding, layout, from, part)
    else yield binding.hasNonFinite(dtype.code, part, segmentElementCounts.subarray(from, to))
  }
}

/** A NaN or an infinity makes the squared norm non-finite, too. */
function* largeNormSteps(binding: Binding, layout: Layout, segment: number, data: Uint8Array): Generator<boolean> {
  const { dtype, segmentBegins } = layout
  const slice = sliceOf(
    layout,
    segmentBegins[segment]!,
    segmentBegins[segment + 1]!,
    SCAN_BYTE_LENGTH / dtype.byteLength,
  )
  const nodes: number[] = []
  for (let piece = 0, at = 0; piece < slice.segments.length; piece++) {
    const part = data.subarray(at, (at += pieceElementCount(slice, piece) * dtype.byteLength))
    const pieces = piecesBetween(slice, piece, piece + 1)
    const found = new Float64Array(binding.nodeCount(pieces))
    binding.gram(dtype.code, [part], pieces, found)
    nodes.push(...found)
    yield !found.every(Number.isFinite)
  }
  const runs = runsOf(slice, 0, slice.segments.length)
  const [squaredNorm] = binding.gramFinish(slice.pieces[0]!, runs, Float64Array.from(nodes), 1)
  yield !Number.isFinite(squaredNorm)
}
