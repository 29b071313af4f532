import { once } from 'node:events'
import { type AddressInfo, type Socket, connect, createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Problem } from './problem.ts'

export interface NetworkSection {
  /** Addresses at which other machines may reach this one. */
  addresses: { interface: string; address: string; family: string }[]
  loopback: { connects: boolean; /** From connecting to the first byte received. */ milliseconds: number }
}

const LOOPBACK_LIMIT_MS = 3_000

export async function examineNetwork(report: (problem: Problem) => void): Promise<NetworkSection> {
  const addresses = Object.entries(networkInterfaces()).flatMap(([name, entries = []]) => {
    const outward = entries.filter((entry) => !entry.internal && !entry.address.startsWith('fe80:'))
    return outward.map(({ address, family }) => ({ interface: name, address, family }))
  })
  if (addresses.length === 0) reportNoAddress(report)
  return { addresses, loopback: await examineLoopback(report) }
}

function reportNoAddress(report: (problem: Problem) => void): void {
  const message = 'no network interface has an address at which another machine could reach this one'
  const action = 'nothing, if all ranks run on this machine; else bring a network interface up'
  report({ section: 'network', essential: false, message, action })
}

async function examineLoopback(report: (problem: Problem) => void): Promise<NetworkSection['loopback']> {
  try {
    return { connects: true, milliseconds: await timeLoopbackPair() }
  } catch (error) {
    const message = `a process cannot connect to itself over 127.0.0.1: ${(error as Error).message}`
    const action = 'see whether the interface lo is up (ip link show lo) and a firewall or sandbox stands in the way'
    report({ section: 'network', essential: true, message, action })
    return { connects: false, milliseconds: 0 }
  }
}

/** Connects two sockets as ranks on one machine do, and sends a byte. */
async function timeLoopbackPair(): Promise<number> {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.end('x')
  })
  const signal = AbortSignal.timeout(LOOPBACK_LIMIT_MS)
  try {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening', { signal })
    const begin = performance.now()
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    sockets.push(socket)
    await once(socket, 'data', { signal })
    return performance.now() - begin
  } finally {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
}
