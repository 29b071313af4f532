/** Random programs whose ranks are processes of their own, of which one is killed or stopped at a random moment. */
import { setTimeout as sleep } from 'node:timers/promises'
import anyTest, { type ExecutionContext } from 'ava'
import { fc, runsOf } from '../_property.ts'
import { ProcessWorld } from './_processes.ts'
import type { ProgramPlan, ProgramReport } from './_program-rank.ts'
import { type Program, STRIKES, judge, programs, stepsOf, timeoutMsOf } from './_programs.ts'
import type { Outcome } from './_steps.ts'
import { TYPESCRIPT_ARGS } from '../_typescript.ts'

const test = anyTest.serial

// The largest is still under way when its sender is struck.
const COUNTS = [24, 30_000, 120_000, 1_200_000]
const SCRIPT = { name: '_program-rank.ts', execArgv: [...TYPESCRIPT_ARGS] }

async function run(t: ExecutionContext, program: Program): Promise<(readonly Outcome[] | undefined)[]> {
  const { size, rank: deviant, at, isAtOnce, what, delayMs } = program
  const plan = { steps: stepsOf(program, deviant), deviant, at, isAtOnce, timeoutMs: timeoutMsOf(program) }
  const world = await ProcessWorld.start<ProgramReport, ProgramPlan>(t, size, plan, SCRIPT)
  await world.ready()
  for (const rank of world.ranks) rank.go()
  await world.deviant.begun()
  await sleep(delayMs)
  if (what === 'kill') world.deviant.kill()
  else await world.deviant.stop()
  const outcomes: (readonly Outcome[] | undefined)[] = []
  for (const other of world.others) outcomes[other.rank] = (await other.report()).outcomes
  if (what === 'stop') {
    world.deviant.resume()
    outcomes[deviant] = (await world.deviant.report()).outcomes
  }
  const alive = what === 'stop' ? world.ranks : world.others
  for (const rank of alive) rank.go()
  for (const rank of alive) t.is((await rank.ended()).exitCode, 0)
  return outcomes
}

for (const what of STRIKES)
  test(`${what}: the calls of all ranks that live end, with the right value or the one cause`, async (t) => {
    await fc.assert(
      fc.asyncProperty(programs(COUNTS, [what]), async (program) => judge(program, await run(t, program))),
      // Smaller programs would not meet the same moment.
      { numRuns: runsOf(3), endOnFailure: true },
    )
  })
