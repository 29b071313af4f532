/** Runs a target once, and finds out whether anything is wrong. */
import { getHeapStatistics } from 'node:v8'
import { reasonOf } from '../../ts/src/errors.ts'
import { Fault, ensure, type Target } from './_target.ts'

/** How much memory an input may take, and how much more for each of its bytes. */
const MOST_GROWTH = 32 << 20
const MOST_GROWTH_A_BYTE = 256
/** How long the process may compute for one: by the clock, other processes would count. */
const LONGEST_MS = 2000

/**
 * @returns whether the input was accepted
 * @throws Fault for whatever the parser must not do
 */
export async function judge(target: Target, input: Uint8Array): Promise<boolean> {
  // The input itself must stay as it was: it is what is reported, and tried again.
  const given = Uint8Array.from(input)
  const [memory, computedMs] = [memoryInUse(), computingMs()]
  let isAccepted: boolean
  try {
    const outcome = target.run(given)
    isAccepted = typeof outcome === 'boolean' ? outcome : await outcome
  } catch (error) {
    if (error instanceof Fault) throw error
    throw new Fault(`it threw: ${reasonOf(error)}`, { cause: error })
  }
  const [growth, tookMs] = [memoryInUse() - memory, computingMs() - computedMs]
  const most = MOST_GROWTH + MOST_GROWTH_A_BYTE * input.length
  ensure(growth <= most, () => `it took ${growth} bytes of memory for an input of ${input.length}, of at most ${most}`)
  ensure(tookMs <= LONGEST_MS, () => `it took ${Math.round(tookMs)} ms, of at most ${LONGEST_MS}`)
  ensure(Buffer.compare(given, input) === 0, 'it changed the bytes that it was given')
  return isAccepted
}

/** Arrays and objects, collected or not. */
function memoryInUse(): number {
  const { used_heap_size: objects, external_memory: arrays } = getHeapStatistics()
  return objects + arrays
}

function computingMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
