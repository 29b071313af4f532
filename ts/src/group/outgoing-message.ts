/** Messages that wait to be sent, or are being sent. */
import { totalByteLength } from '../tensor/check.ts'
import { type FrameHeader, HEADER_BYTE_LENGTH } from '../wire/frame.ts'

export interface OutgoingMessage {
  readonly header: FrameHeader
  readonly parts: readonly Uint8Array[]
  /** Called when the caller may change the memory again. */
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export function frameByteLength({ header }: OutgoingMessage): number {
  return HEADER_BYTE_LENGTH + header.payloadByteLength
}

/** Whether some of the message's memory has been transferred away. */
export function hasLostMemory({ header, parts }: OutgoingMessage): boolean {
  return totalByteLength(parts) !== header.payloadByteLength
}
