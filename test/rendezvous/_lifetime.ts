/** Two ranks in one process, which must end by itself, and soon: `_lifetime.ts refused|timeout|aborted|met|forgotten`. */
import type { Place } from '../../ts/src/rendezvous/environment.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import { DEFAULT_TUNING } from '../../ts/src/tuning.ts'
import { meetAtPort, type MeetingAtPort } from './_meet.ts'
import { freePort } from './_ports.ts'

const mode = process.argv[2]
const port = await freePort()

function join(rank: number, timeoutMs: number, signal?: AbortSignal): Promise<MeetingAtPort> {
  const store = { host: '127.0.0.1', ports: [port] }
  const nowhere = { host: undefined, machine: undefined, localRank: undefined, localSize: undefined }
  const place: Place = {
    rank,
    size: 2,
    store,
    hostsStore: rank === 0,
    secret: 'k',
    tls: 'default',
    checksums: 'default',
    jobId: new Uint8Array(16),
    timeoutMs,
    tuning: DEFAULT_TUNING,
    failureTimeoutMs: 3000,
    sharedMemory: 0,
    ...nowhere,
  }
  return meetAtPort(place, tcp, { signal })
}

async function fail(promise: Promise<MeetingAtPort>): Promise<void> {
  const [outcome] = await Promise.allSettled([promise])
  if (outcome.status === 'fulfilled') throw new Error('met nobody, and yet met')
}

if (mode === 'refused') await fail(join(1, 300))
if (mode === 'timeout') await fail(join(0, 300))
if (mode === 'aborted') await fail(join(0, 60_000, AbortSignal.timeout(200)))
if (mode === 'met' || mode === 'forgotten') {
  const meetings = await Promise.all([join(0, 60_000), join(1, 60_000)])
  for (const meeting of meetings) {
    // A port whose owner forgets it must be unreferenced by that owner; the store is so by itself.
    if (mode === 'forgotten') meeting.port.unref()
    else await meeting.leave()
  }
}
const settledAt = performance.now()
process.on('exit', () => {
  const lateMs = performance.now() - settledAt
  console.log(lateMs < 2000 ? 'done in time' : `something kept the process for ${lateMs} ms`)
})
