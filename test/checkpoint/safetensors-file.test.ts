/** Files of safetensors: those that Python's package wrote (fixtures/make.py), our own, and what hostile hands make of them. */
import { cpSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { convertTensor, type FileTensor, readSafetensors, type TensorInputs, writeSafetensors } from '../../ts/src/checkpoint/index.ts' // prettier-ignore
import { decodeSafetensors } from '../../ts/src/checkpoint/safetensors.ts'
import { FormatError } from '../../ts/src/checkpoint/json-reader.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { fc, runsOf } from '../_property.ts'
import { folder } from './_folder.ts'
import { fileOf, headerOf } from '../adapters/_safetensors.ts'

const FIXTURES = fileURLToPath(new URL('fixtures/', import.meta.url))
const fixture = (name: string): string => join(FIXTURES, name)
const EXPECTED = new Map(
  Object.entries(JSON.parse(readFileSync(fixture('expected.json'), 'utf8')) as Record<string, { shape: number[]; values: string[] }>),
) // prettier-ignore

const numberOf = (text: string): number => Number(text.replace('inf', 'Infinity'))

function checkExpected(t: ExecutionContext, name: string, tensor: FileTensor): void {
  const { shape, values } = EXPECTED.get(name)!
  t.deepEqual([...tensor.shape], shape, name)
  if (/^[IU]64$/.test(tensor.dtype)) t.deepEqual([...(tensor.data as BigInt64Array)], values.map(BigInt), name)
  else if (tensor.dtype.includes('F16')) t.deepEqual([...convertTensor(tensor, 'f64')], values.map(numberOf), name)
  else t.deepEqual([...(tensor.data as Float64Array)], values.map(numberOf), name)
}

test('a file of numpy: every dtype, number, name and shape, and its metadata', async (t) => {
  const { tensors, metadata } = await readSafetensors(fixture('numpy.safetensors'))
  t.deepEqual(new Map(metadata), new Map([['note', 'a "quoted" ü'], ['format', 'np']])) // prettier-ignore
  t.deepEqual([...tensors.keys()].sort(), [...EXPECTED.keys()].filter((name) => name !== 'bf16').sort())
  for (const [name, tensor] of tensors) checkExpected(t, name, tensor)
  const types = Object.fromEntries([...tensors].map(([name, { data }]) => [name, data.constructor.name]))
  t.like(types, { f64: 'Float64Array', f32: 'Float32Array', f16: 'Uint16Array', i64: 'BigInt64Array', u64: 'BigUint64Array', i32: 'Int32Array', u32: 'Uint32Array', i16: 'Int16Array', u16: 'Uint16Array', i8: 'Int8Array', u8: 'Uint8Array', bool: 'Uint8Array' }) // prettier-ignore
})

test('bfloat16, and a dtype that is handed out as bytes', async (t) => {
  const { tensors } = await readSafetensors(fixture('bf16.safetensors'))
  checkExpected(t, 'bf16', tensors.get('bf16')!)
  const f8 = tensors.get('f8')!
  t.deepEqual([f8.dtype, ...f8.data], ['F8_E4M3', 0, 1, 2, 255])
  t.throws(() => convertTensor(f8, 'f32'), { code: 'ERR_UNSUPPORTED', message: /F8_E4M3 cannot be read as f32/ })
})

test('a set of files behind an index', async (t) => {
  const { tensors } = await readSafetensors(fixture('model.safetensors.index.json'))
  t.deepEqual([...tensors.keys()], ['a.weight', 'b.weight', 'c.bias'])
  checkExpected(t, 'f32', tensors.get('a.weight')!)
  checkExpected(t, 'i8', tensors.get('b.weight')!)
  checkExpected(t, 'f16', tensors.get('c.bias')!)
})

test('the values of all halves and bfloat16s', (t) => {
  const bits = Uint16Array.from({ length: 2 ** 16 }, (_, index) => index)
  const bfloats = convertTensor({ dtype: 'BF16', shape: [2 ** 16], data: bits }, 'f32')
  const halves = convertTensor({ dtype: 'F16', shape: [2 ** 16], data: bits }, 'f32')
  const view = new DataView(new ArrayBuffer(4))
  for (const index of bits) {
    view.setUint32(0, index << 16)
    if (!Object.is(bfloats[index], view.getFloat32(0))) t.fail(`bfloat16 ${index}`)
    // The fields of a half moved to where an f32 has them, and the bias changed by a multiplication.
    view.setUint32(0, ((index & 0x8000) << 16) | ((index & 0x7fff) << 13))
    const value = (index & 0x7c00) === 0x7c00 ? (index & 0x3ff ? NaN : index & 0x8000 ? -Infinity : Infinity) : view.getFloat32(0) * 2 ** 112 // prettier-ignore
    if (!Object.is(halves[index], value)) t.fail(`half ${index}: ${halves[index]} instead of ${value}`)
  }
  t.pass()
})

test('integers as i32 and as floats', (t) => {
  const of = (dtype: string, data: FileTensor['data']): FileTensor => ({ dtype, shape: [data.length], data })
  t.deepEqual([...convertTensor(of('I64', BigInt64Array.of(-5n, 2n ** 31n - 1n)), 'i32')], [-5, 2 ** 31 - 1])
  t.deepEqual([...convertTensor(of('BOOL', Uint8Array.of(1, 0)), 'f32')], [1, 0])
  t.deepEqual([...convertTensor(of('F64', Float64Array.of(0.1)), 'f32')], [Math.fround(0.1)])
  for (const wide of [of('U32', Uint32Array.of(2 ** 31)), of('I64', BigInt64Array.of(-(2n ** 40n)))])
    t.throws(() => convertTensor(wide, 'i32'), { code: 'ERR_ARGUMENT', message: /does not fit into i32/ })
  t.throws(() => convertTensor(of('F32', Float32Array.of(1)), 'i32'), { code: 'ERR_UNSUPPORTED' })
  t.throws(() => convertTensor(of('F32', Float32Array.of(1)), 'f16' as 'f32'), { code: 'ERR_ARGUMENT' })
})

test('what is written is read back, in order', async (t) => {
  const path = join(folder(t), 'x.safetensors')
  const half = Uint16Array.of(0x3c00, 0xc000)
  const inputs = new Map(
    Object.entries({
      w: { data: Float32Array.of(1, 2, 3, 4, 5, 6), shape: [2, 3] },
      half: { data: half, dtype: 'F16' },
      flag: { data: Uint8Array.of(1), shape: [], dtype: 'BOOL' },
      big: BigUint64Array.of(2n ** 64n - 1n),
      part: new Float64Array([9, 8, 7, 6]).subarray(1, 3),
      __proto__: null,
    }),
  ) as unknown as Map<string, Float32Array>
  inputs.set('__proto__', Float32Array.of(4)).set('1', Float32Array.of(5)).set('0', Float32Array.of(6))
  await writeSafetensors(path, inputs, { metadata: { note: 'ü' } })
  const { tensors, metadata } = await readSafetensors(path)
  t.deepEqual([...tensors.keys()], ['w', 'half', 'flag', 'big', 'part', '__proto__', '1', '0'])
  t.is(metadata.get('note'), 'ü')
  t.deepEqual(tensors.get('w'), { dtype: 'F32', shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) })
  t.deepEqual(tensors.get('half'), { dtype: 'F16', shape: [2], data: half })
  t.deepEqual(tensors.get('flag'), { dtype: 'BOOL', shape: [], data: Uint8Array.of(1) })
  t.deepEqual(tensors.get('big')!.data, BigUint64Array.of(2n ** 64n - 1n))
  t.deepEqual(tensors.get('part')!.data, Float64Array.of(8, 7))
})

