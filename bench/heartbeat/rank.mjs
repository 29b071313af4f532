// A rank of bench/heartbeat.mjs: it connects, is idle for the seconds of its first argument, and prints the milliseconds of CPU
// that its process has used meanwhile.

import { connect } from 'adasum'

const seconds = Number(process.argv[2])
const comm = await connect({ failureTimeoutMs: Number(process.argv[3]) })
await comm.barrier()
// Until all threads have begun.
await new Promise((resolve) => setTimeout(resolve, 5000))
await comm.barrier()
const before = process.cpuUsage()
await new Promise((resolve) => setTimeout(resolve, 1000 * seconds))
const { user, system } = process.cpuUsage(before)
await comm.barrier()
console.log(JSON.stringify({ cpuMs: (user + system) / 1000 }))
await comm.close()
