import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type Checkpoint, type CheckpointContent, type CheckpointOptions, loadCheckpoint, restoreArrays, saveCheckpoint } from '../../ts/src/checkpoint/index.ts' // prettier-ignore
import type { Communicator } from '../../ts/src/communicator/communicator.ts'
import { AdasumError } from '../../ts/src/errors.ts'
import { fc, runsOf } from '../_property.ts'
import { makeWorld } from '../_world.ts'
import { folder } from './_folder.ts'

const contentOf = (step: number): CheckpointContent => ({
  arrays: { w: { data: Float32Array.of(step, 0.5), shape: [2, 1] }, n: Int32Array.of(step) },
  values: { step, sampler: { epoch: 1, position: step }, note: 'ü' },
  local: { arrays: { m: Float64Array.of(step / 3) }, values: { draws: step } },
})

const stepOf = (checkpoint: Checkpoint | undefined): unknown => checkpoint?.values['step']

/** Warnings of this process that a test causes; ava runs the tests of this file one by one. */
async function warningsOf(run: () => Promise<unknown>): Promise<string[]> {
  const seen: string[] = []
  const listener = (warning: Error): void => void seen.push(warning.message)
  process.on('warning', listener)
  await run()
  // They are emitted a turn later.
  await new Promise((resolve) => setImmediate(resolve))
  process.off('warning', listener)
  return seen
}

test.serial('what is saved is loaded, and the newest wins', async (t) => {
  const path = folder(t)
  t.is(await loadCheckpoint(path), undefined)
  t.is(await loadCheckpoint(join(path, 'none')), undefined)
  const inner = join(path, 'a', 'b')
  t.is(await saveCheckpoint(inner, contentOf(1)), join(inner, 'checkpoint-000001'))
  await saveCheckpoint(inner, contentOf(2))
  const loaded = await loadCheckpoint(inner)
  t.like(loaded, { path: join(inner, 'checkpoint-000002'), size: 1, values: contentOf(2).values! })
  t.deepEqual(loaded!.arrays.get('w'), { dtype: 'F32', shape: [2, 1], data: Float32Array.of(2, 0.5) })
  t.deepEqual(loaded!.arrays.get('n')!.data, Int32Array.of(2))
  t.is(loaded!.local!.rank, 0)
  t.deepEqual(loaded!.local!.arrays.get('m')!.data, Float64Array.of(2 / 3))
  t.deepEqual(loaded!.local!.values, { draws: 2 })
  t.deepEqual(readdirSync(loaded!.path).sort(), ['manifest.json', 'rank-0.safetensors', 'shared.safetensors'])
})

test.serial('parts may be absent', async (t) => {
  const path = folder(t)
  await saveCheckpoint(path, {})
  const loaded = await loadCheckpoint(path)
  t.deepEqual([loaded!.arrays.size, loaded!.values, loaded!.local], [0, {}, undefined])
  await saveCheckpoint(path, { local: { values: { x: 1 } } })
  t.deepEqual((await loadCheckpoint(path))!.local, { rank: 0, arrays: new Map(), values: { x: 1 } })
})

test.serial('as many stay as are to be kept, and nothing of interrupted saves', async (t) => {
  const path = folder(t)
  const names = (): string[] => readdirSync(path).sort()
  for (let step = 1; step <= 4; step++) await saveCheckpoint(path, contentOf(step))
  t.deepEqual(names(), ['checkpoint-000003', 'checkpoint-000004'])
  mkdirSync(join(path, 'checkpoint-000005'))
  writeFileSync(join(path, 'checkpoint-000005', 'shared.safetensors.x.tmp'), 'half')
  writeFileSync(join(path, 'notes.txt'), 'mine')
  t.is(stepOf(await loadCheckpoint(path)), 4)
  await saveCheckpoint(path, contentOf(6), { keep: 3 })
  t.deepEqual(names(), ['checkpoint-000003', 'checkpoint-000004', 'checkpoint-000006', 'notes.txt'])
  await saveCheckpoint(path, contentOf(7), { keep: 1 })
  t.deepEqual(names(), ['checkpoint-000007', 'notes.txt'])
})

