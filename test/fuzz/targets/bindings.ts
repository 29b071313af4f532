/**
 * The entry points of the native addon and of the WebAssembly modules, with equal arguments: all refuse the same in the same
 * words and have written nothing, or all write the same bits where they may, and nothing anywhere else.
 */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Binding } from '../../../ts/src/binding/binding.ts'
import { loadBinding } from '../../../ts/src/binding/native.ts'
import { loadCode } from '../../../ts/src/binding/node-wasm.ts'
import { wasmBinding } from '../../../ts/src/binding/wasm.ts'
import type { AdasumError } from '../../../ts/src/errors.ts'
import { reasonOf } from '../../../ts/src/errors.ts'
import { mulberry32 } from '../../transport/_random.ts'
import { type Argument, ARENA_BYTES, CALL_NAMES, Choices, fillArena, planCall, type PlannedCall } from '../_calls.ts'
import { refusal, ensure, type Target } from '../_target.ts'

const HAS_WASM = existsSync(fileURLToPath(new URL('../../../wasm/simd.wasm', import.meta.url)))
const ARENA = fillArena(mulberry32(7))

interface Range {
  readonly begin: number
  readonly end: number
}

interface Outcome {
  readonly memory: Uint8Array
  readonly answer: string
  readonly error: Error | undefined
}

let bindings: readonly Binding[] | undefined

function allBindings(): readonly Binding[] {
  const wasm = HAS_WASM ? (['simd', 'plain'] as const).map((build) => wasmBinding(loadCode(build))) : []
  bindings ??= [loadBinding(), ...wasm]
  return bindings
}

/** The arguments in an arena: each behind the one before, unless it has an offset of its own. */
function place(args: readonly Argument[], arena: ArrayBuffer): { values: unknown[]; written: Range[] } {
  let next = 0
  const written: Range[] = []
  const take = (byteLength: number, offset = next): Range => {
    const begin = Math.min(offset, ARENA_BYTES - byteLength)
    next = Math.min(ARENA_BYTES, Math.max(next, Math.ceil((begin + byteLength) / 8) * 8))
    return { begin, end: begin + byteLength }
  }
  const bytes = ({ begin, end }: Range): Uint8Array => new Uint8Array(arena, begin, end - begin)
  const values = args.map((arg) => {
    if (arg.kind === 'number') return arg.value
    if (arg.kind === 'table') return Float64Array.from(arg.values)
    if (arg.kind === 'list') return arg.byteLengths.map((each, i) => bytes(take(each, arg.offsets?.[i])))
    const range = take(arg.byteLength, arg.kind === 'doubles' ? Math.floor((arg.offset ?? next) / 8) * 8 : arg.offset)
    if (arg.isWritten) written.push(range)
    return arg.kind === 'bytes'
      ? bytes(range)
      : new Float64Array(arena, Math.floor(range.begin / 8) * 8, arg.byteLength / 8)
  })
  return { values, written }
}

function callOn(binding: Binding, { name, args }: PlannedCall): Outcome & { written: Range[] } {
  const memory = ARENA.slice()
  const { values, written } = place(args, memory.buffer)
  try {
    const answer = (binding[name] as (...values: unknown[]) => unknown)(...values)
    return { memory, answer: textOf(answer), error: undefined, written }
  } catch (error) {
    refusal(error)
    ensure((error as AdasumError).code === 'ERR_ARGUMENT', () => `${name} threw ${(error as AdasumError).code}`)
    ensure(Buffer.compare(memory, ARENA) === 0, () => `${name} has refused, and written: ${reasonOf(error)}`)
    return { memory, answer: '', error: error as Error, written }
  }
}

/** With every bit of a number. */
function textOf(answer: unknown): string {
  return ArrayBuffer.isView(answer) ? Buffer.from(answer.buffer).toString('hex') : String(answer)
}

function checkWritten(
  { name }: PlannedCall,
  { memory, written }: { memory: Uint8Array; written: readonly Range[] },
): void {
  const restored = Uint8Array.from(memory)
  for (const { begin, end } of written) restored.set(ARENA.subarray(begin, end), begin)
  ensure(Buffer.compare(restored, ARENA) === 0, () => `${name} has written where it may not`)
}

export const bindingCalls: Target = {
  name: 'bindings',
  share: 2,
  largest: 96,
  // Each call with arguments that fit: none is changed.
  seeds: () =>
    CALL_NAMES.flatMap((_, call) =>
      [1, 2, 3].map((choice) => Uint8Array.of(call, 0, ...new Array<number>(12).fill(choice))),
    ),
  run(input) {
    const call = planCall(new Choices(input))
    const [first, ...others] = allBindings().map((binding) => callOn(binding, call))
    if (first!.error === undefined) checkWritten(call, first!)
    for (const other of others) {
      const [one, two] = [first!, other].map(({ error }) => error?.message ?? 'no error')
      ensure(one === two, () => `${call.name}: the addon says ${one}; WebAssembly ${two}`)
      ensure(
        first!.answer === other.answer,
        () => `${call.name} answers ${first!.answer}, by WebAssembly ${other.answer}`,
      )
      ensure(Buffer.compare(first!.memory, other.memory) === 0, () => `${call.name} gives other bits by WebAssembly`)
    }
    return first!.error === undefined
  },
}
