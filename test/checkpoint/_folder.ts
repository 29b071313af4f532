/** A folder of its own for a test. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'

export function folder(t: ExecutionContext): string {
  const path = mkdtempSync(join(tmpdir(), 'adasum-checkpoint-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}
