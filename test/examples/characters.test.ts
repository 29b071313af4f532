/** The example with jax-js as people run it, on a small text; and how it finds its own in a package of Debian. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import test from 'ava'
import { compile, runAdasum } from '../cli/_adasum.ts'
import { folderWith, ROOT } from '../_user-folder.ts'

const EXAMPLE = join(ROOT, 'examples', 'characters')
const TRAIN = join(EXAMPLE, 'train.mjs')
const { textOf } = (await import(join(EXAMPLE, 'debian-text.mjs'))) as { textOf: (database: Buffer) => string }
const { readOptions } = (await import(join(EXAMPLE, 'options.mjs'))) as { readOptions: (args: string[]) => object }

test.before(compile)

test('four processes learn a small text: the loss falls, and the model writes in its letters', async (t) => {
  const folder = folderWith(t, { 'text.txt': 'abc '.repeat(200) })
  const args = ['--text', join(folder, 'text.txt'), '--steps', '20', '--batch', '2', '--rate', '0.01', '--sample', '40']
  const { exitCode, stdout, stderr } = await runAdasum(t, ['run', '-n', '4', TRAIN, ...args], { cwd: ROOT })
  t.is(exitCode, 0, stderr)
  t.regex(stdout, /800 characters, 4 different ones; \d+ weights, 4 ranks/)
  const losses = [...stdout.matchAll(/step (\d+) of 20 {3}loss (\S+) /g)].map(([, step, loss]) => [Number(step), Number(loss)]) // prettier-ignore
  t.deepEqual(losses.map(([step]) => step), [1, 10, 20]) // prettier-ignore
  t.true(losses[2]![1]! < losses[0]![1]! / 4, stdout)
  const sample = stdout.trimEnd().split('\n').at(-1)!
  t.regex(sample, /^\[0\] [abc ]{38,40}$/)
  t.true(sample.includes('abc abc abc'), sample)
})

test('a text that is too short is said in a sentence, and all ranks end', async (t) => {
  const folder = folderWith(t, { 'short.txt': 'too short', 'empty.txt': '' })
  const cases: [string[], RegExp][] = [
    [['--text', join(folder, 'short.txt')], /the text has 9 characters; each rank needs more than 64/],
    [['--text', join(folder, 'empty.txt')], /empty\.txt is empty/],
  ]
  for (const [args, message] of cases) {
    const { exitCode, stderr } = await runAdasum(t, ['run', '-n', '2', TRAIN, ...args], { cwd: ROOT })
    t.is(exitCode, 1)
    t.regex(stderr, message)
  }
})

test('options are checked', (t) => {
  t.deepEqual(readOptions(['--steps', '3', '--text', 'a']), { help: false, text: 'a', steps: 3, batch: 8, rate: 0.003, sample: 300 }) // prettier-ignore
  t.throws(() => readOptions(['--steps', '0']), { message: /--steps is 0; it must be a whole number of at least 1/ })
  t.throws(() => readOptions(['--rate', 'x']), { message: /--rate is x; it must be a number between 0 and 1/ })
  t.throws(() => readOptions(['--size', '3']), { message: /--size/ })
})

/** A value as R writes it. */
function record(...values: (number | string)[]): Buffer {
  const bytes = values.map((value) => {
    if (typeof value === 'string') return Buffer.from(value)
    const word = Buffer.alloc(4)
    word.writeInt32BE(value)
    return word
  })
  const body = Buffer.concat([Buffer.from('X\n'), ...bytes])
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length)
  return Buffer.concat([length, deflateSync(body)])
}

test('strings of a database of R, of both versions of its format, are lines', (t) => {
  const third = record(3, 0x40201, 0x30500, 5, 'UTF-8', 16, 2, 0x40009, 4, 'EMMA', 0x40009, 0, '')
  const second = record(2, 0x40201, 0x20300, 0x10, 1, 0x40009, 5, 'naïf', 0x40009)
  const numbers = record(3, 0x40201, 0x30500, 5, 'UTF-8', 13, 1, 7)
  t.is(textOf(Buffer.concat([third, numbers, second])), 'EMMA\n\nnaïf\n')
  t.throws(() => textOf(record(2, 0, 0, 16, 1, 13, 1, 7)), { message: /not what it was/ })
})

test('without apt-get the error says what to do', async (t) => {
  const folder = folderWith(t, {})
  const { debianText } = (await import(join(EXAMPLE, 'debian-text.mjs'))) as { debianText: (folder: string) => string }
  const path = process.env['PATH']
  process.env['PATH'] = folder
  t.teardown(() => (process.env['PATH'] = path))
  t.throws(() => debianText(join(folder, 'kept')), {
    message: /apt-get is not on this machine\. Pass a text of your own: --text FILE\./,
  })
  writeFileSync(join(folder, 'kept', 'austen.txt'), 'kept')
  t.is(debianText(join(folder, 'kept')), 'kept')
})
