/** What a peer was to ask for, or to read, when it leaves. */
import type { Lender } from './lender.ts'
import type { Slots } from './slot.ts'

/** What the peer has read is with it, if it had no time to say so. Returns whether there was any. */
export function settleFinished(slots: Slots, lender: Lender | undefined): boolean {
  let isAny = false
  for (const [, { offered }] of slots.all())
    for (const [step, message] of offered) if (lender?.isSettled(message)) isAny = offered.delete(step)
  return isAny
}

/** The peer has been through with some collectives, and did without what was meant for it. */
export function settleUnwanted(
  slots: Slots,
  lender: Lender | undefined,
  isOverThere: (sequence: number) => boolean,
): void {
  for (const [sequence, { waiting, offered }] of slots.all()) {
    if (!isOverThere(sequence)) continue
    for (const outgoing of waiting.values()) outgoing.resolve()
    for (const message of offered.values()) lender?.unwanted(message)
    waiting.clear()
    offered.clear()
  }
}

/** The group has failed. */
export function rejectOutstanding(slots: Slots, lender: Lender | undefined, cause: Error): void {
  for (const [, { waiting, offered }] of slots.all()) {
    for (const outgoing of waiting.values()) outgoing.reject(cause)
    for (const message of offered.values()) lender?.withdraw(message, cause)
  }
}
