import { compileAll } from './test/typescript/compile.mjs'

await compileAll(['ts/src', 'test', 'studies'])

export default {
  files: ['test/**/*.test.ts'],
  extensions: { ts: 'module' },
  nodeArguments: [
    '--conditions=adasum-source',
    `--import=${new URL('./test/typescript/register.mjs', import.meta.url)}`,
  ],
  // The tests load a native addon, fork processes and open many sockets: processes, not threads.
  workerThreads: false,
  // For a look at some files; `npm test` runs several at once.
  concurrency: 1,
  // Between two results, for the whole run. A test that calls t.timeout switches this off for good: if the time is up
  // within that test's own, ava ignores it and does not set it again.
  timeout: '3m',
}
