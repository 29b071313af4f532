/** Arguments that a binding must refuse: with ERR_ARGUMENT, in both forms, and without having written anything. */
import test from 'ava'
import { type Binding } from '../../ts/src/binding/binding.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { sampleOf } from '../_sample.ts'
import { bitsOf, bytesOf, doubles, ones } from './_calls.ts'
import type { Extent } from './_contract.ts'

type Arguments = Record<string, unknown>
/** Named arguments in the order of the call. */
type Call = (memory: Memory) => Arguments
type Spoil = (args: Arguments, memory: Memory) => void

/** Fresh valid memory of a call: two inputs of 16 f32 in two segments. */
class Memory {
  readonly inputs = [new Float32Array(16).fill(1), new Float32Array(16).fill(2)]
  readonly out = new Float32Array(16).fill(-77)
  readonly nodes = new Float64Array(3).fill(-77)
  readonly stats = new Float64Array(8).fill(-77)
  readonly codes = new Uint8Array(24).fill(77)

  bits(): string[] {
    return [...this.inputs, this.out, this.nodes, this.stats, this.codes].map(bitsOf)
  }
}

const inputs = (memory: Memory) => memory.inputs.map(bytesOf)
const CALLS: Record<string, Call> = {
  reduce: (m) => ({
    op: 2,
    dtype: 0,
    resultDtype: 0,
    inputs: inputs(m),
    weights: ones(2),
    pieces: doubles(10, 0, 10, 6, 0, 6),
    out: bytesOf(m.out),
    nodes: new Float64Array(0),
    stats: m.stats,
  }),
  gram: (m) => ({ dtype: 0, inputs: inputs(m), pieces: doubles(16, 0, 16), nodes: m.nodes }),
  refine: (m) => ({ dtype: 0, inputs: inputs(m), vectors: doubles(1, 2), pieces: doubles(16, 0, 16), nodes: m.nodes }),
  combine: (m) => ({
    dtype: 0,
    resultDtype: 0,
    inputs: inputs(m),
    elementCounts: doubles(10, 6),
    coefficients: doubles(1, 2, 3, 4),
    out: bytesOf(m.out),
  }),
  fold: (m) => ({ op: 3, dtype: 0, inputs: inputs(m), out: bytesOf(m.out) }),
  quantize: (m) => ({
    format: 4,
    blockElementCount: 16,
    input: bytesOf(m.inputs[0]!),
    elementCounts: doubles(10, 6),
    residual: bytesOf(m.out),
    codes: m.codes,
  }),
  dequantize: (m) => ({
    format: 4,
    blockElementCount: 16,
    codes: m.codes,
    elementCounts: doubles(10, 6),
    out: bytesOf(m.out),
  }),
  step: (m) => ({
    rule: 1,
    dtype: 0,
    gradient: bytesOf(m.inputs[0]!),
    elementCounts: doubles(10, 6),
    factors: ones(16),
    weights: bytesOf(m.out),
    first: bytesOf(m.inputs[1]!),
    second: new Uint8Array(0),
  }),
  orthogonalize: (m) => ({
    dtype: 0,
    rows: 2,
    columns: 8,
    factors: doubles(1e-7, 0, 3, -4, 2),
    matrix: bytesOf(m.out),
  }),
  hasNonFinite: (m) => ({ dtype: 0, input: bytesOf(m.inputs[0]!), elementCounts: doubles(10, 6) }),
  nodeCount: () => ({ pieces: doubles(10, 0, 10) }),
  gramFinish: () => ({ segment: 4096, runs: doubles(0, 2048, 2048, 2048), nodes: doubles(1, 2), productCount: 1 }),
  coefficients: () => ({
    rule: 0,
    parameter: 0,
    dtype: 0,
    weights: ones(4),
    gram: doubles(1, -1, 0, 0, 1, 0, 0, 1, 0, 1),
    refinements: doubles(0, 2, 0, 0, 0, 0, 0),
  }),
}

const set =
  (name: string, value: unknown): Spoil =>
  (args) =>
    void (args[name] = value)

function detached<A extends Uint8Array | Float64Array>(array: A): A {
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] })
  return array
}

