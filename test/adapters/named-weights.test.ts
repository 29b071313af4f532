/** Weights of files of other tools, matched by name: those that PyPI's safetensors wrote (test/checkpoint/fixtures). */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import * as tf from '@tensorflow/tfjs-core'
import { loadWeights, saveWeights } from '../../ts/src/adapters/tfjs/index.ts'
import { convertTensor, readSafetensors, writeSafetensors } from '../../ts/src/checkpoint/index.ts'
import { folder } from '../checkpoint/_folder.ts'
import './_backend.mjs'

const FIXTURES = fileURLToPath(new URL('../checkpoint/fixtures/', import.meta.url))
const NUMPY = join(FIXTURES, 'numpy.safetensors')

type Dtype = 'float32' | 'int32' | 'bool'

function zeros(t: ExecutionContext, shapes: readonly number[][], dtype: Dtype = 'float32'): tf.Variable[] {
  const variables = shapes.map((shape) => tf.tidy(() => tf.variable(tf.zeros(shape, dtype))))
  t.teardown(() => variables.forEach((variable) => variable.dispose()))
  return variables
}

const named =
  (...names: string[]) =>
  (_: tf.Variable, index: number): string =>
    names[index]!
const valuesOf = (variables: readonly tf.Variable[]): number[][] => variables.map((one) => [...one.dataSync()])

test.serial('tensors of a larger file, in any order, without metadata of ours', async (t) => {
  const variables = zeros(t, [[1], [3, 4], []])
  await loadWeights(variables, NUMPY, { nameOf: named('größe', 'f32', 'scalar') })
  const { tensors } = await readSafetensors(NUMPY)
  t.deepEqual(valuesOf(variables), [[8], [...(tensors.get('f32')!.data as Float32Array)], [2.5]])
})

test.serial('int32 and bool as they are', async (t) => {
  const [numbers] = zeros(t, [[2, 1, 2]], 'int32')
  const [flags] = zeros(t, [[3]], 'bool')
  await loadWeights([numbers!, flags!], NUMPY, { nameOf: named('i32', 'bool') })
  t.deepEqual(valuesOf([numbers!, flags!]), [
    [0, -1, -(2 ** 31), 2 ** 31 - 1],
    [1, 0, 1],
  ])
})

test.serial('other dtypes are refused, and converted where asked', async (t) => {
  const { tensors } = await readSafetensors(NUMPY)
  for (const name of ['f64', 'f16', 'i64', 'i16', 'u8', 'bool']) {
    const tensor = tensors.get(name)!
    const variables = zeros(t, [[...tensor.shape]])
    const mismatch = { code: 'ERR_MISMATCH', message: /float32\[.*in the model and .* in the file/ }
    await t.throwsAsync(loadWeights(variables, NUMPY, { nameOf: named(name) }), mismatch, name)
    t.true(variables[0]!.dataSync().every((value) => value === 0))
    await loadWeights(variables, NUMPY, { nameOf: named(name), convert: true })
    t.deepEqual([...variables[0]!.dataSync()], [...convertTensor(tensor, 'f32')], name)
  }
  const [flags] = zeros(t, [[3]], 'bool')
  const unsupported = { code: 'ERR_UNSUPPORTED', message: /is bool and its tensor U8/ }
  await t.throwsAsync(loadWeights([flags!], NUMPY, { nameOf: named('u8'), convert: true }), unsupported)
  const [whole] = zeros(t, [[3]], 'int32')
  const tooLarge = { code: 'ERR_ARGUMENT', message: /does not fit into i32/ }
  await t.throwsAsync(loadWeights([whole!], NUMPY, { nameOf: named('u32'), convert: true }), tooLarge)
})

test.serial('a set of files by its index', async (t) => {
  const path = join(FIXTURES, 'model.safetensors.index.json')
  const { tensors } = await readSafetensors(path)
  const names = [...tensors.keys()].filter((name) => !/64$/.test(tensors.get(name)!.dtype))
  t.true(names.length > 1)
  const variables = zeros(t, names.map((name) => [...tensors.get(name)!.shape])) // prettier-ignore
  await loadWeights(variables, path, { nameOf: named(...names), convert: true })
  t.deepEqual(valuesOf(variables), names.map((name) => [...convertTensor(tensors.get(name)!, 'f32')])) // prettier-ignore
})

test.serial('nothing is written where one weight does not fit', async (t) => {
  const variables = zeros(t, [[1], [4, 3]])
  const mismatch = { code: 'ERR_MISMATCH', message: /weight 1 \(.*in the file f32\) is float32\[4, 3\] in the model and float32\[3, 4\]/ } // prettier-ignore
  await t.throwsAsync(loadWeights(variables, NUMPY, { nameOf: named('größe', 'f32') }), mismatch)
  const missing = { code: 'ERR_ARGUMENT', message: /has no tensor "f33"/ }
  await t.throwsAsync(loadWeights(variables, NUMPY, { nameOf: named('größe', 'f33') }), missing)
  t.deepEqual(valuesOf(variables), [[0], Array<number>(12).fill(0)])
})

test.serial('what is saved under other names is found under them, here and by every tool', async (t) => {
  const path = join(folder(t), 'x.safetensors')
  const variables = zeros(t, [[2], [1]])
  variables[0]!.assign(tf.tensor1d([1, 2]))
  await saveWeights(variables, path, { nameOf: (_, index) => `layer.${index}` })
  t.deepEqual([...(await readSafetensors(path)).tensors.keys()], ['layer.0', 'layer.1'])
  const [other] = zeros(t, [[2]])
  await loadWeights([other!], path, { nameOf: () => 'layer.0' })
  t.deepEqual(valuesOf([other!]), [[1, 2]])
})

test.serial('mistakes', async (t) => {
  const path = join(folder(t), 'x.safetensors')
  await writeSafetensors(path, { a: Float32Array.of(1) })
  const variables = zeros(t, [[1], [1]])
  const cases: [options: object, message: RegExp][] = [
    [{ nameOf: 'a' }, /nameOf is "?a"?; it must be a function/],
    [{ nameOf: () => 1 }, /nameOf gives 1 for .*; it must give a string/],
    [{ nameOf: () => 'a' }, /nameOf gives "a" for both .* and /],
    [{ convert: true }, /convert goes with nameOf/],
    [{ nameOf: named('a', 'b'), convert: 1 }, /convert is 1; it must be true or false/],
    [{ nameof: named('a', 'b') }, /nameof/],
  ]
  for (const [options, message] of cases)
    await t.throwsAsync(loadWeights(variables, path, options), { code: 'ERR_ARGUMENT', message })
  await t.throwsAsync(saveWeights(variables, path, { nameOf: () => 'a' }), {
    code: 'ERR_ARGUMENT',
    message: /for both/,
  })
  const thrown = new Error('of the caller')
  const throwing = (): string => {
    throw thrown
  }
  t.is(await t.throwsAsync(loadWeights(variables, path, { nameOf: throwing })), thrown)
})
