import { text } from 'node:stream/consumers'
import test from 'ava'
import { LinePrefixer } from '../../ts/src/cli/run/line-prefixer.ts'
import { fc } from '../_property.ts'

async function prefixed(chunks: readonly Buffer[]): Promise<string> {
  const prefixer = new LinePrefixer('[7] ')
  for (const chunk of chunks) prefixer.write(chunk)
  prefixer.end()
  return text(prefixer)
}

test('whole lines, empty lines and an unfinished last one', async (t) => {
  t.is(await prefixed([Buffer.from('a\n\nb')]), '[7] a\n[7] \n[7] b\n')
  t.is(await prefixed([Buffer.from('a\n')]), '[7] a\n')
  t.is(await prefixed([]), '')
})

test('cuts anywhere, also within a character, change nothing', async (t) => {
  const lines = fc.array(fc.string({ unit: 'grapheme' }).map((line) => line.replaceAll('\n', '')))
  const cuts = fc.array(fc.nat(200), { maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(lines, cuts, async (content, positions) => {
      const bytes = Buffer.from(content.map((line) => `${line}\n`).join(''))
      const edges = [0, ...positions.map((p) => Math.min(p, bytes.length)).sort((a, b) => a - b), bytes.length]
      const chunks = edges.slice(1).map((end, i) => bytes.subarray(edges[i], end))
      t.is(await prefixed(chunks), content.map((line) => `[7] ${line}\n`).join(''))
    }),
  )
})

test('a line goes out only when it is whole', (t) => {
  const prefixer = new LinePrefixer('> ')
  prefixer.write('unfin')
  t.is(prefixer.read(), null)
  prefixer.write('ished\nnext')
  t.is(String(prefixer.read()), '> unfinished\n')
})
