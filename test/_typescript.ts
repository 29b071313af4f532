/** Arguments of Node.js for a process that runs a script in TypeScript over the sources, as the tests themselves do. */
export const TYPESCRIPT_ARGS: readonly string[] = [
  '--conditions=adasum-source',
  `--import=${new URL('typescript/register.mjs', import.meta.url).href}`,
]
