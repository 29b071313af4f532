/** A message of this rank that waits to be sent, or is being sent. */
import { totalByteLength } from '../tensor/check.ts'
import { type FrameHeader, HEADER_BYTE_LENGTH } from '../wire/frame.ts'

export interface Outgoing {
  readonly header: FrameHeader
  readonly parts: readonly Uint8Array[]
  /** The memory may change again. */
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export function frameByteLength({ header }: Outgoing): number {
  return HEADER_BYTE_LENGTH + header.payloadByteLength
}

/** Whether some of it has been transferred away. */
export function hasLostMemory({ header, parts }: Outgoing): boolean {
  return totalByteLength(parts) !== header.payloadByteLength
}
