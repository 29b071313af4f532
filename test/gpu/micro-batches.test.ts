/** Micro-batches of ranks, combined on a device before they are across ranks. */
import { AdasumError } from '../../ts/src/errors.ts'
import { GpuDevice, GpuReducer } from '../../ts/src/gpu/index.ts'
import { adasumSync } from '../../ts/src/reduction/local.ts'
import type { ReduceOp } from '../../ts/src/types.ts'
import { bitsOf, failuresOf, makeWorld, onAll } from '../_world.ts'
import { halfFamilyOf, halvesOf, widened } from '../reduction/_half.ts'
import { familyOf, oracle, relativeError } from '../reduction/_oracle.ts'
import { gpuTest } from './_gpu.ts'

const SEGMENTS = [3000, 1, 0, 1006]
const LENGTH = 4007
const OPS: readonly ReduceOp[] = ['sum', 'average', 'adasum']

/** Two ranks' micro-batches: three of the first, two of the second. */
function batches(): [Float32Array[], Float32Array[]] {
  const make = (length: number): Float32Array => new Float32Array(length)
  const all = familyOf('a large common part', make, { count: 5, length: LENGTH, seed: 7 })
  return [all.slice(0, 3), all.slice(3)]
}

async function reducerOf(inputs: readonly Float32Array[], device?: GpuDevice): Promise<GpuReducer> {
  const options = { slots: inputs.length, segments: SEGMENTS }
  const reducer = await GpuReducer.create(device ? { ...options, device } : options)
  for (const [slot, input] of inputs.entries()) await reducer.write(slot, input)
  return reducer
}

gpuTest('arrays and slots, by every pair of operators, against the definition', async (t) => {
  const world = await makeWorld(2)
  const inputs = batches()
  const reducers = await Promise.all(inputs.map((own) => reducerOf(own)))
  for (const op of OPS)
    for (const local of OPS) {
      const want = oracle(
        op,
        inputs.map((own) => oracle(local, own, SEGMENTS)),
        SEGMENTS,
      )
      const arrays = await onAll(world.ranks, (comm, rank) =>
        comm.allReduce(inputs[rank]!, { op, local, segments: SEGMENTS, backend: 'gpu' }),
      )
      const slots = await onAll(world.ranks, (comm, rank) =>
        comm.allReduce(reducers[rank]!, { op, local, out: new Float32Array(LENGTH) }),
      )
      for (const got of [arrays, slots]) {
        t.true(relativeError(got[0]!.result, want, SEGMENTS) < 1e-6, `${local}, then ${op}`)
        t.is(bitsOf(got[0]!.result), bitsOf(got[1]!.result))
      }
      t.is(bitsOf(arrays[0]!.result), bitsOf(slots[0]!.result))
      t.deepEqual(slots[1]!.local, arrays[1]!.local)
    }
  await Promise.all(reducers.map((reducer) => reducer.close()))
  await world.close()
})

gpuTest('one rank on a device, the other on the CPU', async (t) => {
  const world = await makeWorld(2)
  const inputs = batches()
  const reducer = await reducerOf(inputs[0])
  const options = { op: 'adasum', local: 'adasum', coefficients: true } as const
  const [a, b] = await Promise.all([
    world.ranks[0]!.allReduce<Float32Array>(reducer, options),
    world.ranks[1]!.allReduce(inputs[1], { ...options, segments: SEGMENTS }),
  ])
  t.is(bitsOf(a.result), bitsOf(b.result))
  const inner = inputs.map((own) => oracle('adasum', own, SEGMENTS))
  t.true(relativeError(a.result, oracle('adasum', inner, SEGMENTS), SEGMENTS) < 1e-6)
  const cpu = adasumSync(inputs[0], { segments: SEGMENTS, coefficients: true }).segments
  for (const [index, { coefficients, orthogonality }] of a.local!.segments.entries()) {
    t.is(coefficients!.length, 3)
    t.true(coefficients!.every((c, i) => Math.abs(c - cpu[index]!.coefficients![i]!) < 1e-9))
    t.true(Math.abs(orthogonality! - cpu[index]!.orthogonality!) < 1e-9)
  }
  await reducer.close()
  await world.close()
})

