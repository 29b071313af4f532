import test from 'ava'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AdasumError, type ErrorCode } from '../../ts/src/errors.ts'
import { resolvePlace } from '../../ts/src/rendezvous/environment.ts'
import type { ConnectOptions } from '../../ts/src/connect-options.ts'

type Environment = Record<string, string>

const OWN = { ADASUM_RANK: '1', ADASUM_SIZE: '4', ADASUM_STORE: '10.0.0.1:29500' }
const LAUNCHER = { RANK: '2', WORLD_SIZE: '8', MASTER_ADDR: 'node0', MASTER_PORT: '29400' }
const TORCHRUN = { ...LAUNCHER, TORCHELASTIC_USE_AGENT_STORE: 'True', TORCHELASTIC_RUN_ID: 'none' }

test('nothing set is a world of one', (t) => {
  const place = resolvePlace({}, {})
  t.like(place, { rank: 0, size: 1, store: undefined, hostsStore: false, secret: '', host: undefined })
  t.like(place, { localRank: 0, localSize: 1, timeoutMs: 60_000 })
  t.is(resolvePlace({}, { ADASUM_SECRET: 'k', ADASUM_HOST: '10.0.0.2' }).size, 1)
})

test('options come before ADASUM_*, and these before the launcher’s', (t) => {
  const store = { host: '10.0.0.1', ports: [29500] }
  t.like(resolvePlace({}, OWN), { rank: 1, size: 4, store, hostsStore: false })
  t.like(resolvePlace({}, LAUNCHER), { rank: 2, size: 8, store: { host: 'node0', ports: [29400] } })
  t.like(resolvePlace({}, { ...LAUNCHER, ...OWN }), { rank: 1, size: 4, store })
  t.like(resolvePlace({ rank: 0, size: 2, store: '[::1]:7' }, { ...LAUNCHER, ...OWN }), {
    rank: 0,
    size: 2,
    store: { host: '::1', ports: [7] },
  })
  t.like(resolvePlace({ rank: 3 }, OWN), { rank: 3, size: 4, store })
  t.like(resolvePlace({}, { ...LAUNCHER, ADASUM_STORE: '10.0.0.1:29500' }), { rank: 2, size: 8, store })
  t.is(resolvePlace({ host: '10.0.0.3' }, { ...OWN, ADASUM_HOST: '10.0.0.2' }).host, '10.0.0.3')
})

test('the limit for a sign of life: the option, then the variable, then the default', (t) => {
  const limit = (failureTimeoutMs?: number, variable?: string): number =>
    resolvePlace(
      { ...(failureTimeoutMs !== undefined && { failureTimeoutMs }) },
      { ...OWN, ...(variable !== undefined && { ADASUM_FAILURE_TIMEOUT_MS: variable }) },
    ).failureTimeoutMs
  t.deepEqual([limit(), limit(100), limit(2 ** 31 - 1, '5'), limit(undefined, '100')], [3000, 100, 2 ** 31 - 1, 100])
  for (const wrong of [99, 0, -1, 2 ** 31, NaN, Infinity, '3000', null, [3000]])
    t.throws(() => limit(wrong as number), { code: 'ERR_ARGUMENT', message: /"failureTimeoutMs" must be from 100 to/ })
  for (const wrong of ['99', '3 s', '-1', '1e4', '2147483648', '0x1000'])
    t.throws(() => limit(undefined, wrong), { code: 'ERR_ENVIRONMENT', message: /ADASUM_FAILURE_TIMEOUT_MS must be/ })
})

