/** Files of weights as other tools, accidents and attackers write them. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import { loadWeights, saveWeights } from '../../ts/src/adapters/tfjs/index.ts'
import { readStored, type StoredWeight } from '../../ts/src/adapters/tfjs/weights-file.ts'
import { type ByteSource, encodeSafetensors } from '../../ts/src/checkpoint/safetensors.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { fc } from '../_property.ts'
import './_backend.mjs'
import { fileOf, forged, headerOf, type Tensor } from './_safetensors.ts'

const GOLDEN = new URL('../golden/weights.safetensors', import.meta.url)

async function folder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'adasum-safetensors-'))
  t.teardown(() => rm(path, { recursive: true }))
  return path
}

function variableNamed(t: ExecutionContext, name: string, values: number[]): tf.Variable {
  const variable = tf.variable(tf.tensor1d(values), true, name)
  t.teardown(() => variable.dispose())
  return variable
}

/** What loadWeights() says of a file; the variable it was to fill has its old values. */
async function errorOf(t: ExecutionContext, file: Uint8Array): Promise<AdasumError> {
  const path = join(await folder(t), 'weights')
  await writeFile(path, file)
  const variable = tf.variable(tf.tensor1d([1, 2]))
  const error: unknown = await loadWeights([variable], path).catch((reason: unknown) => reason)
  t.deepEqual([...variable.dataSync()], [1, 2])
  variable.dispose()
  t.true(error instanceof AdasumError, String(error))
  return error as AdasumError
}

const f32 = (begin: number, end: number, ...shape: number[]): Tensor => ({
  dtype: 'F32',
  shape: shape.length > 0 ? shape : [(end - begin) / 4],
  data_offsets: [begin, end],
})
const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i)

const OTHERS: [what: string, file: Uint8Array, count: number][] = [
  ['one tensor', fileOf(headerOf(['x', f32(0, 8)]), bytes(8)), 1],
  ['no tensors', fileOf('{}'), 0],
  ['no tensors, and spaces', fileOf('{}      '), 0],
  ['metadata', fileOf(headerOf(['__metadata__', { format: 'pt' }], ['x', f32(0, 8)]), bytes(8)), 1],
  ['metadata at the end', fileOf(headerOf(['x', f32(0, 8)], ['__metadata__', { 'é': '"\\\n' }]), bytes(8)), 1], // prettier-ignore
  ['spaces behind the header', fileOf(`${headerOf(['x', f32(0, 8)])}${' '.repeat(5000)}`, bytes(8)), 1],
  ['blanks within', fileOf(JSON.stringify({ x: f32(0, 8) }, null, '\t\r\n '), bytes(8)), 1],
  ['an odd length', fileOf(headerOf(['xyz', f32(0, 8)]), bytes(8)), 1],
  ['tensors in another order', fileOf(headerOf(['b', f32(8, 12)], ['a', f32(0, 8)]), bytes(12)), 2],
  ['a scalar and empty ones', fileOf(headerOf(['e', { ...f32(4, 4), shape: [0, 3] }], ['s', { ...f32(0, 4), shape: [] }], ['f', { ...f32(0, 0), shape: [2, 0] }]), bytes(4)), 3], // prettier-ignore
  ['names that objects have', fileOf(headerOf(['__proto__', f32(0, 4)], ['constructor', f32(4, 8)], ['', f32(8, 12)]), bytes(12)), 3], // prettier-ignore
  ['names in escapes', fileOf('{"\\ud83d\\ude00\\u0041\\"":{"shape":[1],"data_offsets":[0,4],"dtype":"I32"}}', bytes(4)), 1], // prettier-ignore
  ...['F64', 'I64', 'U64', 'C64', 'F32', 'I32', 'U32', 'F16', 'BF16', 'I16', 'U16', 'F8_E4M3', 'F8_E5M2', 'F8_E8M0', 'I8', 'U8', 'BOOL', 'F6_E2M3', 'F6_E3M2', 'F4'].map((dtype): [string, Uint8Array, number] => {
    const bits = /^[A-Z]+(\d+)/.exec(dtype)?.[1] ?? '8'
    return [dtype, fileOf(headerOf(['x', { dtype, shape: [2, 4], data_offsets: [0, Number(bits)] }]), bytes(Number(bits))), 1]
  }),
] // prettier-ignore

