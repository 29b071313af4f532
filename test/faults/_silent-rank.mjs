// One rank of a world some of whose ranks stop or stand still: `_silent-rank.mjs <plan as JSON>`. It tells its parent how its
// one call has ended, and is left to end by itself.
import { readSync } from 'node:fs'
import { connect } from 'adasum'

/** @type {import('./silence.test.ts').SilencePlan} */
const plan = JSON.parse(process.argv[2] ?? '')

const tell = (message) => new Promise((resolve) => process.send(message, resolve))

const comm = await connect({ sharedMemory: plan.sharedMemory })
if (plan.stopsItself === comm.rank) process.kill(process.pid, 'SIGSTOP')
if (plan.stopsItself === undefined) await comm.barrier()
const given = new Promise((resolve) => process.once('message', resolve))
await tell({ type: 'ready' })
await given

const call = comm.allReduce(new Float32Array(plan.elementCount).fill(comm.rank + 1), { op: 'sum' })
call.catch(() => undefined)
void tell({ type: 'begun' })
// As a long computation does: the event loop stands still until the parent has done what it wants.
if (plan.waiting.includes(comm.rank)) readSync(0, new Uint8Array(1))
const [outcome] = await Promise.allSettled([call])
const { code, message, peerRank } = outcome.reason ?? {}
const result = outcome.value?.result.at(-1)
await comm.close()
await tell({ type: 'report', code, message, peerRank, result })
process.disconnect()
