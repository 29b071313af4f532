/** The README's first minute: its program prints what the README shows, to the last digit. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import test from 'ava'
import { execa } from 'execa'
import { ROOT, folderWith, installPackages } from '../_user-folder.ts'

interface FirstMinute {
  install: string
  program: string
  command: string
  output: string
}

const LIMIT_MS = 90_000
const { firstMinuteOf } = (await import(join(ROOT, 'scripts', 'lib', 'first-minute.mjs'))) as {
  firstMinuteOf: (readme: string) => FirstMinute
}
const README = readFileSync(join(ROOT, 'README.md'), 'utf8')

test.before(() => {
  execFileSync(process.execPath, [join(ROOT, 'scripts', 'setup.mjs'), 'all'], { stdio: 'inherit' })
})

test('the program prints what the README shows', async (t) => {
  const { install, program, command, output } = firstMinuteOf(README)
  t.is(install, 'npm install adasum', 'nothing else is needed')
  const folder = folderWith(t, { 'train.mjs': program })
  installPackages(folder)
  const env = { PATH: [join(folder, 'node_modules', '.bin'), process.env['PATH']].join(delimiter) }
  const { exitCode, stdout, stderr } = await execa('bash', ['-c', command], {
    cwd: folder,
    reject: false,
    timeout: LIMIT_MS,
    stdin: 'ignore',
    env,
  })
  t.deepEqual({ exitCode, stderr, stdout: `${stdout}\n` }, { exitCode: 0, stderr: '', stdout: output })
})

test('what it shows is what the README says of it', (t) => {
  const [, ...rows] = firstMinuteOf(README)
    .output.trim()
    .split('\n')
    .map((line) => line.split(/\s+/).slice(1))
  t.true(rows.length >= 3)
  for (const [rate, alone, average, , adasum] of rows) {
    t.true(
      Math.abs(Number(average) / Number(alone) - 1) < 0.05,
      `at ${rate} an average takes as many steps as one rank`,
    )
    t.true(Number(adasum) < 0.8 * Number(average), `at ${rate} Adasum takes fewer steps than an average`)
  }
  t.is(rows.filter(([, , , sum]) => sum === 'diverges').length, rows.length - 1, 'a sum diverges at all rates but one')
})

test('a README without these blocks is refused', (t) => {
  t.throws(() => firstMinuteOf(README.replace('<!-- first-minute -->', '')), { message: /four blocks/ })
  t.throws(() => firstMinuteOf(''), { message: /it has: none/ })
})
