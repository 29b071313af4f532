import { parseArgs } from 'node:util'

export const HELP = `usage: adasum run -n 4 examples/characters/train.mjs [options]

Trains a small transformer on the characters of a text, and lets it write a little at the end.

  --text FILE   the text, UTF-8; default: six novels of Jane Austen out of a package of Debian
  --steps N     batches of each rank (default 400)
  --batch N     pieces of text in a batch of a rank (default 8)
  --rate X      learning rate of Adam (default 0.003)
  --sample N    characters that are written at the end (default 300)
  --help        this text
`

/**
 * @param {string[]} args
 * @returns {{ help: boolean, text: string | undefined, steps: number, batch: number, rate: number, sample: number }}
 * @throws Error for what is no option, or out of range
 */
export function readOptions(args) {
  const text = { type: /** @type {const} */ ('string') }
  const { values } = parseArgs({
    args,
    options: { text, steps: text, batch: text, rate: text, sample: text, help: { type: 'boolean', default: false } },
  })
  const count = (/** @type {'steps' | 'batch' | 'sample'} */ name, /** @type {number} */ otherwise) => {
    const value = Number(values[name] ?? otherwise)
    if (Number.isSafeInteger(value) && value >= 1) return value
    throw new Error(`--${name} is ${values[name]}; it must be a whole number of at least 1.`)
  }
  const rate = Number(values.rate ?? 0.003)
  if (!(rate > 0 && rate < 1)) throw new Error(`--rate is ${values.rate}; it must be a number between 0 and 1.`)
  const numbers = { steps: count('steps', 400), batch: count('batch', 8), sample: count('sample', 300) }
  return { help: values.help, text: values.text, rate, ...numbers }
}
