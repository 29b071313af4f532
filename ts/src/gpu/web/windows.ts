/** A reducer's windows: their buffers on the device, and where elements lie in them. */
import { DTYPE_CODES } from '../../binding/binding.ts'
import { AdasumError } from '../../errors.ts'
import type { WebDevice } from './device.ts'
import { BINDING, type Bound } from './dispatch.ts'
import { type PlanGlue, type DispatchGlue, STRETCH_NUMBERS } from './glue.ts'
import type { PageBuffer, WebBuffer } from './webgpu.ts'

const GROUP_ELEMENTS = 4
/** Bytes of a factor: a pair of f32. */
const FACTOR_BYTES = 8
const CHUNK_BYTES = 16
/** Bytes of an element, by the code of its dtype. */
const BYTE_LENGTHS: Readonly<Record<number, number>> = {
  [DTYPE_CODES.f32]: 4,
  [DTYPE_CODES.f16]: 2,
  [DTYPE_CODES.bf16]: 2,
}

/** @throws AdasumError ERR_UNSUPPORTED for a dtype that devices do not reduce */
export function byteLengthOf(dtype: number): number {
  const found = BYTE_LENGTHS[dtype]
  if (found !== undefined) return found
  throw new AdasumError('ERR_UNSUPPORTED', `a device reduces f32, f16 and bf16, not dtype ${dtype}. Use the CPU.`)
}

/** Elements of one segment that are consecutive both on the host and on the device. */
export interface Stretch {
  readonly segment: number
  /** Index of the first element, counted from the segment's start. */
  readonly segmentElement: number
  /** Index of the first element, counted from the vector's start. */
  readonly firstElement: number
  readonly elementCount: number
  /** Index of the first element on the device, counted from the first group's first element. */
  readonly deviceElement: number
}

/** The stretches of which the groups from `begin` to `end` consist. */
export function* stretchesOf(plan: PlanGlue, begin: number, end: number): Generator<Stretch> {
  const numbers = plan.stretches(begin, end)
  for (let at = 0; at < numbers.length; at += STRETCH_NUMBERS) {
    const [segment, segmentElement, firstElement, elementCount, deviceElement] = numbers.subarray(
      at,
      at + STRETCH_NUMBERS,
    )
    yield {
      segment: segment!,
      segmentElement: segmentElement!,
      firstElement: firstElement!,
      elementCount: elementCount!,
      deviceElement: deviceElement!,
    }
  }
}

/** Groups of the vector that lie in one buffer, or a segment for which every input has a buffer of its own. */
export interface WebWindow {
  readonly begin: number
  readonly end: number
  readonly ownSegment: number | undefined
  /** Undefined where inputs have buffers of their own. */
  readonly slab: WebBuffer | undefined
  readonly batches: { readonly chunks: WebBuffer | undefined; readonly factors: WebBuffer }[]
}

/** Makes the buffers of all windows. @param combinations - the plan's, in any dtype: one a batch */
export function makeWindows(
  gpu: WebDevice,
  plan: PlanGlue,
  slots: number,
  combinations: readonly DispatchGlue[],
): WebWindow[] {
  const ranges = plan.windows()
  return Array.from({ length: ranges.length / 2 }, (_, index) => {
    const ownSegment = plan.ownSegment(index)
    const isOwn = ownSegment !== undefined
    const batches = combinations.filter(({ window }) => window === index)
    return {
      begin: ranges[2 * index]!,
      end: ranges[2 * index + 1]!,
      ownSegment,
      slab: isOwn ? undefined : gpu.storage(plan.slabBytes(index)),
      batches: batches.map((_, batch) => {
        const chunks = plan.chunkTable(index, batch)
        return {
          chunks: isOwn ? undefined : gpu.filled(chunks),
          // A row a chunk is more than enough: chunks of one segment share theirs.
          factors: gpu.storage((chunks.length / CHUNK_BYTES) * slots * FACTOR_BYTES),
        }
      }),
    }
  })
}

/** A buffer of the page, of which so many bytes are used. */
interface OwnInput {
  readonly buffer: PageBuffer
  readonly byteLength: number
}

/**
 * The buffers of a window that a dispatch reads: the slab, or those of its inputs; and the chunk table, unless it has
 * its own.
 */
export function boundInputs(
  planned: DispatchGlue,
  { slab, batches, ownSegment }: WebWindow,
  ownInput: (slot: number, segment: number) => OwnInput,
): Bound[] {
  const chunks = planned.batch === undefined ? undefined : batches[planned.batch]!.chunks
  const table: Bound[] = chunks ? [[BINDING.chunks, chunks]] : []
  if (slab) return [[BINDING.slab, slab], ...table]
  return [...planned.ownSlots].map((slot, index): Bound => {
    const { buffer, byteLength } = ownInput(slot, ownSegment!)
    return [BINDING.firstInput + index, buffer, byteLength]
  })
}

/** Bytes of some elements, rounded up to whole words: WebGPU copies nothing smaller. */
export function wordBytes(elementCount: number, byteLength: number): number {
  return Math.ceil((elementCount * byteLength) / 4) * 4
}

/** Offset in bytes of an element in a buffer, by its group and its index from that group on. */
export function byteOffset(group: number, element: number, byteLength: number): number {
  return (group * GROUP_ELEMENTS + element) * byteLength
}

export function groupBytes(groupCount: number, byteLength: number): number {
  return byteOffset(groupCount, 0, byteLength)
}
