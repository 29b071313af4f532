/** `adasum run` in a terminal, which util-linux's `script` plays: colours, and what Ctrl-C does. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { execa } from 'execa'
import { ROOT, folderWith } from '../_user-folder.ts'
import { compile, waitUntil } from './_adasum.ts'

test.before(compile)

// The BSD tool of the same name has other options.
const hasScript = spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') ?? false
const terminalTest = (title: string, run: (t: ExecutionContext) => Promise<void>): void => {
  if (hasScript) test.serial(title, run)
  else test.serial.skip(`${title} (the program script of util-linux is not installed)`, run)
}

/** Runs the command line in a terminal; `output` is what the terminal shows. */
function inTerminal(t: ExecutionContext, script: string, options: string) {
  const cwd = folderWith(t, { 'script.mjs': script })
  const command = `exec '${process.execPath}' '${join(ROOT, 'bin', 'adasum.js')}' run ${options} script.mjs`
  // Under CI Node.js takes a terminal for one without colours.
  const { FORCE_COLOR: _force, NO_COLOR: _no, CI: _ci, ...env } = process.env
  const child = execa('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
    cwd,
    env: { ...env, TERM: 'xterm-256color', COLORTERM: '' },
    extendEnv: false,
    reject: false,
    stdin: 'pipe',
  })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString().replaceAll('\r', '')))
  return { child, output: () => output }
}

const SHOW_TERMINAL = `console.log(\`\${process.env.FORCE_COLOR ?? 'unset'} \${process.stdout.isTTY ?? false}\`)`

terminalTest('ranks behind prefixes are told to keep their colours', async (t) => {
  const { child, output } = inTerminal(t, SHOW_TERMINAL, '-n 2')
  t.is((await child).exitCode, 0)
  t.deepEqual(output().trimEnd().split('\n').sort(), ['[0] 2 false', '[1] 2 false'])
})

terminalTest('--only gives its rank the terminal itself', async (t) => {
  const { child, output } = inTerminal(t, SHOW_TERMINAL, '-n 2 --only 1')
  t.is((await child).exitCode, 0)
  t.is(output(), '2 true\n')
})

terminalTest('Ctrl-C reaches every rank once', async (t) => {
  const script = `
let count = 0
process.on('SIGINT', () => {
  count += 1
  setTimeout(() => { console.log('interrupts ' + count); process.exit(0) }, 300)
})
console.log('ready')
setInterval(() => {}, 1000)`
  const { child, output } = inTerminal(t, script, '-n 2')
  await waitUntil(() => output().split('ready').length === 3, 'both ranks are ready')
  child.stdin.write('\u0003')
  t.is((await child).exitCode, 0)
  t.deepEqual(
    [...output().matchAll(/interrupts (\d+)/g)].map(([, count]) => count),
    ['1', '1'],
  )
})
