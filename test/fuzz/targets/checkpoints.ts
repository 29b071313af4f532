/** Folders with sharded files behind an index, and checkpoints behind a manifest. Choices: which file is another; its checksum. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadCheckpoint, readSafetensors, saveCheckpoint, writeSafetensors } from '../../../ts/src/checkpoint/index.ts'
import { readIndex } from '../../../ts/src/checkpoint/safetensors-index.ts'
import { parseManifest } from '../../../ts/src/checkpoint/manifest.ts'
import { FormatError } from '../../../ts/src/checkpoint/json-reader.ts'
import { foreignRefusal, inputOf, refusal, ensure, type Target } from '../_target.ts'
import { sourceOf } from './safetensors.ts'

const INDEX = JSON.stringify({
  metadata: { total_size: 20 },
  weight_map: { kernel: 'a.safetensors', bias: 'b.safetensors', beta: 'b.safetensors' },
})

const CONTENT = {
  shared: { sha256: 'ab'.repeat(32), values: { step: 3, note: 'é', list: [1, null, { deep: true }] } },
  local: [{ sha256: null, values: { order: [3, 1, 2] } }, null],
}

const manifestOf = (content: unknown, sha256 = hashOf(content)): string =>
  `${JSON.stringify({ format: 'adasum checkpoint 1', sha256, content })}\n`

function hashOf(content: unknown): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('hex')
}

/** The manifest with the checksum of its own content, as whoever forges one would write it. */
function withChecksum(text: string): string {
  try {
    return manifestOf((JSON.parse(text) as { content?: unknown }).content ?? null)
  } catch {
    return text
  }
}

export const manifests: Target = {
  name: 'manifests',
  share: 10,
  largest: 2048,
  seeds: () => [inputOf([0], manifestOf(CONTENT)), inputOf([1], manifestOf({ ...CONTENT, local: [null] }))],
  words: ['"shared":', '"local":', '"sha256":null', '"values":{', '[null]', '[]', '-0', '1e400', '"__proto__":'],
  run(input) {
    const given = Buffer.from(input.subarray(1)).toString('utf8')
    const text = (input[0] ?? 0) % 2 === 1 ? withChecksum(given) : given
    let manifest
    try {
      manifest = parseManifest(text, 'manifest.json')
    } catch (error) {
      return foreignRefusal(error)
    }
    const { shared, local } = manifest
    for (const part of [shared, ...local].filter((found) => found !== null)) {
      ensure(part.sha256 === null || /^[0-9a-f]{64}$/.test(part.sha256), 'a checksum is none')
      ensure(typeof part.values === 'object' && part.values !== null, 'values are no object')
    }
    ensure(local.length > 0, 'a checkpoint of no rank')
    const again = parseManifest(manifestOf(manifest), 'manifest.json')
    ensure(JSON.stringify(again) === JSON.stringify(manifest), 'it is written as another manifest')
    return true
  },
}

export const indexes: Target = {
  name: 'indexes',
  share: 10,
  largest: 2048,
  seeds: () => [Buffer.from(INDEX)],
  words: ['"weight_map":{', '"../a"', '".."', '"a\\\\b"', '"C:x"', '"\\u0000"', '{}', '"__proto__":"a"', '\u202e'],
  async run(input) {
    let fileOf: ReadonlyMap<string, string>
    try {
      fileOf = await readIndex(sourceOf(input))
    } catch (error) {
      return foreignRefusal(error, (found) => found instanceof FormatError)
    }
    for (const file of fileOf.values()) ensure(join('folder', file) === `folder/${file}`, `${file} is another folder's`)
    const text = `{"weight_map":{${[...fileOf].map((pair) => pair.map((word) => JSON.stringify(word)).join(':')).join()}}}`
    const again = await readIndex(sourceOf(Buffer.from(text)))
    ensure(JSON.stringify([...again]) === JSON.stringify([...fileOf]), 'it is written as another index')
    return true
  },
}

/** A folder with a set of files and a checkpoint, all of them whole. */
class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'adasum-fuzz-'))
  files: readonly string[] = []
  readonly #contents = new Map<string, Buffer>()

  static async filled(): Promise<Folder> {
    const folder = new Folder()
    await folder.#fill()
    return folder
  }

  async #fill(): Promise<void> {
    await writeSafetensors(join(this.path, 'a.safetensors'), { kernel: new Float32Array([1, 2]) })
    await writeSafetensors(join(this.path, 'b.safetensors'), { bias: new Float32Array(2), beta: new Uint8Array(4) })
    writeFileSync(join(this.path, 'set.safetensors.index.json'), INDEX)
    const arrays = { weights: new Float32Array([1, 2, 3]) }
    await saveCheckpoint(this.path, { arrays, values: { step: 3 }, local: { arrays, values: { seed: 5 } } })
    const all = readdirSync(this.path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    this.files = all.map(({ parentPath, name }) => join(parentPath, name)).toSorted()
    for (const file of this.files) this.#contents.set(file, readFileSync(file))
    process.once('exit', () => rmSync(this.path, { recursive: true, force: true }))
  }

  contentOf(file: string): Buffer {
    return this.#contents.get(file)!
  }

  async with(file: string, bytes: Uint8Array, use: () => Promise<boolean>): Promise<boolean> {
    writeFileSync(file, bytes)
    try {
      return await use()
    } finally {
      writeFileSync(file, this.contentOf(file))
    }
  }
}

let folder: Promise<Folder> | undefined

async function theFolder(): Promise<Folder> {
  folder ??= Folder.filled()
  return folder
}

async function reads(read: () => Promise<unknown>): Promise<boolean> {
  try {
    await read()
    return true
  } catch (error) {
    // Its message has the path, which is ours.
    return refusal(error)
  }
}

export const folders: Target = {
  name: 'folders',
  share: 0.2,
  largest: 4096,
  seeds: async () => {
    const { files, contentOf } = bound(await theFolder())
    return files.map((file, index) => inputOf([index, 1], contentOf(file)))
  },
  words: manifests.words!,
  async run(input) {
    const made = await theFolder()
    const file = made.files[(input[0] ?? 0) % made.files.length]!
    const content = Buffer.from(input.subarray(2))
    const isForged = file.endsWith('manifest.json') && (input[1] ?? 0) % 2 === 1
    return made.with(file, isForged ? Buffer.from(withChecksum(content.toString('utf8'))) : content, async () => {
      const outcomes = [
        await reads(() => readSafetensors(join(made.path, 'set.safetensors.index.json'))),
        await reads(() => loadCheckpoint(made.path)),
      ]
      return outcomes.every((isRead) => isRead)
    })
  },
}

const bound = (made: Folder) => ({ files: made.files, contentOf: (file: string) => made.contentOf(file) })
