/** Certificates of two authorities that do not know each other, valid for a hundred years. */
import { readFileSync } from 'node:fs'
import type { TlsSetting } from '../../ts/src/transport/tls.ts'

const pem = (name: string): string => readFileSync(new URL(`certificates/${name}`, import.meta.url), 'utf8')

/** A rank's own, and the authority that it trusts. */
export function certificates(of: 'one' | 'other', by: 'one' | 'other' = of): Extract<TlsSetting, object> {
  return { certificates: { key: pem(`${of}-rank.key`), cert: pem(`${of}-rank.pem`), ca: pem(`${by}-ca.pem`) } }
}
