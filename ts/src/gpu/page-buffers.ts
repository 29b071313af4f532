/**
 * Checks of GPUBuffers that come from the caller. A device reports its own checks too late, and without the caller's
 * names.
 */
import { AdasumError } from '../errors.ts'
import { kindOf } from '../tensor/check.ts'
import type { Dtype } from '../tensor/dtype.ts'
import type { Layout } from '../tensor/layout.ts'
import type { PageBuffer } from './web/webgpu.ts'

/** Names of usages as WebGPU has them. */
const USAGE_NAMES = { copySource: 'COPY_SRC', copyTarget: 'COPY_DST', storage: 'STORAGE' } as const

/** Usages that a buffer must have. */
export type Usages = Partial<Record<keyof typeof USAGE_NAMES, number>>

/**
 * A copy of a list that has a buffer for every segment.
 *
 * @throws AdasumError ERR_ARGUMENT if there are more or fewer, or one is too short or lacks a usage
 */
export function bufferOfEach(
  buffers: readonly PageBuffer[],
  { segmentElementCounts }: Layout,
  dtype: Dtype,
  what: string,
  usages: Usages,
): PageBuffer[] {
  if (!Array.isArray(buffers))
    throw new AdasumError('ERR_ARGUMENT', `${what} is ${kindOf(buffers)}; it must be a list of GPUBuffers.`)
  const list = [...(buffers as readonly PageBuffer[])]
  const count = segmentElementCounts.length
  if (list.length !== count)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `${what} has ${list.length} buffers, there are ${count} segments. Give one for each.`,
    )
  for (const [segment, buffer] of list.entries())
    checkBuffer(buffer, segmentElementCounts[segment]! * dtype.byteLength, `${what}[${segment}]`, usages)
  return list
}

function checkBuffer(buffer: PageBuffer, byteLength: number, what: string, usages: Usages): void {
  if (typeof buffer?.size !== 'number' || typeof buffer.usage !== 'number')
    throw new AdasumError('ERR_ARGUMENT', `${what} is ${kindOf(buffer)}; it must be a GPUBuffer.`)
  // Copies and bindings take whole words.
  const needed = Math.ceil(byteLength / 4) * 4
  if (buffer.size < needed)
    throw new AdasumError(
      'ERR_ARGUMENT',
      `${what} has ${buffer.size} bytes, its segment needs ${needed}. Use a longer buffer.`,
    )
  for (const [name, bit] of Object.entries(usages))
    if ((buffer.usage & bit) === 0)
      throw new AdasumError(
        'ERR_ARGUMENT',
        `${what} has the usage ${buffer.usage}, which lacks GPUBufferUsage.${USAGE_NAMES[name as keyof typeof USAGE_NAMES]}. Make the buffer with it.`,
      )
}
