/**
 * Each collective as the only one before close, over real sockets: a sample of what `npm run test:closing` does. Nothing fails, and
 * nothing stands still until some limit comes to help.
 */
import { join } from 'node:path'
import test from 'ava'
import { HAS_SHARED_MEMORY } from '../../ts/src/transport/shared-memory.ts'
import { ROOT, compile, runAdasum } from '../cli/_adasum.ts'
import { CALLS } from './_calls.mjs'

compile()

const RANK = join(ROOT, 'test', 'closing', '_rank.mjs')
/** Of the limits that would help, the shortest is shorter; but other programs may keep the cores from this one. */
const STALL_MS = 5000

const NAMES = Object.keys(CALLS)
const TRANSPORTS: [name: string, env: Record<string, string>][] = [
  ['tcp', { ADASUM_SHARED_MEMORY: '0' }],
  ...(HAS_SHARED_MEMORY ? [['shared memory', {}] as [string, Record<string, string>]] : []),
]

for (const [transport, env] of TRANSPORTS) {
  for (const [size, worlds] of [
    [2, 6],
    [4, 3],
  ] as const)
    test.serial(`${transport}, ${size} processes: ${worlds} worlds for each collective`, async (t) => {
      const args = ['run', '-n', `${size}`, RANK, `${worlds}`, `${STALL_MS}`, ...NAMES]
      const { exitCode, stdout, stderr } = await runAdasum(t, args, { cwd: ROOT, env })
      t.is(exitCode, 0, stderr)
      t.is(stdout, '')
    })

  test.serial(`${transport}: fresh processes, one world each`, async (t) => {
    for (const [size, name] of [
      [3, 'broadcast'],
      [4, 'broadcast'],
      [3, 'long group broadcast'],
      [5, 'message'],
    ] as const) {
      const args = ['run', '-n', `${size}`, RANK, '1', `${STALL_MS}`, name]
      const { exitCode, stdout, stderr } = await runAdasum(t, args, { cwd: ROOT, env })
      t.is(exitCode, 0, stderr)
      t.is(stdout, '')
    }
  })
}

test.serial('several connections for each direction', async (t) => {
  const env = { ADASUM_SHARED_MEMORY: '0', ADASUM_TUNING: '{"connectionsPerPeer":3}' }
  const args = ['run', '-n', '3', RANK, '3', `${STALL_MS}`, ...NAMES]
  const { exitCode, stdout, stderr } = await runAdasum(t, args, { cwd: ROOT, env })
  t.is(exitCode, 0, stderr)
  t.is(stdout, '')
})