test('a machine may be named, by the option before the variable', (t) => {
  const machineOf = (options: ConnectOptions, env: Environment) => resolvePlace(options, { ...OWN, ...env }).machine
  t.is(machineOf({}, {}), undefined)
  t.regex(machineOf({ machine: 'rack 3' }, {})!, /^[0-9a-f]{32}$/)
  t.is(machineOf({ machine: 'rack 3' }, { ADASUM_MACHINE: 'rack 4' }), machineOf({}, { ADASUM_MACHINE: 'rack 3' }))
  t.not(machineOf({ machine: 'rack 3' }, {}), machineOf({ machine: 'rack 4' }, {}))
  t.throws(() => machineOf({ machine: '' }, {}), { code: 'ERR_ARGUMENT', message: /option "machine" .* is empty/ })
  t.throws(() => machineOf({ machine: 3 as never }, {}), { message: /a name of this machine, but it is 3/ })
  t.throws(() => machineOf({}, { ADASUM_MACHINE: '' }), { code: 'ERR_ENVIRONMENT' })
  t.is(resolvePlace({}, { ADASUM_MACHINE: 'rack 3' }).size, 1)
})

test('where the store listens may be said, by the option before the variable', (t) => {
  const listenOf = (options: ConnectOptions, env: Environment) => resolvePlace(options, { ...OWN, ...env }).listen
  t.is(listenOf({}, {}), undefined)
  t.is(listenOf({}, { ADASUM_LISTEN: '::' }), '::')
  t.is(listenOf({ listen: '0.0.0.0' }, { ADASUM_LISTEN: '::' }), '0.0.0.0')
  for (const host of ['10.0.0.1', 'node-0.job.svc', 'fe80::1%eth0', '::1', 'localhost'])
    t.is(listenOf({ listen: host }, {}), host)
  // It says nothing about a world.
  t.is(resolvePlace({ listen: '::' }, {}).size, 1)
})

test('rank 0 hosts the store unless the launcher does', (t) => {
  const zero = { ...OWN, ADASUM_RANK: '0' }
  t.true(resolvePlace({}, zero).hostsStore)
  t.false(resolvePlace({}, { ...zero, ADASUM_STORE_HOST: 'launcher' }).hostsStore)
  t.false(resolvePlace({}, OWN).hostsStore)
  t.false(resolvePlace({ rank: 0, size: 1 }, {}).hostsStore)
})

test('under torchrun the store keeps off the agent’s port', (t) => {
  const { store } = resolvePlace({}, TORCHRUN)
  t.deepEqual(store?.ports, [29401, 29402, 29403, 29404, 29405, 29406, 29407, 29408])
  t.deepEqual(resolvePlace({}, { ...TORCHRUN, ADASUM_PORT: '3000' }).store?.ports, [3000])
  const top = resolvePlace({}, { ...TORCHRUN, MASTER_PORT: '65535' }).store!.ports
  t.true(top.every((port) => port > 65500 && port < 65535))
  t.deepEqual(resolvePlace({}, { ...TORCHRUN, TORCHELASTIC_USE_AGENT_STORE: 'False' }).store?.ports, [29400])
})

test('a torchrun job, and each restart of it, has an id of its own', (t) => {
  const id = (change: Environment) => Buffer.from(resolvePlace({}, { ...TORCHRUN, ...change }).jobId).toString('hex')
  const ids = [
    id({}),
    id({ TORCHELASTIC_RESTART_COUNT: '1' }),
    id({ TORCHELASTIC_RUN_ID: 'x' }),
    id({ MASTER_PORT: '29500' }),
    id({ MASTER_ADDR: 'node1' }),
  ]
  t.is(new Set(ids).size, ids.length)
  t.is(id({ RANK: '5', LOCAL_RANK: '1' }), ids[0]!)
  t.deepEqual(resolvePlace({}, OWN).jobId, new Uint8Array(16))
})

test('local rank and size are the launcher’s, if it says', (t) => {
  t.like(resolvePlace({}, OWN), { localRank: undefined, localSize: undefined })
  t.like(resolvePlace({}, { ...OWN, ADASUM_LOCAL_RANK: '1', ADASUM_LOCAL_SIZE: '2' }), { localRank: 1, localSize: 2 })
  t.like(resolvePlace({}, { ...LAUNCHER, LOCAL_RANK: '0', LOCAL_WORLD_SIZE: '4' }), { localRank: 0, localSize: 4 })
  // Another launcher's local rank says nothing about ranks that it did not give.
  const theirs = { LOCAL_RANK: '0', LOCAL_WORLD_SIZE: '4' }
  for (const env of [OWN, { ...LAUNCHER, ...OWN }])
    t.like(resolvePlace({}, { ...env, ...theirs }), { localRank: undefined, localSize: undefined })
  t.like(resolvePlace({ rank: 1 }, { ...LAUNCHER, ...theirs }), { localRank: undefined })
})

