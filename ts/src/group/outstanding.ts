/**
 * Messages for a peer that it has neither asked for nor read, and what becomes of them when the peer leaves or the
 * group fails.
 */
import type { Lender } from './lender.ts'
import type { Slots } from './slot.ts'

/** Completes the offers that the peer has read without having sent DONE. Returns whether there were any. */
export function settleRead(slots: Slots, lender: Lender | undefined): boolean {
  let isAny = false
  for (const [, { offered }] of slots.all())
    for (const [step, message] of offered) if (lender?.settleIfRead(message)) isAny = offered.delete(step)
  return isAny
}

/** Completes the messages of collectives that the peer has completed without them. */
export function settleUnwanted(
  slots: Slots,
  lender: Lender | undefined,
  isOverThere: (sequence: number) => boolean,
): void {
  for (const [sequence, { waiting, offered }] of slots.all()) {
    if (!isOverThere(sequence)) continue
    for (const outgoing of waiting.values()) outgoing.resolve()
    for (const message of offered.values()) lender?.dropUnwanted(message)
    waiting.clear()
    offered.clear()
  }
}

/** Rejects all messages, because the group has failed. */
export function rejectOutstanding(slots: Slots, lender: Lender | undefined, cause: Error): void {
  for (const [, { waiting, offered }] of slots.all()) {
    for (const outgoing of waiting.values()) outgoing.reject(cause)
    for (const message of offered.values()) lender?.withdraw(message, cause)
  }
}
