import { readFileSync } from 'node:fs'

/** The committed hashes. */
export const GOLDEN = JSON.parse(readFileSync(new URL('adasum.json', import.meta.url), 'utf8')) as Record<
  string,
  string
>