/** What is wrong for any argument of its kind. */
const WRONG_KINDS: Record<string, unknown[]> = {
  number: [NaN, -1, 0.5, Infinity, '0', null, undefined, {}, 3n],
  bytes: [
    null,
    undefined,
    7,
    'bytes',
    {},
    [],
    new Int8Array(64),
    new Float32Array(16),
    new DataView(new ArrayBuffer(64)),
  ],
  doubles: [null, undefined, 7, {}, [1, 2], new Float32Array(2), new Uint8Array(64), new BigUint64Array(2)],
  list: [null, undefined, 7, {}, [], new Array(2 ** 32 - 1), [null], [new Float32Array(16)], [new Uint8Array(64), 'x']],
}

function kindOf(value: unknown): string {
  if (typeof value === 'number') return 'number'
  if (Array.isArray(value)) return 'list'
  return value instanceof Float64Array ? 'doubles' : 'bytes'
}

/** Browsers hide the class from most pages, and have it all the same. */
const Shared = new (
  globalThis as unknown as {
    WebAssembly: { Memory: new (limits: object) => { buffer: { constructor: SharedArrayBufferConstructor } } }
  }
).WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer.constructor

/** Memory of the right kind and length that must not be used. */
function unusable(value: unknown): unknown[] {
  if (value instanceof Float64Array) return [detached(value.slice()), new Float64Array(new Shared(value.byteLength))]
  if (value instanceof Uint8Array) return [detached(value.slice()), new Uint8Array(new Shared(value.byteLength))]
  return Array.isArray(value) ? unusable(value[0]).map((bad) => [bad, value[1] as unknown]) : []
}

const BAD_WEIGHTS = [-1, -1e-300, NaN, Infinity, 2 ** 70]

const BAD_FORMATS = [
  set('format', 0),
  set('format', 5),
  set('format', 2),
  ...[0, 8, 15, 24, 4096].map((bad) => set('blockElementCount', bad)),
  set('elementCounts', doubles(10, 5)),
  set('elementCounts', doubles(10, 6, 1)),
  set('elementCounts', doubles(17, -1)),
]

