/** The attacks of `_attacks.ts`, each at the three ports of a rank 0, as tests. */
import anyTest, { type ExecutionContext } from 'ava'
import { compile } from '../../cli/_adasum.ts'
import { seed } from '../../_property.ts'
import { sampleOf } from '../../_sample.ts'
import { ATTACKS } from './_attacks.ts'
import { type Place, PORT_NAMES, Stage, suffer } from './_stage.ts'

// One after the other: each test starts processes, and all of them want both cores.
const test = anyTest.serial

/** How many of the attacks at the ports of one place are tried; all of them under `npm run test:long`. */
const SAMPLE = 8
const MOST_MEBIBYTES = 32
/**
 * Far below what a rank needed that was kept out. On a machine that does nothing else it is less than a second, which
 * `npm run check:hostile` measures.
 */
const JOIN_LIMIT_MS = 5000

/** How much longer something takes here now than on a machine that does nothing else. */
function slowness(): number {
  const [begin, before] = [performance.now(), process.cpuUsage()]
  let spent = 0
  while (spent < 50) {
    const { user, system } = process.cpuUsage(before)
    spent = (user + system) / 1000
  }
  return Math.max(1, (performance.now() - begin) / spent)
}

/** @param attacks - their names; all of them by default */
export function testAttacks(place: Place, attacks: readonly string[] = Object.keys(ATTACKS)): void {
  let stage: Stage
  test.before(async () => {
    compile()
    stage = await Stage.open(place)
    // What joining needs once is no growth.
    for (const port of PORT_NAMES) for (let join = 0; join < 5; join++) await stage.joinMs(port)
  })
  test.after.always(() => stage?.close())

  const cases = attacks.flatMap((name) => PORT_NAMES.map((port) => [name, port] as const))
  for (const [name, port] of sampleOf(`hostile ${place.name}`, cases, SAMPLE))
    test(`${place.name}: ${name} at the port "${port}" keeps no rank out`, async (t) => {
      const untouched = stage.victim.tell('wait')
      const limitMs = JOIN_LIMIT_MS * slowness()
      const { joinMs, rssMiB } = await suffer(stage, port, await ATTACKS[name]!(stage, port, seed), 3)
      t.log(`joined in ${joinMs.map((ms) => ms.toFixed(0)).join(', ')} ms; ${rssMiB.toFixed(1)} MiB`)
      for (const ms of joinMs) t.true(ms < limitMs, `${ms} ms of ${limitMs}`)
      t.true(rssMiB < MOST_MEBIBYTES, `${rssMiB} MiB`)
      await untouched
      await checkWorld(t, stage)
    })
}

/** The array that the rank waits with is as it was, and then has what its peer sends. */
async function checkWorld(t: ExecutionContext, { comm, victim }: Stage): Promise<void> {
  t.true(await victim.tell('isUntouched'))
  await comm.send(new Float32Array(100_000).fill(2), { to: 0 })
  t.true(await victim.tell('received'))
}
