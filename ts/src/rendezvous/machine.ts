/** The identities by which the store tells which ranks share a machine: 32 hexadecimal digits. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'

let identity: string | undefined

/**
 * Equal for all processes of this machine since its boot, and for no others. It is a hash, which reveals nothing of the
 * machine.
 */
export function machineIdentity(): string {
  identity ??= hashOf(`${hostname()}\0${bootId()}`)
  return identity
}

/** Equal for all processes that give the same name, and never equal to a machine's own identity. */
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