test('some tensors by their names, of a file with and one without a checksum, and of a set', async (t) => {
  const own = join(folder(t), 'x.safetensors')
  await writeSafetensors(own, { a: Float32Array.of(1), b: Float32Array.of(2), c: Float32Array.of(3) })
  t.deepEqual([...(await readSafetensors(own, { names: ['c', 'a'] })).tensors.keys()], ['a', 'c'])
  t.deepEqual((await readSafetensors(own, { names: [] })).tensors.size, 0)
  for (const file of ['numpy.safetensors', 'model.safetensors.index.json']) {
    const path = join(FIXTURES, file)
    const { tensors: all } = await readSafetensors(path)
    for (const [name, tensor] of all) {
      const { tensors } = await readSafetensors(path, { names: [name] })
      t.deepEqual([...tensors], [[name, tensor]])
    }
    const missing = { code: 'ERR_ARGUMENT', message: /has no tensor "nowhere"/ }
    await t.throwsAsync(readSafetensors(path, { names: ['nowhere'] }), missing)
  }
})

test('a checksum is checked whichever tensors are read', async (t) => {
  const path = join(folder(t), 'x.safetensors')
  await writeSafetensors(path, { a: Float32Array.of(1), b: Float32Array.of(2) })
  const bytes = readFileSync(path)
  bytes[bytes.length - 1]! ^= 1
  writeFileSync(path, bytes)
  await t.throwsAsync(readSafetensors(path, { names: ['a'] }), { code: 'ERR_ARGUMENT', message: /SHA-256/ })
})

