export default {
  files: ['test/**/*.test.ts'],
  extensions: { ts: 'module' },
  nodeArguments: ['--conditions=adasum-source', '--import=tsx'],
  // The tests load a native addon, fork processes and open many sockets: processes, not threads.
  workerThreads: false,
  // Files that open many sockets or start processes with deadlines must not take the cores from each other.
  concurrency: 1,
  timeout: '1m',
}
