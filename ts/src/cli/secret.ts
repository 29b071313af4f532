/** `adasum secret`: prints a new secret, for all ranks of a job on several machines. */
import { randomBytes } from 'node:crypto'
import type { Command } from 'commander'

const BYTE_LENGTH = 32

export function defineSecret(command: Command): void {
  command
    .description('print a new secret of 256 bits, for ADASUM_SECRET or a file')
    .action(() => console.log(randomBytes(BYTE_LENGTH).toString('base64url')))
}