test('names are a list of texts', async (t) => {
  for (const names of ['a', [1], null, {}])
    await t.throwsAsync(readSafetensors('x', { names: names as string[] }), { code: 'ERR_ARGUMENT', message: /names/ })
  await t.throwsAsync(readSafetensors('x', { name: 'a' } as object), { code: 'ERR_ARGUMENT' })
})

const REFUSED: [what: string, inputs: unknown, message: RegExp][] = [
  ['no object', undefined, /expected named arrays; got undefined/],
  ['a plain array', { x: [1, 2] }, /the array "x" must be a typed array/],
  ['null', { x: null }, /the array "x" must be a typed array; got null/],
  ['a wrong shape', { x: { data: Float32Array.of(1, 2), shape: [3] } }, /the array "x" has 2 elements, its shape \[3\] 3/],
  ['a negative size', { x: { data: Float32Array.of(1, 2), shape: [-1, -2] } }, /a size of the array "x" is -1/],
  ['a dtype of another size', { x: { data: Float32Array.of(1), dtype: 'F16' } }, /is to be F16 and has elements of 32 bits/],
  ['an unknown dtype', { x: { data: Float32Array.of(1), dtype: 'toString' } }, /is to be toString/],
  ['a name of the format', { __metadata__: Float32Array.of(1) }, /"__metadata__", which is taken/],
  ['no Unicode', { '\ud800': Float32Array.of(1) }, /is no Unicode text/],
] // prettier-ignore
for (const [what, inputs, message] of REFUSED)
  test(`what cannot be stored is refused: ${what}`, async (t) => {
    const path = folder(t)
    await t.throwsAsync(writeSafetensors(join(path, 'x'), inputs as TensorInputs), { code: 'ERR_ARGUMENT', message })
    t.deepEqual(readdirSync(path), [])
  })

test('metadata is checked', async (t) => {
  const refuses = (metadata: unknown, message: RegExp) =>
    t.throwsAsync(writeSafetensors(join(folder(t), 'x'), {}, { metadata: metadata as Record<string, string> }), { code: 'ERR_ARGUMENT', message }) // prettier-ignore
  await refuses({ sha256: 'x' }, /"sha256" is written by adasum/)
  await refuses({ epoch: 3 }, /"epoch" is no Unicode text/)
  await refuses(null, /metadata must be an object/)
})

