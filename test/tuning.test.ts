/** The tuning of a process: where its values come from, and what is refused. */
import { readFileSync, readdirSync } from 'node:fs'
import test from 'ava'
import { AdasumError } from '../ts/src/errors.ts'
import { resolvePlace } from '../ts/src/rendezvous/environment.ts'
import {
  DEFAULT_TUNING,
  type Tuning,
  TUNING_BOUNDS,
  TUNING_NAMES,
  formatTuning,
  resolveTuning,
  tuningFrom,
} from '../ts/src/tuning.ts'
import { fc } from './_property.ts'
import { anyTuning } from './_tuning.ts'

test('nothing given: the defaults, which lie within their bounds', (t) => {
  t.deepEqual(resolveTuning(undefined, undefined), DEFAULT_TUNING)
  t.deepEqual(tuningFrom(DEFAULT_TUNING), DEFAULT_TUNING)
  t.deepEqual(Object.keys(TUNING_BOUNDS), Object.keys(DEFAULT_TUNING))
})

test('an option counts before the environment, value by value', (t) => {
  const variable = 'directSize=3, directByteLength=100'
  t.deepEqual(resolveTuning(undefined, variable), { ...DEFAULT_TUNING, directSize: 3, directByteLength: 100 })
  const option = { directSize: 4, streamByteLength: undefined } as never
  t.deepEqual(resolveTuning(option, variable), { ...DEFAULT_TUNING, directSize: 4, directByteLength: 100 })
  const place = resolvePlace({ tuning: { directSize: 5 } }, { ADASUM_TUNING: variable })
  t.deepEqual(place.tuning, { ...DEFAULT_TUNING, directSize: 5, directByteLength: 100 })
})

test('every tuning can be written for the environment and read again', (t) => {
  fc.assert(
    fc.property(anyTuning, (tuning) => {
      t.deepEqual(resolveTuning(undefined, formatTuning(tuning)), tuning)
      t.deepEqual(resolveTuning(tuning, undefined), tuning)
      t.deepEqual(tuningFrom(JSON.parse(JSON.stringify(tuning))), tuning)
    }),
  )
})

const ALL_NAMES = new RegExp(TUNING_NAMES.join(', '))
const VARIABLES: [variable: string, message: RegExp][] = [
  ['', /ADASUM_TUNING is empty/],
  ['directSize', /ADASUM_TUNING has the item "directSize": write name=number/],
  ['directSize=', /has the item "directSize="/],
  ['directSize=8,', /has the item ""/],
  ['directSize=-8', /has the item "directSize=-8"/],
  ['directSize=8.5', /has the item "directSize=8\.5"/],
  ['directSize=1e1', /has the item "directSize=1e1"/],
  ['directSize=0x8', /has the item/],
  ['directSize=8 directByteLength=9', /has the item/],
  ['directSize=9999999999999999', /has the item/],
  ['directsize=8', /ADASUM_TUNING names "directsize", which is unknown/],
  ['directsize=8', ALL_NAMES],
  ['directSize', ALL_NAMES],
  ['__proto__=8', /names "__proto__", which is unknown/],
  ['toString=8', /names "toString", which is unknown/],
  ['directSize=8,directSize=9', /has directSize twice/],
  ['directSize=17', /ADASUM_TUNING sets directSize to 17: use a whole number from 2 to 16/],
  ['directSize=1', /sets directSize to 1: /],
  ['writeByteLength=1', /sets writeByteLength to 1: use a whole number from 262144 to 1073741824/],
]
for (const [variable, message] of VARIABLES)
  test(`a variable that is refused: ${variable} (${message.source.slice(0, 20)})`, (t) => {
    const refused = () => resolvePlace({}, { ADASUM_TUNING: variable })
    t.is(t.throws(refused, { instanceOf: AdasumError, message })?.code, 'ERR_ENVIRONMENT')
  })

const OPTIONS: [option: unknown, message: RegExp][] = [
  [null, /option "tuning" must be an object of numbers, but it is null/],
  ['directSize=8', /must be an object of numbers/],
  [[8], /must be an object of numbers/],
  [{ directsize: 8 }, /option "tuning" names "directsize", which is unknown/],
  [{ directsize: 8 }, ALL_NAMES],
  [{ toString: 8 }, /names "toString"/],
  [{ directSize: '8x' }, /sets directSize to 8x: use a whole number from 2 to 16/],
  [{ directSize: '8' }, /sets directSize to 8/],
  [{ directSize: null }, /sets directSize to null/],
  [{ directSize: {} }, /sets directSize to object/],
  [{ directByteLength: -1 }, /sets directByteLength to -1: use a whole number from 0 to 16777216/],
  [{ directByteLength: NaN }, /NaN/],
  [{ streamByteLength: Infinity }, /Infinity/],
]
for (const [index, [option, message]] of OPTIONS.entries())
  test(`an option that is refused, ${index}: ${message.source.slice(0, 40)}`, (t) => {
    const refused = () => resolvePlace({ tuning: option as Partial<Tuning> }, {})
    t.is(t.throws(refused, { instanceOf: AdasumError, message })?.code, 'ERR_ARGUMENT')
  })

const UNITS: Record<string, number> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 }

test('the documents name every number of it, its default and its bounds', (t) => {
  const folder = new URL('../docs/', import.meta.url)
  const pages = readdirSync(folder).filter((name) => name.endsWith('.md'))
  const rows = pages.flatMap(
    (name) =>
      readFileSync(new URL(name, folder), 'utf8').match(
        /^\| `\w+Byte\w+`.*|^\| `directSize`.*|^\| `connectionsPerPeer`.*/gm,
      ) ?? [],
  )
  const numberOf = (cell: string): number => {
    const [number, unit] = cell.split(' ')
    return Number(number) * (unit === undefined ? 1 : UNITS[unit]!)
  }
  const documented = rows.map((row) =>
    row
      .split('|')
      .slice(1, 5)
      .map((cell) => cell.trim()),
  )
  for (const name of TUNING_NAMES) {
    const [least, most] = TUNING_BOUNDS[name]
    const found = documented.filter(([cell]) => cell === `\`${name}\``).map(([, ...cells]) => cells.map(numberOf))
    t.deepEqual(found, [[DEFAULT_TUNING[name], least, most]], name)
  }
})
