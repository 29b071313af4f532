/** Connections on which nothing has come: how many there may be, which of them go, and when the others are let in. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { Crowd } from '../../ts/src/transport/crowd.ts'
import { Lobby } from '../../ts/src/transport/lobby.ts'

const PLACES = 128

interface Door {
  readonly lobby: Lobby
  readonly entered: Socket[]
  /** Opens so many connections, one after the other. */
  readonly come: (count: number) => Promise<Socket[]>
}

async function open(t: ExecutionContext): Promise<Door> {
  const [entered, clients]: [Socket[], Socket[]] = [[], []]
  const lobby = new Lobby((socket) => entered.push(socket))
  const server = createServer((socket) => lobby.receive(socket)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of [...clients, ...entered]) socket.destroy()
    server.close()
  })
  const come = async (count: number): Promise<Socket[]> => {
    for (let i = 0; i < count; i++) {
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => undefined)
      clients.push(socket.resume())
      await Promise.all([once(socket, 'connect'), once(server, 'connection')])
    }
    return clients.slice(-count)
  }
  return { lobby, entered, come }
}

test('whoever says nothing is not let in; whoever speaks is, with what was said', async (t) => {
  const { entered, come } = await open(t)
  const [silent, speaker] = (await come(2)) as [Socket, Socket]
  speaker.write('hello')
  while (entered.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  t.is(String(entered[0]!.read()), 'hello')
  silent.end()
  await once(silent, 'close')
  t.is(entered.length, 1)
})

test('where there are too many, the oldest makes room, and the newest are still there', async (t) => {
  const { lobby, entered, come } = await open(t)
  const sockets = await come(PLACES + 2)
  await Promise.all(sockets.slice(0, 2).map(async (socket) => socket.closed || (await once(socket, 'close'))))
  t.deepEqual(
    sockets.slice(2).filter((socket) => socket.closed),
    [],
  )
  lobby.empty()
  t.is(entered.length, PLACES)
})

test('of a crowd the oldest of the address goes that has the most', (t) => {
  const crowd = new Crowd<number>()
  const hosts = ['a', 'b', 'b', 'c', 'b', 'c']
  for (const [one, host] of hosts.entries()) crowd.add(host, one)
  const gone: number[] = []
  for (let one = crowd.leastWanted; one !== undefined; one = crowd.leastWanted) {
    t.true(crowd.delete(hosts[one]!, one))
    t.false(crowd.delete(hosts[one]!, one))
    gone.push(one)
    t.is(crowd.size, hosts.length - gone.length)
  }
  t.deepEqual(gone, [1, 2, 3, 0, 4, 5])
})