for (const [what, file, count] of OTHERS) {
  test.serial(`a file of another tool is told to be one (${what})`, async (t) => {
    const { code, message } = await errorOf(t, file)
    t.is(code, 'ERR_UNSUPPORTED', message)
    t.regex(message, new RegExp(`is a safetensors file with ${count} tensors and without the checksum`))
  })
}

const declared = (length: bigint, rest: Uint8Array = bytes(8)): Uint8Array => {
  const file = new Uint8Array(8 + rest.length)
  new DataView(file.buffer).setBigUint64(0, length, true)
  file.set(rest, 8)
  return file
}
const entry = (json: string): Uint8Array => fileOf(`{"x":${json}}`, bytes(8))
const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0))

const MALFORMED: [what: string, file: Uint8Array, message: RegExp][] = [
  ['nothing', bytes(0), /it has 0 bytes, of at least 8/],
  ['seven bytes', bytes(7), /it has 7 bytes, of at least 8/],
  ['a header longer than the file', declared(9n), /its header is to end at byte 17, the file has 16/],
  ['a header of 2^63 bytes', declared(2n ** 63n), /its header is to have 9223372036854775808 bytes, of at most 100000000/],
  ['a header of 2^64 - 1 bytes', declared(2n ** 64n - 1n), /18446744073709551615 bytes, of at most/],
  ['a header of 2^53 + 2 bytes', declared(2n ** 53n + 2n), /9007199254740994 bytes, of at most/],
  ['no header', declared(0n, bytes(0)), /its header begins with "" instead of {/],
  ['a list', fileOf('[]'), /its header begins with "\[" instead of {/],
  ['a blank before the header', fileOf(' {}'), /its header begins with " " instead/],
  ['a byte order mark', fileOf('\ufeff{}'), /its header begins with/],
  ['no UTF-8', fileOf(latin1('{"\xe9":1}')), /its header is not UTF-8/],
  ['a surrogate in UTF-8', fileOf(latin1('{"\xed\xa0\x80":1}')), /its header is not UTF-8/],
  ['an escaped half of a pair', fileOf('{"\\ud800":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'), /"\\ud800", which is no Unicode text/],
  ['an open string', fileOf('{"abc\\"'), /instead of the end of a string/],
  ['a control character', fileOf('{"a\nb":1}'), /instead of a string/],
  ['no JSON', fileOf('{x:1}'), /"x:1}" at character 1, instead of "/],
  ['a comma too many', fileOf(`{"x":${JSON.stringify(f32(0, 8))},}`, bytes(8)), /instead of "/],
  ['something behind it', fileOf('{} {}'), /"{}" at character 3, instead of its end/],
  ['an open object', fileOf('{'), /its end at character 1, instead of "/],
  ['a name twice', fileOf(headerOf(['x', f32(0, 8)], ['x', f32(0, 8)]), bytes(8)), /its header has "x" twice/],
  ['a name twice, once in escapes', fileOf(`{"x":${JSON.stringify(f32(0, 8))},"\\u0078":${JSON.stringify(f32(0, 8))}}`, bytes(8)), /has "x" twice/],
  ['a name that a terminal obeys', fileOf(headerOf(['\u009b2J', f32(0, 8)], ['\u009b2J', f32(0, 8)]), bytes(8)), /has "\\u\{9b\}2J" twice/],
  ['__proto__ twice', fileOf(headerOf(['__proto__', f32(0, 8)], ['__proto__', f32(0, 8)]), bytes(8)), /has "__proto__" twice/],
  ['metadata twice', fileOf(headerOf(['__metadata__', {}], ['__metadata__', {}])), /has "__metadata__" twice/],
  ['a field twice', entry('{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}'), /has "shape" twice/],
  ['metadata that is no text', fileOf(headerOf(['__metadata__', { epoch: 3 }])), /"3}}" at character \d+, instead of "/],
  ['metadata that is a list', fileOf(headerOf(['__metadata__', []])), /instead of {/],
  ['an entry that is null', entry('null'), /"null}" at character 5, instead of {/],
  ['no dtype', entry('{"shape":[2],"data_offsets":[0,8]}'), /its entry for "x" has no dtype/],
  ['no shape', entry('{"dtype":"F32","data_offsets":[0,8]}'), /has no shape/],
  ['no offsets', entry('{"dtype":"F32","shape":[2]}'), /has no data_offsets/],
  ['a field more', entry('{"dtype":"F32","shape":[2],"data_offsets":[0,8],"__proto__":{}}'), /has a field "__proto__", which/],
  ['an unknown dtype', entry('{"dtype":"F33","shape":[2],"data_offsets":[0,8]}'), /has the unknown dtype "F33"/],
  ['a dtype that objects have', entry('{"dtype":"toString","shape":[2],"data_offsets":[0,8]}'), /has the unknown dtype "toString"/],
  ['one offset', entry('{"dtype":"F32","shape":[2],"data_offsets":[8]}'), /has 1 data_offsets instead of 2/],
  ['a negative size', entry('{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}'), /"-2\],\\"data_/],
  ['a size of 2.0', entry('{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}'), /instead of \]/],
  ['a size of 2e0', entry('{"dtype":"F32","shape":[2e0],"data_offsets":[0,8]}'), /instead of \]/],
  ['a size of 02', entry('{"dtype":"F32","shape":[02],"data_offsets":[0,8]}'), /instead of \]/],
  ['a size of 2^53', entry(`{"dtype":"F32","shape":[${2 ** 53}],"data_offsets":[0,8]}`), /instead of a whole number below 2\^53/],
  ['sizes beyond 2^64', entry('{"dtype":"F32","shape":[4294967296,4294967297],"data_offsets":[0,8]}'), /has more than 2\^64 bits/],
  ['sizes that are 2 in 64 bits', entry('{"dtype":"U8","shape":[4294967296,1073741824,4],"data_offsets":[0,0]}'), /has more than 2\^64 bits and lies at bytes 0 to 0/],
  ['a shape that is too large', entry('{"dtype":"F32","shape":[3],"data_offsets":[0,8]}'), /"x", F32\[3\], has 96 bits and lies at bytes 0 to 8/],
  ['an end before the begin', entry('{"dtype":"F32","shape":[2],"data_offsets":[8,0]}'), /lies at bytes 8 to 0/],
  ['half a byte', fileOf(headerOf(['x', { dtype: 'F4', shape: [3], data_offsets: [0, 1] }]), bytes(1)), /has 12 bits and lies at bytes 0 to 1/],
  ['data that is cut off', fileOf(headerOf(['x', f32(0, 8)]), bytes(7)), /its tensors end at byte 8 of the data, of which the file has 7/],
  ['bytes behind the data', fileOf(headerOf(['x', f32(0, 8)]), bytes(9)), /its tensors end at byte 8 of the data, of which the file has 9/],
  ['overlapping tensors', fileOf(headerOf(['a', f32(0, 8)], ['b', f32(4, 12)]), bytes(12)), /"b" begins at byte 4, the tensor before it ends at 8/],
  ['two tensors in one place', fileOf(headerOf(['a', f32(0, 8)], ['b', f32(0, 8)]), bytes(8)), /"b" begins at byte 0, the tensor before it ends at 8/],
  ['an empty tensor within another', fileOf(headerOf(['a', f32(0, 8)], ['b', { ...f32(4, 4), shape: [0] }]), bytes(8)), /"b" begins at byte 4/],
  ['a gap', fileOf(headerOf(['a', f32(0, 4)], ['b', f32(8, 12)]), bytes(12)), /the bytes 4 to 8, before "b", belong to no tensor/],
  ['a gap at the beginning', fileOf(headerOf(['a', f32(4, 8)]), bytes(8)), /the bytes 0 to 4, before "a"/],
  ['a long name', fileOf(headerOf(['n'.repeat(1000), f32(4, 8)]), bytes(8)), /before "n{57}\.\.\.", belong/],
  ['a terminal escape in a name', fileOf(headerOf(['\u001b[2J', f32(4, 8)]), bytes(8)), /before "\\u001b\[2J", belong/],
] // prettier-ignore

for (const [what, file, message] of MALFORMED) {
  test.serial(`a file that is not in the format is refused for what is wrong (${what})`, async (t) => {
    const error = await errorOf(t, file)
    t.is(error.code, 'ERR_ARGUMENT', error.message)
    t.regex(error.message, message)
    t.regex(error.message, /is not a whole file of saveWeights\(\): .*\. Use an undamaged one\.$/)
  })
}

const FORGED: [what: string, file: Uint8Array, message: RegExp][] = [
  ['overlapping tensors', forged([['a', f32(0, 8)], ['b', f32(4, 12)]], bytes(12)), /"b" begins at byte 4/],
  ['a gap', forged([['a', f32(0, 4)], ['b', f32(8, 12)]], bytes(12)), /the bytes 4 to 8/],
  ['a dtype that we do not write', forged([['a', { dtype: 'F16', shape: [4], data_offsets: [0, 8] }]], bytes(8)), /"a" is F16, which saveWeights\(\) does not write/],
  ['another checksum', fileOf(headerOf(['__metadata__', { format: 'adasum', order: '["x"]', sha256: '0' }], ['x', f32(0, 8)]), bytes(8)), /its SHA-256 is [0-9a-f]{64}, its header says "0"/],
  ['an order that is no list', fileOf(headerOf(['__metadata__', { format: 'adasum', order: '{}', sha256: '0' }])), /instead of \[/],
  ['an order of numbers', fileOf(headerOf(['__metadata__', { format: 'adasum', order: '[1]', sha256: '0' }])), /instead of "/],
  ['an order with a name twice', fileOf(headerOf(['__metadata__', { format: 'adasum', order: '["x","x"]', sha256: '0' }], ['x', f32(0, 8)]), bytes(8)), /its order has "x", of which there is no tensor left/],
  ['an order without a tensor', fileOf(headerOf(['__metadata__', { format: 'adasum', order: '[]', sha256: '0' }], ['x', f32(0, 8)]), bytes(8)), /its order has 0 tensors, its header 1/],
  ['the metadata as a tensor', fileOf(headerOf(['__metadata__', { format: 'adasum', order: '["__metadata__"]', sha256: '0' }])), /"__metadata__", of which there is no tensor/],
] // prettier-ignore

for (const [what, file, message] of FORGED) {
  test.serial(`a forged file is refused (${what})`, async (t) => {
    const error = await errorOf(t, file)
    t.is(error.code, 'ERR_ARGUMENT', error.message)
    t.regex(error.message, message)
  })
}

test.serial('what is nested or repeated without end is refused in time', async (t) => {
  const many = 1_000_000
  const headers = [
    '{"x":'.repeat(many),
    `{"x":${'['.repeat(many)}`,
    `{"x":{"dtype":"F32","data_offsets":[0,8],"shape":[${'9007199254740991,'.repeat(many)}1]}}`,
    `{"x":{"dtype":"F32","data_offsets":[0,8],"shape":[${'9'.repeat(many)}]}}`,
    `{"${'\\\\'.repeat(many)}`,
    `{"${'\\"'.repeat(many)}`,
    `{${' '.repeat(many)}`,
    `{"__metadata__":{"format":"adasum","sha256":"0","order":"${'['.repeat(many)}"}}`,
  ]
  for (const header of headers) t.is((await errorOf(t, fileOf(header, bytes(8)))).code, 'ERR_ARGUMENT')
})

test.serial('what could not be loaded is not saved, and nothing is left of it', async (t) => {
  const path = await folder(t)
  const refuses = async (variables: tf.Variable[], message: RegExp): Promise<void> => {
    await t.throwsAsync(saveWeights(variables, join(path, 'weights')), { code: 'ERR_ARGUMENT', message })
    t.deepEqual(await readdir(path), [])
  }
  await refuses([variableNamed(t, '__metadata__', [1])], /has the name "__metadata__", which is taken/)
  await refuses([variableNamed(t, 'half \ud800', [1])], /has the name "half \\ud800", which is no Unicode text/)
  const first = variableNamed(t, 'same', [1])
  // As two copies of a model, made by one engine after another.
  delete tf.engine().state.registeredVariables['same']
  await refuses([first, variableNamed(t, 'same', [2])], /has the name "same", which is taken/)
})

const source = (file: Uint8Array): ByteSource => ({
  byteLength: file.length,
  read: async (position, target) => target.set(file.subarray(position, position + target.length)),
})
const joined = (chunks: readonly Uint8Array[]): Uint8Array => Uint8Array.from(chunks.flatMap((chunk) => [...chunk]))

const ITEM_BYTES = { float32: 4, int32: 4, bool: 1 } as const
const DTYPE_NAMES = { float32: 'F32', int32: 'I32', bool: 'BOOL' }
const encoded = (weights: readonly StoredWeight[]): Uint8Array[] =>
  encodeSafetensors(weights.map((weight) => ({ ...weight, dtype: DTYPE_NAMES[weight.dtype] }))).chunks

const names = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constantFrom('__proto__', 'constructor', 'toString', '0', '10', '1', '', ' ', '"', '\\', '\u0000', '\u001b[2J'),
)
const tensors: fc.Arbitrary<StoredWeight[]> = fc
  .uniqueArray(
    names.filter((name) => name !== '__metadata__'),
    { maxLength: 6 },
  ) // prettier-ignore
  .chain((list) =>
    fc.tuple(
      ...list.map((name) =>
        fc
          .record({
            name: fc.constant(name),
            dtype: fc.constantFrom('float32' as const, 'int32' as const, 'bool' as const),
            shape: fc.array(fc.nat({ max: 3 }), { maxLength: 4 }),
          })
          .chain((spec) => {
            const length = spec.shape.reduce((product, size) => product * size, ITEM_BYTES[spec.dtype])
            return fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => ({ ...spec, bytes }))
          }),
      ),
    ),
  )

test('any names, dtypes and shapes survive a file, and lie in it as the format says', async (t) => {
  const check = async (saved: StoredWeight[]): Promise<void> => {
    const file = joined(encoded(saved))
    t.deepEqual(await readStored(source(file), 'file'), saved)
    const length = Number(new DataView(file.buffer).getBigUint64(0, true))
    t.is(length % 8, 0)
    const members = Object.entries(JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))) as object)
    t.is(members.length, saved.length + 1)
    for (const [name, member] of members.filter(([name]) => name !== '__metadata__')) {
      const { dtype, shape, bytes } = saved.find((tensor) => tensor.name === name)!
      const { data_offsets: range, ...rest } = member as Tensor
      t.deepEqual(rest, { dtype: DTYPE_NAMES[dtype], shape: [...shape] })
      t.deepEqual(file.slice(8 + length + range[0], 8 + length + range[1]), bytes)
    }
  }
  await fc.assert(fc.asyncProperty(tensors, check), { numRuns: 150 })
})

/** What becomes of a file: a byte changed, a part cut out, doubled or moved, its end cut off. */
const mutations = fc.array(
  fc.record({
    kind: fc.constantFrom('set', 'flip', 'cut', 'double', 'swap', 'truncate'),
    from: fc.nat(),
    length: fc.integer({ min: 1, max: 24 }),
    byte: fc.oneof(fc.nat({ max: 255 }), fc.constantFrom(...[...'"{}[],:\\ 0123456789'].map((c) => c.charCodeAt(0)))),
  }),
  { minLength: 1, maxLength: 3 },
)

function mutated(file: Uint8Array, steps: typeof mutations extends fc.Arbitrary<infer T> ? T : never): Uint8Array {
  let list = [...file]
  for (const { kind, from, length, byte } of steps) {
    const at = from % Math.max(1, list.length)
    const part = list.slice(at, at + length)
    if (kind === 'set') list[at] = byte
    if (kind === 'flip') list[at] = (list[at] ?? 0) ^ (1 << (byte % 8))
    if (kind === 'cut') list.splice(at, length)
    if (kind === 'double') list.splice(at, 0, ...part)
    if (kind === 'swap') list.splice(at, 2 * length, ...list.slice(at + length, at + 2 * length), ...part)
    if (kind === 'truncate') list = list.slice(0, at)
  }
  return Uint8Array.from(list)
}

test('whatever becomes of a file, it is refused with a typed error or holds what was saved', async (t) => {
  const check = async (saved: StoredWeight[], steps: Parameters<typeof mutated>[1]): Promise<void> => {
    const file = mutated(joined(encoded(saved)), steps)
    const result = await readStored(source(file), 'file').catch((error: unknown) => error)
    if (result instanceof AdasumError) t.true(['ERR_ARGUMENT', 'ERR_UNSUPPORTED'].includes(result.code))
    else t.deepEqual(result, saved)
  }
  await fc.assert(fc.asyncProperty(tensors, mutations, check), { numRuns: 1000 })
})

test('a header of any offsets is taken exactly if every byte belongs to one tensor', async (t) => {
  const check = async (ranges: [number, number][], length: number): Promise<void> => {
    const list = ranges.map(([begin, end], index): [string, Tensor] => {
      return [`${index}`, { dtype: 'BOOL', shape: [Math.max(0, end - begin)], data_offsets: [begin, end] }]
    })
    // A byte is owned once; an empty tensor lies where no other one is cut by it.
    const owners = Array.from({ length: 20 }, (_, at) => ranges.filter(([begin, end]) => begin <= at && at < end).length) // prettier-ignore
    const isCovered = owners.every((count, at) => count === (at < length ? 1 : 0))
    const isEmptyWithin = ([begin, end]: [number, number]): boolean =>
      begin === end && (begin > length || ranges.some(([first, last]) => first < begin && begin < last))
    const isGood = isCovered && ranges.every((range) => range[0] <= range[1] && !isEmptyWithin(range))
    const result = await readStored(source(forged(list, bytes(length))), 'file').catch((error: unknown) => error)
    t.is(Array.isArray(result), isGood, JSON.stringify({ ranges, length }))
    // The checksum, which would not agree either, is the same for whoever forges it.
    if (result instanceof AdasumError) t.notRegex(result.message, /SHA-256/)
  }
  const near = fc.constantFrom(0, 0, 0, 0, 1, -1)
  // Tensors one behind the other, in any order of names, some of them a byte off.
  const placed = fc.array(fc.tuple(fc.nat({ max: 3 }), near, near), { maxLength: 4 }).chain((steps) => {
    const begins = steps.map((_, index) => sum(steps.slice(0, index).map(([size]) => size)))
    const ranges = steps.map(([size, atBegin, atEnd], index): [number, number] => [
      Math.max(0, begins[index]! + atBegin),
      Math.max(0, begins[index]! + size + atEnd),
    ])
    const length = near.map((off) => Math.max(0, sum(steps.map(([size]) => size)) + off))
    return fc.tuple(fc.shuffledSubarray(ranges, { minLength: ranges.length }), length)
  })
  await fc.assert(
    fc.asyncProperty(placed, ([ranges, length]) => check(ranges, length)),
    { numRuns: 600 },
  )
})

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

test('a tensor larger than any memory', async (t) => {
  const size = 2 ** 50
  const header = forged([['x', { dtype: 'U8', shape: [size], data_offsets: [0, size] }]], bytes(0))
  const huge = { ...source(header), byteLength: header.length + size }
  await t.throwsAsync(readStored(huge, 'file'), { code: 'ERR_OUT_OF_MEMORY', message: /"x" has 1125899906842624 bytes/ }) // prettier-ignore
})

test.serial('a file that an earlier version has written', async (t) => {
  const variables = [
    tf.variable(tf.tensor2d([[1.5, -2, 3], [0.1, 5e-8, -6e20]]), true, 'layer/kernel'),
    tf.variable(tf.tensor1d([7, -8], 'int32'), false, '1'),
    tf.variable(tf.tensor1d([true, false, true], 'bool'), false, 'größe'),
  ] // prettier-ignore
  t.teardown(() => tf.dispose(variables))
  const loaded = variables.map((variable) => tf.variable(tf.zerosLike(variable), false))
  t.teardown(() => tf.dispose(loaded))
  await loadWeights(loaded, fileURLToPath(GOLDEN))
  for (const [index, variable] of loaded.entries()) t.deepEqual(variable.dataSync(), variables[index]!.dataSync())
})
