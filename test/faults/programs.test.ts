/** Random programs in which one rank deviates, over memory and over sockets, all ranks in one process. */
import { setTimeout as sleep } from 'node:timers/promises'
import anyTest from 'ava'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp } from '../../ts/src/transport/tcp.ts'
import { fc, runsOf } from '../_property.ts'
import { type World, makeWorld, onAll } from '../_world.ts'
import { type Program, judge, programs, stepsOf, timeoutMsOf } from './_programs.ts'
import { type Outcome, play } from './_steps.ts'

const test = anyTest.serial

// Sent at once, after a READY, and in slices.
const COUNTS = [24, 312, 30_000, 120_000]

async function run(world: World, program: Program): Promise<Outcome[][]> {
  const { rank, what, at, isAtOnce, delayMs } = program
  const reversed = await onAll(world.ranks, (comm) => comm.split(0, -comm.rank))
  const die = async (): Promise<void> => {
    await sleep(delayMs)
    world.kill(rank)
  }
  return Promise.all(
    world.ranks.map((comm, of) =>
      play([comm, reversed[of]!], stepsOf(program, of), {
        ...{ isAtOnce, timeoutMs: timeoutMsOf(program) },
        ...(of === rank && what === 'abort' && { abortAt: at }),
        ...(of === rank && what === 'death' && { begun: (step: number) => void (step === at && die()) }),
      }),
    ),
  )
}

for (const [name, transport, numRuns] of [
  ['memory', () => createMemoryTransport(), 40],
  ['tcp', () => tcp, 30],
] as const)
  test(`${name}: whatever one rank does, every call ends, with the right value or the one cause`, async (t) => {
    await fc.assert(
      fc.asyncProperty(programs(COUNTS), async (program) => {
        const world = await makeWorld(program.size, { transport: transport(), isConnected: false, stallMs: 60_000 })
        judge(program, await run(world, program))
        await world.close()
      }),
      { numRuns: runsOf(numRuns) },
    )
    t.pass()
  })
