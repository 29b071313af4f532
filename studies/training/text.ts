/** Pieces of text: six novels of Jane Austen, out of a package of Debian, as the example has them. */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { HELD_OUT } from './model.ts'
import { shuffled } from './random.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
/** Lines with which the novels begin, in the order of the text. */
const TITLES = [
  ...['EMMA', 'MANSFIELD PARK', 'NORTHANGER ABBEY', 'Persuasion', 'PRIDE AND PREJUDICE', 'SENSE AND SENSIBILITY'],
]
/** The order of the pieces is the same in all studies. */
const ORDER_SEED = 7

/** The part of examples/characters/debian-text.mjs that is used here. */
interface DebianText {
  debianText: (folder: string) => string
}

export interface Pieces {
  /** How many different characters there are. */
  readonly characterCount: number
  /** How many pieces may be trained on. */
  readonly trainingCount: number
  /** Characters of some pieces, and those that follow each of them; `count` times `length` codes. */
  take(split: Split, indices: Uint32Array): { inputs: Int32Array; targets: Int32Array }
  /** How many novels there are. */
  readonly novelCount: number
  /** The novel in which each of some pieces begins. */
  novelsOf(split: Split, indices: Uint32Array): Int32Array
}

type Split = 'training' | 'validation' | 'test'

/**
 * Pieces that do not overlap, from all novels in turn: the last 5,000 are for tests, and those before them are held out.
 *
 * @param length - characters of a piece
 */
export async function readPieces(length: number): Promise<Pieces> {
  const path = join(ROOT, 'examples', 'characters', 'debian-text.mjs')
  const { debianText } = (await import(path)) as DebianText
  const text = debianText(join(ROOT, '.tools', 'characters'))
  const characters = [...new Set(text)].sort()
  const codeOf = new Map(characters.map((character, code) => [character, code]))
  const codes = Int32Array.from(text, (character) => codeOf.get(character)!)
  const order = shuffled(Math.floor((codes.length - 1) / length), ORDER_SEED)
  const trainingCount = order.length - 2 * HELD_OUT
  const novels = beginsOfNovels(text)
  const begins = { training: 0, validation: trainingCount, test: trainingCount + HELD_OUT }
  return {
    characterCount: characters.length,
    trainingCount,
    take(split, indices) {
      const [inputs, targets] = [new Int32Array(indices.length * length), new Int32Array(indices.length * length)]
      indices.forEach((index, row) => {
        const at = order[begins[split] + index]! * length
        inputs.set(codes.subarray(at, at + length), row * length)
        targets.set(codes.subarray(at + 1, at + length + 1), row * length)
      })
      return { inputs, targets }
    },
    novelCount: novels.length,
    novelsOf: (split, indices) =>
      Int32Array.from(indices, (index) => {
        const at = order[begins[split] + index]! * length
        return novels.findLastIndex((begin) => begin <= at)
      }),
  }
}

function beginsOfNovels(text: string): number[] {
  return TITLES.map((title, novel) => {
    const at = novel === 0 && text.startsWith(`${title}\n`) ? 0 : text.indexOf(`\n${title}\n`) + 1
    if (at === 0 && novel > 0)
      throw new Error(`The text has no line ${title}: it is not the one that studies are about.`)
    return at
  })
}