/** In the order in which they are written; the manifest by a name of its own until it is whole. */
const FILES = ['shared.safetensors', 'rank-0.safetensors', 'manifest.json']

test.serial('at whatever byte a save ends, the checkpoint before it is loaded', async (t) => {
  const path = folder(t)
  await saveCheckpoint(path, contentOf(1))
  await saveCheckpoint(path, contentOf(2))
  const [second, copy] = [join(path, 'checkpoint-000002'), join(folder(t), 'copy')]
  cpSync(second, copy, { recursive: true })
  const lengths = FILES.map((name) => readFileSync(join(copy, name)).length)
  const check = async (at: number, isTemporary: boolean): Promise<void> => {
    rmSync(second, { recursive: true })
    mkdirSync(second)
    // Without the line's end, which is the last byte, all is there.
    let left = at % (lengths.reduce((sum, length) => sum + length) - 1)
    for (const [index, name] of FILES.entries()) {
      const isWhole = left >= lengths[index]!
      const target = join(second, isWhole || !isTemporary ? name : `${name}.0.tmp`)
      cpSync(join(copy, name), target)
      if (!isWhole) truncateSync(target, left)
      if (!isWhole) break
      left -= lengths[index]!
    }
    const warnings = await warningsOf(async () => t.is(stepOf(await loadCheckpoint(path)), 1))
    // Only what never happens, a manifest that is not whole, is worth a warning.
    t.is(warnings.length, existsSync(join(second, 'manifest.json')) ? 1 : 0)
  }
  await fc.assert(fc.asyncProperty(fc.nat(), fc.boolean(), check), { numRuns: runsOf(60) })
})

test.serial('a finished checkpoint that is damaged is passed over with a warning; if all are, that is an error', async (t) => {
  const path = folder(t)
  for (const name of FILES) {
    rmSync(path, { recursive: true, force: true })
    await saveCheckpoint(path, contentOf(1))
    await saveCheckpoint(path, contentOf(2))
    const damage = (number: number): void => {
      const file = join(path, `checkpoint-00000${number}`, name)
      const bytes = readFileSync(file)
      bytes[bytes.length - 4]! ^= 1
      writeFileSync(file, bytes)
    }
    damage(2)
    const warnings = await warningsOf(async () => t.is(stepOf(await loadCheckpoint(path)), 1, name))
    t.regex(warnings.join(), /checkpoint-000002 is damaged: .* Going on from .*checkpoint-000001\./)
    damage(1)
    const error = await t.throwsAsync(loadCheckpoint(path), { code: 'ERR_ARGUMENT' })
    t.regex(error.message, /no checkpoint of .* is whole\. .*checkpoint-000002 is damaged: .*checkpoint-000001 is damaged: /)
  }
}) // prettier-ignore

test.serial('a file of another checkpoint does not pass for one of this', async (t) => {
  const path = folder(t)
  await saveCheckpoint(path, contentOf(1))
  await saveCheckpoint(path, contentOf(2))
  cpSync(join(path, 'checkpoint-000001', 'rank-0.safetensors'), join(path, 'checkpoint-000002', 'rank-0.safetensors'))
  const warnings = await warningsOf(async () => t.is(stepOf(await loadCheckpoint(path)), 1))
  t.regex(warnings.join(), /rank-0\.safetensors has the SHA-256 \w+, the manifest says/)
})

