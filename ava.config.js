export default {
  files: ['test/**/*.test.ts'],
  extensions: { ts: 'module' },
  nodeArguments: ['--conditions=adasum-source', '--import=tsx'],
  // The tests load a native addon, fork processes and open many sockets: processes, not threads.
  workerThreads: false,
  concurrency: 2,
  timeout: '1m',
}