/** What disagrees with the other arguments. */
const DISAGREEING: Record<string, Spoil[]> = {
  reduce: [
    set('op', 3),
    set('dtype', 4),
    set('dtype', 1),
    set('dtype', 2),
    set('resultDtype', 1),
    set('resultDtype', 2),
    set('weights', ones(1)),
    ...BAD_WEIGHTS.map((bad) => set('weights', doubles(1, bad))),
    set('pieces', doubles(10, 0, 10)),
    set('pieces', doubles(10, 0, 10, 6, 0)),
    set('pieces', doubles(10, 0, 10, 6, 0, NaN)),
    set('pieces', doubles(2 ** 60, 0, 10, 6, 0, 6)),
    set('pieces', doubles(5, 0, 10, 6, 0, 6)),
    set('pieces', doubles(20, 10, 10, 6, 0, 6)),
    set('pieces', doubles(4096, 0, 10, 6, 0, 6)),
    set('stats', new Float64Array(7)),
    set('nodes', new Float64Array(1)),
    set('out', new Uint8Array(60)),
    (args, m) => (args.out = bytesOf(new Float32Array(m.inputs[0]!.buffer, 0, 16)).subarray(0, 63)),
    (args) => (args.inputs = [new Uint8Array(64), new Uint8Array(60)]),
    (args) => (args.inputs = [new Uint8Array(64), new Uint8Array(new ArrayBuffer(65), 1, 64)]),
    overlapping('out', 'inputs'),
    (args, m) => (args.stats = new Float64Array(m.out.buffer, 0, 8)),
    (args, m) => (args.stats = new Float64Array(m.inputs[1]!.buffer, 0, 8)),
  ],
  gram: [
    set('nodes', new Float64Array(2)),
    set('pieces', doubles(16, 0, 15)),
    (args, m) => (args.nodes = new Float64Array(m.inputs[0]!.buffer, 8, 3)),
  ],
  refine: [
    set('vectors', doubles(1)),
    set('nodes', new Float64Array(4)),
    set('pieces', doubles(8, 0, 8, 8, 0, 8)),
    set('pieces', doubles()),
    (args, m) => (args.nodes = new Float64Array(m.inputs[0]!.buffer, 8, 3)),
  ],
  combine: [
    set('elementCounts', doubles(10, 5)),
    set('elementCounts', doubles(17, -1)),
    set('coefficients', doubles(1, 2)),
    overlapping('out', 'inputs'),
  ],
  fold: [
    set('op', 0),
    set('op', 2),
    set('op', 5),
    set('dtype', 4),
    set('dtype', 13),
    set('inputs', new Array(4097).fill(new Uint8Array(64))),
    set('out', new Uint8Array(60)),
    set('out', new Uint8Array(new ArrayBuffer(65), 1, 64)),
    (args) => Object.assign(args, { dtype: 11, out: new Uint8Array(63), inputs: [new Uint8Array(63)] }),
    (args) => (args.inputs = [new Uint8Array(64), new Uint8Array(68)]),
    overlapping('out', 'inputs'),
  ],
  quantize: [
    ...BAD_FORMATS,
    set('input', new Uint8Array(60)),
    set('residual', new Uint8Array(60)),
    set('codes', new Uint8Array(23)),
    set('input', new Uint8Array(new ArrayBuffer(65), 1, 64)),
    set('residual', new Uint8Array(new ArrayBuffer(65), 1, 64)),
    (args, m) => (args.residual = bytesOf(m.inputs[0]!)),
    (args, m) => (args.codes = bytesOf(m.inputs[0]!).subarray(40)),
    (args, m) => (args.codes = bytesOf(m.out).subarray(0, 24)),
  ],
  dequantize: [
    ...BAD_FORMATS,
    set('codes', new Uint8Array(25)),
    set('out', new Uint8Array(60)),
    set('out', new Uint8Array(new ArrayBuffer(65), 1, 64)),
    (args, m) => (args.codes = bytesOf(m.out).subarray(40)),
  ],
  step: [
    set('rule', 0),
    set('rule', 2),
    set('rule', 4),
    set('rule', 5),
    set('dtype', 1),
    set('dtype', 2),
    set('dtype', 4),
    set('elementCounts', doubles(10, 5)),
    set('elementCounts', doubles(17, -1)),
    set('factors', ones(15)),
    set('gradient', new Uint8Array(60)),
    set('weights', new Uint8Array(new ArrayBuffer(65), 1, 64)),
    set('first', new Uint8Array(0)),
    set('second', new Uint8Array(64)),
    (args, m) => (args.weights = bytesOf(m.inputs[0]!)),
    (args, m) => (args.first = bytesOf(m.out)),
  ],
  orthogonalize: [
    set('dtype', 1),
    set('dtype', 2),
    set('dtype', 4),
    set('rows', 3),
    set('columns', 2 ** 53),
    set('factors', doubles()),
    set('factors', doubles(1, 0, 3)),
    set('factors', new Float64Array(305)),
    set('matrix', new Uint8Array(60)),
    set('matrix', new Uint8Array(new ArrayBuffer(65), 1, 64)),
  ],
  hasNonFinite: [set('elementCounts', doubles(10, 5)), set('input', new Uint8Array(63))],
  nodeCount: [set('pieces', doubles(10)), set('pieces', doubles(10, 1, 2)), set('pieces', doubles(10, 0, 11))],
  gramFinish: [
    set('runs', doubles(0, 2048)),
    set('runs', doubles(2048, 2048, 0, 2048)),
    set('runs', doubles(0, 4096, 2048, 2048)),
    set('nodes', doubles(1)),
    set('productCount', 2),
    set('productCount', 0),
    set('segment', 5000),
    set('runs', doubles()),
  ],
  coefficients: [
    set('rule', 3),
    set('parameter', 1),
    (args) => Object.assign(args, { rule: 1, parameter: 2.5 }),
    (args) => Object.assign(args, { rule: 2, parameter: 0.5 }),
    set('weights', ones(3)),
    set('weights', ones(0)),
    ...BAD_WEIGHTS.map((bad) => set('weights', doubles(1, bad, 1, 1))),
    set('gram', doubles(1)),
    set('refinements', doubles(0, 2)),
    set('refinements', doubles(1, 2, 0, 0, 0, 0, 0)),
    set('refinements', doubles(0, 1, 0, 0, 0, 0, 0)),
    set('refinements', doubles(0, 2, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0)),
  ],
}