const INDEXES: [what: string, text: string | Uint8Array, message: RegExp][] = [
  ['nothing', '', /is not a whole index of safetensors files: it is not that of the format: its end at character 0/],
  ['no map', '{"metadata":{}}', /it has no weight_map/],
  ['a name twice', '{"weight_map":{"a":"model-00001-of-00002.safetensors","a":"x"}}', /it has "a" twice/],
  ['a map twice', '{"weight_map":{},"weight_map":{}}', /it has "weight_map" twice/],
  ['a number', '{"weight_map":{"a":1}}', /instead of "/],
  ['a folder above', '{"weight_map":{"a":"../model-00001-of-00002.safetensors"}}', /names the file "\.\.\/model/],
  ['a place on Windows', '{"weight_map":{"a":"C:x"}}', /names the file "C:x"/],
  ['the folder', '{"weight_map":{"a":".."}}', /names the file "\.\."/],
  ['no UTF-8', Uint8Array.of(0x7b, 0xff), /it is not UTF-8/],
  ['nesting without end', `{"x":${'['.repeat(1_000_000)}`, /instead of what is nested less deeply/],
  ['something behind it', '{"weight_map":{}} x', /instead of its end/],
  ['a file that is not there', '{"weight_map":{"a":"b.safetensors"}}', /b\.safetensors could not be read/],
  ['a tensor that is not there', '{"weight_map":{"a.weight":"model-00002-of-00002.safetensors"}}', /"a\.weight" is in "model-00002-of-00002\.safetensors", which has no such tensor/],
  ['__proto__', '{"weight_map":{"__proto__":"model-00001-of-00002.safetensors"}}', /"__proto__" is in "model-00001/],
] // prettier-ignore
for (const [what, text, message] of INDEXES)
  test(`an index that is wrong is refused: ${what}`, async (t) => {
    const path = folder(t)
    cpSync(FIXTURES, path, { recursive: true })
    const index = join(path, 'model.safetensors.index.json')
    writeFileSync(index, text)
    await t.throwsAsync(readSafetensors(index), { code: 'ERR_ARGUMENT', message })
  })

test('a file that is missing, or damaged, is named', async (t) => {
  await t.throwsAsync(readSafetensors(fixture('none')), { code: 'ERR_ARGUMENT', message: /none could not be read: .*ENOENT/ }) // prettier-ignore
  await t.throwsAsync(readSafetensors(fixture('make.py')), { code: 'ERR_ARGUMENT', message: /make\.py is not a whole safetensors file: / }) // prettier-ignore
  await t.throwsAsync(readSafetensors(''), { code: 'ERR_ARGUMENT', message: /path is an empty string/ })
  const path = join(folder(t), 'x')
  await writeSafetensors(path, { x: Float32Array.of(1, 2) })
  const file = readFileSync(path)
  file[file.length - 1]! ^= 1
  writeFileSync(path, file)
  await t.throwsAsync(readSafetensors(path), { code: 'ERR_ARGUMENT', message: /its SHA-256 is/ })
})

const GOOD = [readFileSync(fixture('numpy.safetensors')), readFileSync(fixture('bf16.safetensors'))]
const TEXTS = ['__proto__', '-1', '1.5', '1e3', '9007199254740993', '"dtype"', '[', '{', ',', 'ÿ', '"\\ud800"', 'F16']
const mutations = fc.array(
  fc.record({
    kind: fc.constantFrom('set', 'cut', 'copy', 'text', 'end', 'number'),
    at: fc.nat(),
    length: fc.integer({ min: 1, max: 40 }),
    text: fc.constantFrom(...TEXTS),
    byte: fc.nat({ max: 255 }),
  }),
  { minLength: 1, maxLength: 4 },
)

/** A file of another tool has no checksum, so that only its structure can be wrong; mutations aim at its header. */
function mutated(file: Uint8Array, steps: typeof mutations extends fc.Arbitrary<infer T> ? T : never): Uint8Array {
  let list = [...file]
  const headerLength = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true))
  for (const { kind, at, length, text, byte } of steps) {
    const place = at % Math.min(8 + headerLength, Math.max(1, list.length))
    if (kind === 'set') list[place] = byte
    if (kind === 'cut') list.splice(place, length)
    if (kind === 'copy') list.splice(at % list.length || 0, 0, ...list.slice(place, place + length))
    if (kind === 'text') list.splice(place, text.length, ...Buffer.from(text, 'latin1'))
    if (kind === 'end') list = list.slice(0, at % (list.length + 1))
    if (kind === 'number') {
      const digit = list.findIndex((value, index) => index >= place && value >= 0x30 && value <= 0x39)
      if (digit >= 0) list[digit] = 0x30 + (byte % 10)
    }
  }
  return Uint8Array.from(list)
}

test('whatever becomes of a file of another tool, it is refused, or every byte belongs to one tensor', async (t) => {
  let [taken, refused] = [0, 0]
  const check = async (which: number, steps: Parameters<typeof mutated>[1]): Promise<void> => {
    const file = mutated(GOOD[which]!, steps)
    const read = async (position: number, target: Uint8Array): Promise<void> => {
      if (position + target.length > file.length) throw new Error('read past the end')
      target.set(file.subarray(position, position + target.length))
    }
    try {
      const { tensors } = await decodeSafetensors({ byteLength: file.length, read })
      const headerLength = Number(new DataView(file.buffer).getBigUint64(0, true))
      t.is(tensors.reduce((sum, { bytes }) => sum + bytes.length, 0), file.length - 8 - headerLength) // prettier-ignore
      t.is(new Set(tensors.map(({ name }) => name)).size, tensors.length)
      taken++
    } catch (error) {
      t.true(error instanceof FormatError, String(error))
      refused++
    }
  }
  await fc.assert(fc.asyncProperty(fc.nat({ max: 1 }), mutations, check), { numRuns: runsOf(4000) })
  t.true(taken > 20 && refused > 500, `${taken} taken, ${refused} refused`)
})

test('objects are not changed by names in files', async (t) => {
  const path = join(folder(t), 'x')
  const entry = (begin: number): object => ({ dtype: 'U8', shape: [1], data_offsets: [begin, begin + 1] })
  writeFileSync(path, fileOf(headerOf(['__proto__', entry(0)], ['constructor', entry(1)], ['__metadata__', { x: 'y' }]), Uint8Array.of(1, 2))) // prettier-ignore
  const { tensors } = await readSafetensors(path)
  t.deepEqual([...tensors.keys()], ['__proto__', 'constructor'])
  t.is(Object.getPrototypeOf({}), Object.prototype)
  t.false(await readSafetensors(path).then(() => 'dtype' in {}))
  t.true((await readSafetensors(join(path, 'no')).catch((error: unknown) => error)) instanceof AdasumError)
})
