/** Where a process listens, as the system says (Linux). */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

const LISTENING = '0A'

/** Inodes of the sockets that a process has. */
function socketsOf(pid: number): Set<string> {
  const folder = `/proc/${pid}/fd`
  const inodes = readdirSync(folder).flatMap((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${fd}`))?.[1] ?? []
    } catch {
      // Closed meanwhile.
      return []
    }
  })
  return new Set(inodes)
}

/** As many hexadecimal digits as the address has, each word of four bytes in the order of this machine. */
function hostOf(hex: string): string {
  if (hex.length > 8) return /^0+$/.test(hex) ? '::' : hex
  return [...Buffer.from(hex, 'hex').reverse()].join('.')
}

/** The addresses at which a process listens, `host:port`, over TCP. */
export function tcpListeners(pid: number): string[] {
  const own = socketsOf(pid)
  return ['tcp', 'tcp6'].flatMap((table) => {
    const lines = readFileSync(`/proc/${pid}/net/${table}`, 'utf8').trim().split('\n').slice(1)
    return lines.flatMap((line) => {
      const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/)
      const [host = '', port = ''] = local.split(':')
      return state === LISTENING && own.has(inode) ? [`${hostOf(host)}:${parseInt(port, 16)}`] : []
    })
  })
}