/** One argument that shares memory with another, shifted. */
function overlapping(written: string, read: string): Spoil {
  return (args, memory) => {
    const memoryOfBoth = new Float32Array(17).fill(3)
    args[written] = bytesOf(memoryOfBoth.subarray(1))
    args[read] = [bytesOf(memoryOfBoth.subarray(0, 16)), bytesOf(memory.inputs[1]!)]
  }
}

export function hostileContract(binding: Binding, extent: Extent): void {
  for (const [name, call] of Object.entries(CALLS)) {
    test(`${name} accepts its arguments, and refuses them once one is spoilt`, async (t) => {
      const names = `${name}Async` in binding ? [name, `${name}Async`] : [name]
      for (const form of names) {
        await run(binding, form, call(new Memory()))
        const spoils = spoilsOf(name, call)
        for (const spoil of extent === 'everything' ? spoils : sampleOf(form, spoils, 10)) {
          const memory = new Memory()
          const args = call(memory)
          spoil(args, memory)
          const before = memory.bits()
          const error = await t.throwsAsync(() => run(binding, form, args), { instanceOf: AdasumError }, describe(args))
          t.is(error?.code, 'ERR_ARGUMENT', describe(args))
          t.deepEqual(memory.bits(), before, describe(args))
        }
      }
    })
  }

  test('detached and shared arrays are refused even where their length would fit', (t) => {
    const empty = detached(new Uint8Array(8))
    const refused = (message: RegExp, call: () => void) => t.throws(call, { code: 'ERR_ARGUMENT', message })
    refused(/detached/, () => binding.combine(0, 0, [empty], doubles(), doubles(), new Uint8Array(0)))
    refused(/detached/, () => binding.nodeCount(detached(new Float64Array(0))))
    refused(/shared/, () => binding.hasNonFinite(0, new Uint8Array(new Shared(0)), doubles()))
  })

  test('an array that a getter of the list detaches is refused', (t) => {
    const first = new Uint8Array(64)
    const list = Object.defineProperty([first, first], 1, { get: () => (detached(first), new Uint8Array(64)) })
    const [out, counts] = [new Uint8Array(64), doubles(16)]
    t.throws(() => binding.combine(0, 0, list, counts, doubles(1, 1), out), {
      code: 'ERR_ARGUMENT',
      message: /detached/,
    })
  })

  test('empty inputs are no error', (t) => {
    const [none, stats] = [new Uint8Array(0), new Float64Array(4)]
    binding.reduce(2, 0, 0, [none, none], ones(2), doubles(0, 0, 0), none, doubles(), stats)
    t.deepEqual([...stats], [1, 0, 0, 0])
    t.false(binding.hasNonFinite(0, none, doubles()))
    t.notThrows(() => binding.fold(4, 9, [none, none], none))
  })
}

function spoilsOf(name: string, call: Call): Spoil[] {
  const wrong = Object.entries(call(new Memory())).flatMap(([argument, value]) =>
    [...WRONG_KINDS[kindOf(value)]!, ...unusable(value)].map((bad) => set(argument, bad)),
  )
  return [...wrong, ...DISAGREEING[name]!]
}

async function run(binding: Binding, form: string, args: Arguments): Promise<void> {
  const call = binding[form as keyof Binding] as (...args: unknown[]) => unknown
  await call(...Object.values(args))
}

// Detached arrays cannot be printed.
const describe = (args: Arguments): string =>
  Object.entries(args)
    .map(
      ([name, value]) =>
        `${name}: ${Array.isArray(value) ? value.slice(0, 9).map(briefly).join(' and ') : briefly(value)}`,
    )
    .join(', ')
const briefly = (value: unknown): string =>
  ArrayBuffer.isView(value) ? `${value.constructor.name} of ${value.byteLength} bytes` : String(value)