const refusals: [string, ErrorCode, RegExp, ConnectOptions, Environment][] = [
  ['size missing', 'ERR_ENVIRONMENT', /ADASUM_SIZE is missing/, {}, { ADASUM_RANK: '1', ADASUM_STORE: 'h:1' }],
  ['rank missing', 'ERR_ENVIRONMENT', /ADASUM_RANK is missing/, {}, { ADASUM_SIZE: '2', ADASUM_STORE: 'h:1' }],
  ['store missing', 'ERR_ENVIRONMENT', /ADASUM_STORE is missing/, {}, { ADASUM_RANK: '1', ADASUM_SIZE: '2' }],
  ['only a store', 'ERR_ENVIRONMENT', /ADASUM_RANK is missing/, {}, { ADASUM_STORE: 'h:1' }],
  [
    'WORLD_SIZE missing',
    'ERR_ENVIRONMENT',
    /WORLD_SIZE is missing/,
    {},
    { RANK: '0', MASTER_ADDR: 'h', MASTER_PORT: '1' },
  ],
  ['RANK missing', 'ERR_ENVIRONMENT', / RANK is missing/, {}, { WORLD_SIZE: '2', MASTER_ADDR: 'h', MASTER_PORT: '1' }],
  ['only a master', 'ERR_ENVIRONMENT', / RANK is missing/, {}, { MASTER_ADDR: 'h', MASTER_PORT: '1' }],
  ['MASTER_ADDR missing', 'ERR_ENVIRONMENT', /MASTER_ADDR is missing/, {}, { RANK: '0', WORLD_SIZE: '2' }],
  [
    'MASTER_PORT missing',
    'ERR_ENVIRONMENT',
    /MASTER_PORT is missing/,
    {},
    { RANK: '0', WORLD_SIZE: '2', MASTER_ADDR: 'h' },
  ],
  ['pairs are not mixed', 'ERR_ENVIRONMENT', /ADASUM_SIZE is missing/, {}, { ...LAUNCHER, ADASUM_RANK: '1' }],
  ['option size missing', 'ERR_ARGUMENT', /option "size" is missing/, { rank: 1 }, {}],
  ['option rank missing', 'ERR_ARGUMENT', /option "rank" is missing/, { size: 2, store: 'h:1' }, {}],
  ['option store missing', 'ERR_ARGUMENT', /option "store" is missing/, { rank: 0, size: 2 }, {}],
  ['option and variable', 'ERR_ENVIRONMENT', /ADASUM_SIZE is missing/, { store: 'h:1' }, { ADASUM_RANK: '0' }],
  ['rank no number', 'ERR_ENVIRONMENT', /ADASUM_RANK .*"one"/, {}, { ...OWN, ADASUM_RANK: 'one' }],
  ['rank empty', 'ERR_ENVIRONMENT', /ADASUM_RANK .*""/, {}, { ...OWN, ADASUM_RANK: '' }],
  ['rank negative', 'ERR_ENVIRONMENT', /RANK .*"-1"/, {}, { ...LAUNCHER, RANK: '-1' }],
  ['rank a fraction', 'ERR_ENVIRONMENT', /ADASUM_RANK .*"1.5"/, {}, { ...OWN, ADASUM_RANK: '1.5' }],
  ['option rank a fraction', 'ERR_ARGUMENT', /"rank" .* 1\.5/, { rank: 1.5 }, OWN],
  ['option size NaN', 'ERR_ARGUMENT', /"size" .* NaN/, { size: NaN }, OWN],
  ['rank too large', 'ERR_WORLD_SIZE', /rank is 4 \(ADASUM_RANK\) in a world of 4/, {}, { ...OWN, ADASUM_RANK: '4' }],
  ['option rank too large', 'ERR_ARGUMENT', /rank is 4 .* 0 to 3/, { rank: 4 }, OWN],
  ['size zero', 'ERR_WORLD_SIZE', /world size is 0/, {}, { ...OWN, ADASUM_SIZE: '0' }],
  ['size 1025', 'ERR_WORLD_SIZE', /world size is 1025 .* 1 to 1024/, {}, { ...OWN, ADASUM_SIZE: '1025' }],
  ['store without a port', 'ERR_ENVIRONMENT', /ADASUM_STORE .*"host"/, {}, { ...OWN, ADASUM_STORE: 'host' }],
  ['store at port 0', 'ERR_ENVIRONMENT', /ADASUM_STORE .*"h:0"/, {}, { ...OWN, ADASUM_STORE: 'h:0' }],
  ['option store', 'ERR_ARGUMENT', /"store" .*"::1:80"/, { store: '::1:80' }, OWN],
  ['MASTER_PORT', 'ERR_ENVIRONMENT', /MASTER_PORT .* 70000/, {}, { ...LAUNCHER, MASTER_PORT: '70000' }],
  ['ADASUM_PORT', 'ERR_ENVIRONMENT', /ADASUM_PORT .*"x"/, {}, { ...TORCHRUN, ADASUM_PORT: 'x' }],
  ['host empty', 'ERR_ENVIRONMENT', /ADASUM_HOST is empty/, {}, { ...OWN, ADASUM_HOST: '' }],
  ['listen empty', 'ERR_ENVIRONMENT', /ADASUM_LISTEN is empty/, {}, { ...OWN, ADASUM_LISTEN: '' }],
  [
    'listen with a port',
    'ERR_ENVIRONMENT',
    /ADASUM_LISTEN .* without a port .*"a:1"/,
    {},
    { ...OWN, ADASUM_LISTEN: 'a:1' },
  ],
  ['option listen with a port', 'ERR_ARGUMENT', /"listen" .* without a port .*"\[::\]:80"/, { listen: '[::]:80' }, OWN],
  ['option listen empty', 'ERR_ARGUMENT', /"listen" .*""$/, { listen: '' }, OWN],
  ['option listen a number', 'ERR_ARGUMENT', /"listen" .* 7$/, { listen: 7 as never }, OWN],
  ['secret empty', 'ERR_ENVIRONMENT', /ADASUM_SECRET is empty/, {}, { ...OWN, ADASUM_SECRET: '' }],
  ['option secret empty', 'ERR_ARGUMENT', /"secret"/, { secret: '' }, OWN],
  [
    'secret file absent',
    'ERR_ENVIRONMENT',
    /ADASUM_SECRET_FILE.*ENOENT/,
    {},
    { ...OWN, ADASUM_SECRET_FILE: '/no/such' },
  ],
  ['timeout zero', 'ERR_ARGUMENT', /timeoutMs.* 0/, { timeoutMs: 0 }, OWN],
  ['timeout in words', 'ERR_ARGUMENT', /timeoutMs.* is 500;/, { timeoutMs: '500' as never }, OWN],
  ['option host a number', 'ERR_ARGUMENT', /"host" must be an address.* 7$/, { host: 7 as never }, OWN],
  ['option host null', 'ERR_ARGUMENT', /"host" must be an address.* null$/, { host: null as never }, OWN],
  ['option host empty', 'ERR_ARGUMENT', /"host" must be an address.* empty$/, { host: '' }, OWN],
  ['an option misspelt', 'ERR_ARGUMENT', /no option "rnak"\. .*rank, size, store, secret, /, { rnak: 7 } as never, {}],
  ['an inherited name', 'ERR_ARGUMENT', /no option "toString"/, { toString: 7 } as never, {}],
  ['options null', 'ERR_ARGUMENT', /options must be an object; got null/, null as never, {}],
  ['options a string', 'ERR_ARGUMENT', /must be an object; got a string/, 'x' as never, {}],
  ['options a number', 'ERR_ARGUMENT', /must be an object; got a number/, 5 as never, {}],
  ['options an array', 'ERR_ARGUMENT', /must be an object; got a plain array/, [] as never, {}],
  ['timeout NaN', 'ERR_ARGUMENT', /timeoutMs.* NaN/, { timeoutMs: NaN }, OWN],
  ['half a local place', 'ERR_ENVIRONMENT', /ADASUM_LOCAL_SIZE is missing/, {}, { ...OWN, ADASUM_LOCAL_RANK: '0' }],
  [
    'local rank too large',
    'ERR_ENVIRONMENT',
    /ADASUM_LOCAL_RANK is 2, but ADASUM_LOCAL_SIZE is 2/,
    {},
    { ...OWN, ADASUM_LOCAL_RANK: '2', ADASUM_LOCAL_SIZE: '2' },
  ],
]

