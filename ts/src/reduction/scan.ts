import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Binding } from '../binding/binding.ts'
import type { Layout } from '../tensor/layout.ts'

/** Bytes scanned before the event loop may turn. */
const SCAN_BYTE_LENGTH = 16 << 20

/** Whether a vector has NaN or infinity in it, or (f64) a segment whose squared norm overflows; lets the event loop turn. */
export async function scanNonFinite(
  binding: Binding,
  layout: Layout,
  data: Uint8Array,
  check: () => void,
): Promise<boolean> {
  const { dtype, segmentElementCounts } = layout
  // A norm needs its whole segment; for f32 it cannot overflow, and the scan may be cut anywhere.
  if (data.length <= SCAN_BYTE_LENGTH || dtype.name === 'f64')
    return binding.hasNonFinite(dtype.code, data, segmentElementCounts)
  for (let at = 0; at < data.length; at += SCAN_BYTE_LENGTH) {
    const part = data.subarray(at, at + SCAN_BYTE_LENGTH)
    if (binding.hasNonFinite(dtype.code, part, Float64Array.of(part.length / dtype.byteLength))) return true
    await nextTurn()
    check()
  }
  return false
}
