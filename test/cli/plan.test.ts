/** What `adasum run` makes of its command line, without starting anything. */
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import test from 'ava'
import { planLaunch } from '../../ts/src/cli/run/plan.ts'
import { loaderOptions } from '../../ts/src/cli/run/script.ts'
import { threadVariables } from '../../ts/src/cli/run/share-of-machine.ts'
import { readSecret } from '../../ts/src/rendezvous/secret.ts'
import { folderWith } from '../_user-folder.ts'

test('a file is read as the same secret by --secret-file and by ADASUM_SECRET_FILE', async (t) => {
  const contents = { plain: 'k', line: 'k\n', windows: 'k\r\n', spaces: '  k \n', lines: 'k\n\n' }
  const folder = folderWith(t, { ...contents, 'script.mjs': '' })
  for (const name of Object.keys(contents)) {
    const secretFile = join(folder, name)
    const options = { ranks: 2, nodes: 1, node: 0, nodeOption: [], secretFile }
    const { secret } = await planLaunch(join(folder, 'script.mjs'), [], options, {})
    t.is(secret, readSecret(undefined, { ADASUM_SECRET_FILE: secretFile }), name)
  }
})

test('the store listens elsewhere than at its address only if that was given', async (t) => {
  const folder = folderWith(t, { 'script.mjs': '' })
  const plan = (options: object, env: NodeJS.ProcessEnv = {}) =>
    planLaunch(join(folder, 'script.mjs'), [], { ranks: 2, nodes: 1, node: 0, nodeOption: [], ...options }, env)
  const store = '198.51.100.7:29500'
  t.is((await plan({ store, listen: '0.0.0.0' })).listen, '0.0.0.0')
  t.is((await plan({ store, listen: '::' }, { ADASUM_LISTEN: '0.0.0.0' })).listen, '::')
  t.is((await plan({ store }, { ADASUM_LISTEN: '0.0.0.0' })).listen, '0.0.0.0')
  t.is((await plan({}, { ADASUM_LISTEN: '0.0.0.0' })).listen, undefined)
  await t.throwsAsync(plan({ listen: '0.0.0.0' }), { message: /^--listen 0\.0\.0\.0 needs --store host:port/ })
  await t.throwsAsync(plan({ store, listen: '0.0.0.0:80' }), {
    message: /^--listen must be an address .* without a port/,
  })
  await t.throwsAsync(plan({ store }, { ADASUM_LISTEN: 'a b' }), { message: /^ADASUM_LISTEN must be an address/ })
})

test('TypeScript runs through tsx where it is installed, else by Node.js itself where that strips types', (t) => {
  const tsx = { 'node_modules/tsx/package.json': '{"exports":"./loader.mjs"}', 'node_modules/tsx/loader.mjs': '' }
  const [withTsx, without] = [folderWith(t, tsx), folderWith(t, {})]
  const loader = pathToFileURL(resolve(withTsx, 'node_modules/tsx/loader.mjs')).href
  for (const name of ['a.ts', 'a.mts', 'a.cts', 'a.tsx'])
    for (const stripsTypes of [true, false])
      t.deepEqual(loaderOptions(`/project/${name}`, withTsx, stripsTypes), ['--import', loader], name)
  for (const name of ['a.ts', 'a.mts', 'a.cts']) t.deepEqual(loaderOptions(`/project/${name}`, without, true), [])
  const refused = { message: /is TypeScript, .* tsx is not installed here: run npm install --save-dev tsx$/ }
  t.throws(() => loaderOptions('/project/a.ts', without, false), refused)
  t.throws(() => loaderOptions('/project/a.tsx', without, true), refused)
  for (const name of ['a.mjs', 'a.js', 'ts']) t.deepEqual(loaderOptions(`/project/${name}`, withTsx, false), [])
})

test('ranks share the cores in whole threads, at least one each', (t) => {
  for (const [cores, ranks, share] of [
    [16, 1, '16'],
    [16, 3, '5'],
    [16, 16, '1'],
    [16, 17, '1'],
    [1, 2, '1'],
  ] as const)
    // prettier-ignore
    t.deepEqual(threadVariables(cores, ranks, {}), { TF_NUM_INTRAOP_THREADS: share, TF_NUM_INTEROP_THREADS: share })
  const both = { TF_NUM_INTRAOP_THREADS: '', TF_NUM_INTEROP_THREADS: '0' }
  t.deepEqual(threadVariables(4, 2, both), {})
})
