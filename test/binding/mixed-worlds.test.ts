/** Worlds in which the addon computes on some ranks and WebAssembly on the others: every call has the bits of the addon alone. */
import test from 'ava'
import type { Binding } from '../../ts/src/binding/binding.ts'
import { loadBinding } from '../../ts/src/binding/native.ts'
import { loadWasm } from '../../ts/src/binding/node-wasm.ts'
import { Compressor } from '../../ts/src/compressor.ts'
import { DEFAULT_TUNING } from '../../ts/src/tuning.ts'
import { makeWorld, onAll } from '../_world.ts'
import { TUNING, everyCall } from './_every-call.mjs'

type Kind = Binding['kind']

/** Those that every rank needs. */
const KERNELS = ['reduce', 'combine', 'fold', 'quantize', 'dequantize', 'hasNonFinite'] as const

/** A binding of its own for a rank, which counts what is asked of it. */
function counted(kind: Kind): { binding: Binding; calls: Record<string, number> } {
  const binding = kind === 'wasm' ? loadWasm() : loadBinding()
  const calls: Record<string, number> = {}
  const count = (name: string, call: unknown): unknown =>
    typeof call !== 'function'
      ? call
      : (...args: unknown[]): unknown => {
          calls[name] = (calls[name] ?? 0) + 1
          return (call as (...args: unknown[]) => unknown)(...args)
        }
  const entries = Object.entries(binding).map(([name, call]: [string, unknown]) => [name, count(name, call)] as const)
  return { binding: Object.fromEntries(entries) as unknown as Binding, calls }
}

/** What every rank of a world comes to, and what it has asked of its binding. */
async function digestsOf(kinds: readonly Kind[]) {
  const bindings = kinds.map(counted)
  const world = await makeWorld(kinds.length, {
    bindingOf: (rank) => bindings[rank]!.binding,
    machineOf: (rank) => rank >> 1,
    tuning: { ...DEFAULT_TUNING, ...TUNING },
  })
  const digests = await onAll(world.ranks, (comm) => everyCall(comm, Compressor))
  const metrics = world.ranks.map((comm) => comm.metrics())
  await world.close()
  return { digests, metrics, calls: bindings.map(({ calls }) => calls) }
}

const callsOf = (made: Record<string, number>, name: string): number => (made[name] ?? 0) + (made[`${name}Async`] ?? 0)

const mixed = (size: number): Kind[] => Array.from({ length: size }, (_, rank) => (rank % 2 === 0 ? 'wasm' : 'native'))

for (const kinds of [mixed(2), mixed(3), mixed(17)])
  test.serial(`every call has the bits of the addon: ${kinds.join(' ')}`, async (t) => {
    const want = await digestsOf(kinds.map(() => 'native'))
    const got = await digestsOf(kinds)
    t.true(Object.keys(want.digests[0]!).length > 25)
    t.deepEqual(got.digests, want.digests)
    for (const [rank, digests] of got.digests.entries())
      for (const [name, digest] of Object.entries(digests))
        if (!name.startsWith('own')) t.true(digest === got.digests[0]![name], `${name} on rank ${rank}`)
    for (const [rank, kind] of kinds.entries()) {
      const { binding, calls } = got.metrics[rank]!
      t.is(binding.kind, kind)
      t.is(binding.isa, (kind === 'wasm' ? loadWasm() : loadBinding()).isa())
      const made = got.calls[rank]!
      for (const name of KERNELS) t.true(callsOf(made, name) > 0, `${name} on rank ${rank}`)
      // WebAssembly has one thread, and says so.
      const isOffThread = Object.keys(made).some((name) => name.endsWith('Async'))
      t.is(isOffThread, kind === 'native')
      t.is(
        calls.some(({ offThreadKernels }) => offThreadKernels > 0),
        kind === 'native',
      )
    }
    // Among more than two ranks, those that share a segment whose Gram matrix has too few digits multiply once more.
    t.true(kinds.length === 2 || got.calls.some((made, rank) => kinds[rank] === 'wasm' && callsOf(made, 'refine') > 0))
  })