for (const [name, code, words, options, env] of refusals)
  test(`refused: ${name}`, (t) => {
    const error = t.throws(() => resolvePlace(options, { ...env }), { instanceOf: AdasumError })
    t.is(error?.code, code)
    t.regex(error?.message ?? '', words)
  })

test('the secret leaves the environment and stays usable', (t) => {
  const env: Environment = { ...OWN, ADASUM_SECRET: 'first' }
  t.is(resolvePlace({}, env).secret, 'first')
  t.false('ADASUM_SECRET' in env)
  t.is(resolvePlace({}, env).secret, 'first')
  t.is(resolvePlace({ secret: 'mine' }, env).secret, 'mine')
  t.is(resolvePlace({}, env).secret, 'first')
  env['ADASUM_SECRET'] = 'second'
  t.is(resolvePlace({}, env).secret, 'second')
  t.is(resolvePlace({}, env).secret, 'second')
  t.is(resolvePlace({}, { ...OWN }).secret, '', 'another environment knows nothing of it')
})

test('an environment that is refused for something else has given up its secret, too', (t) => {
  const env: Environment = { ADASUM_SECRET: 'k', ADASUM_RANK: '0' }
  t.throws(() => resolvePlace({}, env))
  t.false('ADASUM_SECRET' in env)
})

