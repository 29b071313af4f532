import type { Call } from '../group/call.ts'

/** What a schedule needs of a call: who the ranks are, and their messages. */
export type Peers = Pick<Call, 'rank' | 'size' | 'tuning' | 'receive' | 'borrow' | 'send'>

/** The same ranks in another order: the i-th of it is rank `order[i]`. */
export function inOrder(call: Peers, order: Int32Array): Peers {
  return {
    rank: order.indexOf(call.rank),
    size: call.size,
    tuning: call.tuning,
    receive: (from, step, parts, progress) => call.receive(order[from]!, step, parts, progress),
    borrow: (from, step, byteLength, memory, progress) => call.borrow(order[from]!, step, byteLength, memory, progress),
    send: (to, step, parts, rankFlags) => call.send(order[to]!, step, parts, rankFlags),
  }
}