gpuTest('slots of half formats, in their dtype and as f32', async (t) => {
  const world = await makeWorld(2)
  for (const dtype of ['f16', 'bf16'] as const) {
    const all = halfFamilyOf(dtype, 'independent', { count: 4, length: LENGTH, seed: 5 })
    const inputs = [all.slice(0, 2), all.slice(2)]
    const reducers = await Promise.all(
      inputs.map((own) => GpuReducer.create({ slots: own.length, segments: SEGMENTS, dtype })),
    )
    for (const [rank, own] of inputs.entries())
      for (const [slot, input] of own.entries()) await reducers[rank]!.write(slot, input)
    const options = { op: 'adasum', local: 'sum' } as const
    const same = await onAll(world.ranks, (comm, rank) => comm.allReduce<Uint16Array>(reducers[rank]!, options))
    const wide = await onAll(world.ranks, (comm, rank) =>
      comm.allReduce(reducers[rank]!, { ...options, out: new Float32Array(LENGTH) }),
    )
    const inner = inputs.map((own) => {
      const exact = oracle(
        'sum',
        own.map((half) => widened(dtype, half)),
        SEGMENTS,
      )
      return widened(dtype, halvesOf(dtype, exact))
    })
    const want = oracle('adasum', inner, SEGMENTS)
    t.true(same[0]!.result instanceof Uint16Array)
    t.true(relativeError(widened(dtype, same[1]!.result), want, SEGMENTS) < (dtype === 'f16' ? 2 ** -10 : 2 ** -7))
    t.true(relativeError(wide[1]!.result, want, SEGMENTS) < 1e-6)
    await Promise.all(reducers.map((reducer) => reducer.close()))
  }
  await world.close()
})

gpuTest('slots that are not finite: every rank throws, or the slot alone is left out', async (t) => {
  const world = await makeWorld(2)
  const inputs = batches()
  inputs[0][1]![9] = NaN
  const reducers = await Promise.all(inputs.map((own) => reducerOf(own)))
  const options = { op: 'adasum', local: 'average' } as const
  const calls = world.ranks.map((comm, rank) => comm.allReduce<Float32Array>(reducers[rank]!, options))
  for (const error of await failuresOf(calls)) {
    t.is((error as AdasumError).code, 'ERR_NON_FINITE')
    t.regex(error.message, /\(rank 0\)/)
  }
  const skipped = await onAll(world.ranks, (comm, rank) =>
    comm.allReduce<Float32Array>(reducers[rank]!, { ...options, onNonFinite: 'skip' }),
  )
  t.deepEqual(skipped[0]!.local!.nonFiniteInputs, [1])
  const kept = [[inputs[0][0]!, inputs[0][2]!], inputs[1]].map((own) => oracle('average', own, SEGMENTS))
  t.true(relativeError(skipped[1]!.result, oracle('adasum', kept, SEGMENTS), SEGMENTS) < 1e-6)
  await Promise.all(reducers.map((reducer) => reducer.close()))
  await world.close()
})

gpuTest('a device that is lost ends the group, and every rank hears why', async (t) => {
  const world = await makeWorld(2)
  const inputs = batches()
  const device = await GpuDevice.open()
  const reducers = [await reducerOf(inputs[0], device), await reducerOf(inputs[1])]
  device.destroy()
  const calls = world.ranks.map((comm, rank) =>
    comm.allReduce<Float32Array>(reducers[rank]!, { op: 'adasum', local: 'sum' }),
  )
  for (const error of await failuresOf(calls)) t.is((error as AdasumError).code, 'ERR_DEVICE_LOST')
  await Promise.all(reducers.map((reducer) => reducer.close()))
  await world.close()
})

gpuTest('bad input fails that call alone', async (t) => {
  const world = await makeWorld(2)
  const [comm] = world.ranks
  const reducer = await GpuReducer.create({ slots: 2, segments: 4 })
  const refused = async (options: object, message: RegExp): Promise<void> => {
    const call = comm!.allReduce(reducer, { op: 'sum', ...options } as never)
    await t.throwsAsync(call, { instanceOf: AdasumError, code: 'ERR_ARGUMENT', message })
  }
  await refused({}, /local is undefined/)
  await refused({ local: 'sum', backend: 'gpu' }, /have their own backend\. Leave `backend` out/)
  await refused({ local: 'sum', dtype: 'f16' }, /have their own dtype/)
  await refused({ local: 'sum', segments: [4] }, /have their own segments/)
  await refused({ local: 'sum', out: new Float32Array(5) }, /out has 5 elements, a slot has 4/)
  await refused({ local: 'sum', out: new Float64Array(4) }, /out is f64\[4\], the data is f32\[4\]/)
  await reducer.close()
  await refused({ local: 'sum' }, /the GpuReducer is closed/)
  const [a] = await onAll(world.ranks, (comm) => comm.allReduce(Float32Array.of(comm.rank + 1), { op: 'sum' }))
  t.is(a!.result[0], 3)
  await world.close()
})
