/** The identities by which the store tells who shares a machine: 32 hexadecimal digits. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'

let identity: string | undefined

/** Equal for all processes of this machine since it started, and for no other; says nothing else about it. */
export function machineIdentity(): string {
  identity ??= hashOf(`${hostname()}\0${bootId()}`)
  return identity
}

/** Equal for all processes that give the same name. No machine that was found out has it. */
export function namedMachine(name: string): string {
  return hashOf(`named\0\0${name}`)
}

function hashOf(text: string): string {
  return createHash('sha256').update(`adasum machine\0${text}`).digest('hex').slice(0, 32)
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')
  } catch {
    // Only Linux has it; elsewhere the name of the machine must do.
    return ''
  }
}
