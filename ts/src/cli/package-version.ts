import { readFileSync } from 'node:fs'

export function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL(import.meta.resolve('adasum/package.json')), 'utf8'))
  return (manifest as { version: string }).version
}