test.serial('a manifest in which a value was changed is damaged', async (t) => {
  const path = folder(t)
  await saveCheckpoint(path, contentOf(1))
  await saveCheckpoint(path, contentOf(2))
  const manifest = join(path, 'checkpoint-000002', 'manifest.json')
  const text = readFileSync(manifest, 'utf8')
  writeFileSync(manifest, text.replace('"step":2', '"step":9'))
  const warnings = await warningsOf(async () => t.is(stepOf(await loadCheckpoint(path)), 1))
  t.regex(warnings.join(), /manifest\.json is damaged, or of another version: its checksum does not agree/)
  for (const other of ['null', '[]', '"x"', '{}', text.replace('checkpoint 1', 'checkpoint 2')]) {
    writeFileSync(manifest, other)
    await warningsOf(async () => t.is(stepOf(await loadCheckpoint(path)), 1, other))
  }
})

/** As whoever has no checkpoint, but knows how one is written. */
function forged(content: string): string {
  const sha256 = createHash('sha256').update(content).digest('hex')
  return JSON.stringify({ format: 'adasum checkpoint 1', sha256 }).replace(/}$/, `,"content":${content}}`)
}

const PART = '{"sha256":null,"values":{}}'
const OTHER_CONTENTS: Record<string, string> = {
  nothing: 'null',
  'a list': '[]',
  'no fields': '{}',
  'no ranks': `{"shared":${PART},"local":[]}`,
  'ranks that are no list': `{"shared":${PART},"local":{"length":1}}`,
  'a rank that is a number': `{"shared":${PART},"local":[7]}`,
  'a checksum that is none': `{"shared":{"sha256":"../x","values":{}},"local":[null]}`,
  'values that are a list': `{"shared":{"sha256":null,"values":[]},"local":[null]}`,
  'values that are nothing': `{"shared":${PART},"local":[{"sha256":null,"values":null}]}`,
  'more depth than there is stack': `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
}

for (const [what, content] of Object.entries(OTHER_CONTENTS)) {
  test.serial(`a manifest with the right checksum over ${what} is refused as a damaged one is`, async (t) => {
    const path = folder(t)
    await saveCheckpoint(path, contentOf(1))
    await saveCheckpoint(path, contentOf(2))
    writeFileSync(join(path, 'checkpoint-000002', 'manifest.json'), forged(content))
    const warnings = await warningsOf(async () => t.is(stepOf(await loadCheckpoint(path)), 1))
    t.regex(warnings.join(), /manifest\.json is (none of a checkpoint|damaged, or of another version)/)
  })
}

test('a manifest that is forged as it is written is read', async (t) => {
  const path = folder(t)
  await saveCheckpoint(path, contentOf(1))
  const part = '{"sha256":null,"values":{"step":7}}'
  writeFileSync(join(path, 'checkpoint-000001', 'manifest.json'), forged(`{"shared":${part},"local":[null]}`))
  t.is(stepOf(await loadCheckpoint(path)), 7)
})

async function onAll<T>(t: ExecutionContext, size: number, run: (comm: Communicator) => Promise<T>): Promise<T[]> {
  const world = await makeWorld(size)
  t.teardown(() => world.close())
  return Promise.all(world.ranks.map(run))
}

const rankContent = (rank: number, size: number): CheckpointContent => ({
  // Only those of rank 0 are stored.
  arrays: { w: Float32Array.of(100 * size + rank, 1, 2), none: new Float32Array(0) },
  values: { step: 100 * size + rank },
  ...(rank !== 2 && { local: { arrays: { m: Float32Array.of(rank) }, values: { rank } } }),
})

for (const size of [1, 2, 4])
  test.serial(`${size} ranks save, any number loads`, async (t) => {
    const path = folder(t)
    const paths = await onAll(t, size, (comm) => saveCheckpoint(path, rankContent(comm.rank, size), { comm }))
    t.deepEqual(new Set(paths), new Set([join(path, 'checkpoint-000001')]))
    for (const later of [1, 2, 3, 5]) {
      const loaded = await onAll(t, later, (comm) => loadCheckpoint(path, { comm }))
      for (const [rank, checkpoint] of loaded.entries()) {
        const owner = rank % size
        t.like(checkpoint, { size, values: { step: 100 * size } })
        t.deepEqual([...checkpoint!.arrays.keys()], ['w', 'none'])
        t.deepEqual(checkpoint!.arrays.get('w')!.data, Float32Array.of(100 * size, 1, 2))
        t.deepEqual(checkpoint!.arrays.get('none'), { dtype: 'F32', shape: [0], data: new Float32Array(0) })
        if (owner === 2) t.is(checkpoint!.local, undefined)
        else {
          t.like(checkpoint!.local, { rank: owner, values: { rank: owner } })
          t.deepEqual(checkpoint!.local!.arrays.get('m')!.data, Float32Array.of(owner))
        }
      }
    }
  })

test.serial('each rank may have a disk of its own', async (t) => {
  const path = folder(t)
  const own = (comm: Communicator): string => join(path, String(comm.rank))
  for (let step = 0; step < 3; step++)
    await onAll(t, 3, (comm) => saveCheckpoint(own(comm), rankContent(comm.rank, 3), { comm, keep: 1 }))
  t.deepEqual(['0', '1', '2'].map((rank) => readdirSync(join(path, rank))), [['checkpoint-000003'], ['checkpoint-000003'], ['checkpoint-000003']]) // prettier-ignore
  const loaded = await onAll(t, 3, (comm) => loadCheckpoint(own(comm), { comm }))
  t.deepEqual(loaded.map((checkpoint) => [stepOf(checkpoint), checkpoint!.local?.rank]), [[300, 0], [300, 1], [300, undefined]]) // prettier-ignore
})

test.serial('if one rank cannot write, all learn of it, and the checkpoint before stays', async (t) => {
  const [path, blocked] = [folder(t), join(folder(t), 'file')]
  writeFileSync(blocked, '')
  await onAll(t, 3, (comm) => saveCheckpoint(path, rankContent(comm.rank, 3), { comm }))
  const errors = await onAll(t, 3, (comm) =>
    saveCheckpoint(comm.rank === 1 ? blocked : path, rankContent(comm.rank, 9), { comm }).catch((error: unknown) => error),
  ) // prettier-ignore
  for (const [rank, error] of errors.entries()) {
    t.true(error instanceof AdasumError)
    t.like(error, { code: 'ERR_ARGUMENT', ...(rank !== 1 && { peerRank: 1 }) })
    t.regex((error as AdasumError).message, rank === 1 ? /^.*could not be made: / : /^rank 1: .*could not be made: /)
  }
  t.deepEqual(readdirSync(path), ['checkpoint-000001'])
  t.deepEqual((await onAll(t, 3, (comm) => loadCheckpoint(path, { comm }))).map(stepOf), [300, 300, 300])
})

test.serial('if the content of one rank cannot be stored, all learn of it at once', async (t) => {
  const path = folder(t)
  const errors = await onAll(t, 3, (comm) => {
    const values = { rate: comm.rank === 2 ? NaN : 1 }
    return saveCheckpoint(path, { local: { values } }, { comm }).catch((error: unknown) => error)
  })
  for (const [rank, error] of errors.entries()) {
    t.like(error, { code: 'ERR_ARGUMENT', ...(rank !== 2 && { peerRank: 2 }) })
    t.regex((error as AdasumError).message, /^(rank 2: )?local\.values\.rate is NaN/)
  }
  t.deepEqual(readdirSync(path), [])
})

test.serial('all ranks pass over what is damaged for one of them', async (t) => {
  const path = folder(t)
  for (let step = 0; step < 2; step++)
    await onAll(t, 2, (comm) => saveCheckpoint(path, { ...rankContent(comm.rank, 2), values: { step } }, { comm }))
  truncateSync(join(path, 'checkpoint-000002', 'rank-1.safetensors'), 50)
  const warnings = await warningsOf(async () => {
    t.deepEqual((await onAll(t, 2, (comm) => loadCheckpoint(path, { comm }))).map(stepOf), [0, 0])
    // On rank 1 of two, and on the ranks that take over its state.
    t.deepEqual((await onAll(t, 4, (comm) => loadCheckpoint(path, { comm }))).map(stepOf), [0, 0, 0, 0])
  })
  t.is(warnings.length, 2)
  t.is(stepOf(await loadCheckpoint(path)), 1)
})

test('arrays go back to where they came from, all or none', (t) => {
  const stored = new Map(
    Object.entries({
      w: { dtype: 'F32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
      n: { dtype: 'I32', shape: [1], data: Int32Array.of(7) },
    }),
  )
  const [w, n] = [new Float32Array(4), new Int32Array(1)]
  const refuses = (targets: Parameters<typeof restoreArrays>[1], message: RegExp): void => {
    t.throws(() => restoreArrays(stored, targets), { code: 'ERR_MISMATCH', message })
    t.deepEqual([...w, ...n], [0, 0, 0, 0, 0])
  }
  refuses({ w, x: n }, /the array "x" is I32\[1\] in the program and missing in the file/)
  refuses({ w, n: new Float32Array(1) }, /"n" is F32\[1\] in the program and I32\[1\] in the file/)
  refuses({ n, w: w.subarray(1) }, /"w" is F32\[3\] in the program and F32\[2, 2\] in the file/)
  refuses({ w: { data: w, shape: [4, 1] } }, /"w" is F32\[4, 1\]/)
  restoreArrays(stored, { w, n })
  t.deepEqual([...w, ...n], [1, 2, 3, 4, 7])
})

const REFUSED: [what: string, run: (path: string) => Promise<unknown>, message: RegExp][] = [
  ['no folder', () => saveCheckpoint('', {}), /path is an empty string; it must be a string, the name of a folder/],
  ['no content', (path) => saveCheckpoint(path, null as never), /the content must be an object; got null/],
  ['a misspelt part', (path) => saveCheckpoint(path, { array: {} } as never), /no option "array"/],
  ['a misspelt local part', (path) => saveCheckpoint(path, { local: { value: {} } } as never), /no option "value"/],
  ['keep 0', (path) => saveCheckpoint(path, {}, { keep: 0 }), /keep is 0/],
  ['a misspelt option', (path) => saveCheckpoint(path, {}, { kept: 1 } as never), /no option "kept"/],
  ['keep when loading', (path) => loadCheckpoint(path, { keep: 1 } as CheckpointOptions), /no option "keep"/],
  ['a promise of a communicator', (path) => loadCheckpoint(path, { comm: Promise.resolve() as never }), /comm must be a communicator/],
  ['a number that JSON cannot hold', (path) => saveCheckpoint(path, { values: { a: [{ 'b c': NaN }] } }), /values\.a\[0\]\.b c is NaN, which JSON cannot hold/],
  ['a typed array', (path) => saveCheckpoint(path, { local: { values: { a: Float32Array.of(1) } } }), /local\.values\.a is an object of type Float32Array/],
  ['a bigint', (path) => saveCheckpoint(path, { values: { a: 1n } }), /values\.a is a bigint/],
  ['a date', (path) => saveCheckpoint(path, { values: { a: new Date(0) } }), /values\.a is an object of type Date/],
  ['a circle', (path) => { const a: Record<string, unknown> = {}; a['a'] = a; return saveCheckpoint(path, { values: a }) }, /is nested more than 100 deep/],
  ['a list of values', (path) => saveCheckpoint(path, { values: [] as never }), /values must be an object; got a plain array/],
] // prettier-ignore
for (const [what, run, message] of REFUSED)
  test(`what cannot be saved is refused before anything is written: ${what}`, async (t) => {
    const path = folder(t)
    await t.throwsAsync(run(path), { code: 'ERR_ARGUMENT', message })
    t.deepEqual(readdirSync(path), [])
  })