test('a secret file is read without its last line break', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'adasum-secret-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const path = join(folder, 'secret')
  await writeFile(path, 'from a file \r\n')
  const env: Environment = { ...OWN, ADASUM_SECRET_FILE: path }
  t.is(resolvePlace({}, env).secret, 'from a file ')
  await rm(path)
  t.is(resolvePlace({}, env).secret, 'from a file ')
  await writeFile(path, '\n')
  t.is(
    t.throws(() => resolvePlace({}, { ...OWN, ADASUM_SECRET_FILE: path }), { instanceOf: AdasumError })?.code,
    'ERR_ENVIRONMENT',
  )
})

test('shared memory: on, off, or so many bytes; the option comes first', (t) => {
  const limit = (sharedMemory?: boolean | number, variable?: string): number =>
    resolvePlace(
      { ...(sharedMemory !== undefined && { sharedMemory }) },
      { ...OWN, ...(variable !== undefined && { ADASUM_SHARED_MEMORY: variable }) },
    ).sharedMemory
  t.is(limit(), Infinity)
  t.deepEqual([limit(true), limit(false), limit(1e6)], [Infinity, 0, 1e6])
  t.deepEqual([limit(undefined, '1'), limit(undefined, '0'), limit(undefined, '1000000')], [Infinity, 0, 1e6])
  t.is(limit(false, '1'), 0)
  for (const wrong of [65_535, -1, NaN, Infinity, 1e5 + 0.5, '1', null])
    t.throws(() => limit(wrong as number), { code: 'ERR_ARGUMENT', message: /option "sharedMemory" must be false/ })
  for (const wrong of ['', 'yes', '65535', '1e6', '-1'])
    t.throws(() => limit(undefined, wrong), { code: 'ERR_ENVIRONMENT', message: /ADASUM_SHARED_MEMORY/ })
})
