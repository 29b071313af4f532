/** Inputs that were found: those that broke something once, and those that lead where no other does. A line of JSON each. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export interface Found {
  /** Base64. */
  readonly input: string
  /** What was wrong with how it was treated; absent if nothing was. */
  readonly fault?: string
}

const fileOf = (name: string): string => fileURLToPath(new URL(`corpus/${name}.jsonl`, import.meta.url))

export function readCorpus(name: string): Found[] {
  if (!existsSync(fileOf(name))) return []
  const lines = readFileSync(fileOf(name), 'utf8').split('\n')
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Found)
}

export function writeCorpus(name: string, all: readonly Found[]): void {
  writeFileSync(fileOf(name), all.map((found) => `${JSON.stringify(found)}\n`).join(''))
}

export const bytesOfFound = ({ input }: Found): Uint8Array => new Uint8Array(Buffer.from(input, 'base64'))
export const foundOf = (input: Uint8Array, fault?: string): Found => ({
  input: Buffer.from(input).toString('base64'),
  ...(fault !== undefined && { fault }),
})
