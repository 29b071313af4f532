/** Ranks that meet: in any order, behind names and addresses of all kinds, late and again. */
import test from 'ava'
import { setTimeout as sleep } from 'node:timers/promises'
import { hostStore } from '../../ts/src/rendezvous/stores/tcp/host-store.ts'
import { createMemoryTransport } from '../transport/_memory.ts'
import { tcp, tcpTransport } from '../../ts/src/transport/tcp.ts'
import type { Pipe, Transport } from '../../ts/src/transport/transport.ts'
import { dialAuthenticated } from '../../ts/src/wire/authenticated.ts'
import { Collector } from '../transport/_compliance.ts'
import { ipv6Test } from '../transport/_ipv6.ts'
import { SECRET, fails, meet, meetingStarted, place } from './_places.ts'
import { freePort } from './_ports.ts'

for (const [name, create] of [
  ['tcp', () => tcp],
  ['memory', () => createMemoryTransport({ maxChunkByteLength: 5 })],
] as const)
  for (const size of [2, 5, 16])
    test(`${size} ranks meet in any order (${name})`, async (t) => {
      const transport = create()
      const port = name === 'tcp' ? await freePort() : 29500
      const ranks = Array.from({ length: size }, (_, i) => (i * 7 + 3) % size)
      const meetings = await Promise.all(ranks.map((rank) => meet(t, place(rank, size, port), transport)))
      for (const [i, meeting] of meetings.entries()) {
        const rank = ranks[i]!
        t.is(meeting.runId.length, 16)
        t.deepEqual(meeting.runId, meetings[0]!.runId)
        t.deepEqual(meeting.peers, meetings[0]!.peers)
        t.deepEqual(meeting.peers[rank], await meeting.port.open('127.0.0.1'))
        t.deepEqual([meeting.localRank, meeting.localSize], [rank, size])
      }
      t.is(new Set(meetings[0]!.peers.map((peer) => peer.port)).size, size)
    })

test('peers dial each other with the run id, also those who dial before it is known', async (t) => {
  const port = await freePort()
  const arrivals: number[] = []
  let arrived: (pipe: Pipe) => void = () => {}
  const accepted = new Promise<Pipe>((resolve) => (arrived = resolve))
  const onPeer = (rank: number, pipe: Pipe) => {
    arrivals.push(rank)
    arrived(pipe)
  }
  const [zero, one] = await Promise.all([
    meet(t, place(0, 2, port), tcp, { onPeer }),
    meet(t, place(1, 2, port), tcp).then(async (meeting) => {
      const { host, port } = meeting.peers[0]!
      const identity = { runId: meeting.runId, rank: 1, size: 2, peerRank: 0, purpose: 'peer', secret: SECRET } as const
      const pipe = await dialAuthenticated(tcp, host, port, identity)
      pipe.write(Buffer.from('hello'))
      t.teardown(() => pipe.destroy())
      return meeting
    }),
  ])
  const sink = new Collector()
  const pipe = await accepted
  pipe.setSink(sink)
  await sink.has(5)
  pipe.destroy()
  t.deepEqual(arrivals, [1])
  t.deepEqual(zero.runId, one.runId)
})

test('the same ranks meet again, in a new run', async (t) => {
  const port = await freePort()
  const runs = new Set<string>()
  for (let round = 0; round < 3; round++) {
    const meetings = await Promise.all([0, 1, 2].map((rank) => meet(t, place(rank, 3, port), tcp)))
    runs.add(Buffer.from(meetings[0]!.runId).toString('hex'))
    // Every second time the store is given up in between and hosted anew.
    if (round === 1) await Promise.all(meetings.map((meeting) => meeting.leave()))
  }
  t.is(runs.size, 3)
})

test('after how long without a sign of life a rank counts as lost is for rank 0 to say', async (t) => {
  const port = await freePort()
  const limits = [1234, 3000, 500]
  const meetings = await Promise.all(
    limits.map((failureTimeoutMs, rank) => meet(t, place(rank, 3, port, { failureTimeoutMs }), tcp)),
  )
  t.deepEqual(meetings.map((meeting) => meeting.failureTimeoutMs), [1234, 1234, 1234]) // prettier-ignore
})

test('two communicators of a process share the store, which closes with the last', async (t) => {
  const port = await freePort()
  const first = await Promise.all([0, 1].map((rank) => meet(t, place(rank, 2, port), tcp)))
  const second = await Promise.all([0, 1].map((rank) => meet(t, place(rank, 2, port), tcp)))
  await first[0]!.release()
  await first[0]!.release()
  const third = await Promise.all([meet(t, place(0, 2, port), tcp), meet(t, place(1, 2, port), tcp)])
  await Promise.all([second[0]!.release(), third[0].release()])
  await fails(t, 'ERR_STORE', meet(t, place(1, 2, port, { timeoutMs: 100 }), tcp))
  await fails(
    t,
    'ERR_STORE',
    (async () => {
      const held = await meetingStarted(t, port)
      try {
        await meet(t, place(0, 3, port), tcp)
      } finally {
        held.abort()
      }
    })(),
  )
})

test('a name that does not resolve yet is asked for again, by the rank that hosts the store and by those who dial it', async (t) => {
  const network = createMemoryTransport()
  for (const code of ['ENOTFOUND', 'EAI_AGAIN']) {
    const tries = { listen: 0, dial: 0 }
    const unresolved = (): never => {
      throw Object.assign(new Error(`getaddrinfo ${code} node0`), { code, syscall: 'getaddrinfo' })
    }
    const late: Transport = {
      name: 'memory',
      listen: async (host, port, accept) =>
        host === 'node0' && tries.listen++ < 3 ? unresolved() : network.listen('10.0.0.1', port, accept),
      dial: async (host, port, signal) =>
        host === 'node0' && tries.dial++ < 5 ? unresolved() : network.dial('10.0.0.1', port, signal),
    }
    const store = { host: 'node0', ports: [29500] }
    const meetings = await Promise.all([0, 1].map((rank) => meet(t, place(rank, 2, 1, { store }), late)))
    t.deepEqual(meetings[0]!.peers, meetings[1]!.peers)
    t.true(tries.listen > 3 && tries.dial > 5)
    await Promise.all(meetings.map((meeting) => meeting.leave()))
  }
})

test('a name that does not resolve in time is named, with what the system said', async (t) => {
  const network = createMemoryTransport()
  const unresolved = (): Promise<never> =>
    Promise.reject(Object.assign(new Error('getaddrinfo ENOTFOUND node0'), { code: 'ENOTFOUND' }))
  const never: Transport = { ...transportOf(network), listen: unresolved, dial: unresolved }
  const store = { host: 'node0', ports: [29500] }
  for (const rank of [0, 1]) {
    const error = await fails(t, 'ERR_STORE', meet(t, place(rank, 2, 1, { store, timeoutMs: 300 }), never))
    t.regex(error.message, /node0:29500 .*within 300 ms \(ENOTFOUND\): the name does not resolve here/)
  }
})

test('a rank whose own name does not resolve yet waits for it, and keeps its place meanwhile', async (t) => {
  const network = createMemoryTransport()
  let tries = 0
  const late: Transport = {
    ...transportOf(network),
    listen: async (host, port, accept) => {
      if (host === 'me' && tries++ < 3) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
      return network.listen(host === 'me' ? '10.0.0.2' : host, port, accept)
    },
  }
  const store = { host: '10.0.0.1', ports: [29500] }
  const meetings = await Promise.all([
    meet(t, place(0, 2, 1, { store }), late),
    meet(t, place(1, 2, 1, { store, host: 'me' }), late),
  ])
  t.is(meetings[0].peers[1]!.host, '10.0.0.2')
  tries = -1000
  await Promise.all(meetings.map((meeting) => meeting.leave()))
  const zero = meet(t, place(0, 2, 1, { store, timeoutMs: 1000 }), late)
  zero.catch(() => {})
  const error = await fails(t, 'ERR_ENVIRONMENT', meet(t, place(1, 2, 1, { store, host: 'me', timeoutMs: 500 }), late))
  t.regex(error.message, /^rank 1 could not listen on me within 500 ms \(ENOTFOUND\): the name does not resolve here/)
  await fails(t, 'ERR_TIMEOUT', zero)
})

/** A transport's methods, to change some. */
function transportOf(network: Transport): Transport {
  return {
    name: network.name,
    listen: (...args) => network.listen(...args),
    dial: (...args) => network.dial(...args),
  }
}

test('a store behind another machine’s address listens where it is told', async (t) => {
  const network = createMemoryTransport()
  // What is dialled at 198.51.100.1 is forwarded to 10.0.0.1.
  const forwarding: Transport = {
    ...transportOf(network),
    listen: async (host, port, accept) => {
      if (host === '198.51.100.1') throw Object.assign(new Error('bind'), { code: 'EADDRNOTAVAIL' })
      return network.listen(host, port, accept)
    },
    dial: async (host, port, signal) => {
      return network.dial(host === '198.51.100.1' ? '10.0.0.1' : host, port, signal)
    },
  }
  const store = { host: '198.51.100.1', ports: [29500] }
  const refused = await fails(t, 'ERR_STORE', meet(t, place(0, 2, 1, { store }), forwarding))
  t.regex(refused.message, /198\.51\.100\.1:29500 \(EADDRNOTAVAIL\): .*ADASUM_LISTEN/)
  const open = place(0, 2, 1, { store, listen: '0.0.0.0', secret: '' })
  t.regex((await fails(t, 'ERR_AUTH', meet(t, open, forwarding))).message, /^0\.0\.0\.0 is not a loopback address/)
  const meetings = await Promise.all([
    meet(t, place(0, 2, 1, { store, listen: '0.0.0.0' }), forwarding),
    meet(t, place(1, 2, 1, { store, listen: '0.0.0.0' }), forwarding),
  ])
  t.deepEqual(meetings[0].peers, meetings[1].peers)
  await Promise.all(meetings.map((meeting) => meeting.leave()))
  // Rank 0 knows its own address, and need not be able to reach the store's.
  const one = meet(t, place(1, 2, 1, { store, host: '10.0.0.2' }), forwarding)
  const inside: Transport = {
    ...forwarding,
    dial: async (host, port, signal) => {
      if (host === '198.51.100.1') throw Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })
      return network.dial(host === '::1' ? '10.0.0.1' : host, port, signal)
    },
  }
  const zero = await meet(t, place(0, 2, 1, { store, listen: '::', host: '10.0.0.1', timeoutMs: 5000 }), inside)
  t.is((await one).peers[0]!.host, '10.0.0.1')
  t.deepEqual((await one).runId, zero.runId)
})

ipv6Test('a name with an IPv4 and an IPv6 address here, and one of them there, joins all', async (t) => {
  const port = await freePort()
  const knowing = (...addresses: string[]) => tcpTransport({ lookup: () => Promise.resolve(addresses) })
  const store = { host: 'node0', ports: [port] }
  const meetings = await Promise.all([
    meet(t, place(0, 3, 1, { store }), knowing('::1', '127.0.0.1')),
    meet(t, place(1, 3, 1, { store }), knowing('127.0.0.1')),
    meet(t, place(2, 3, 1, { store }), knowing('::1')),
  ])
  t.deepEqual(meetings[1].runId, meetings[2].runId)
  const nowhere = knowing('::1', '127.0.0.1')
  const error = await fails(
    t,
    'ERR_STORE',
    meet(t, place(1, 2, 1, { store: { host: 'node0', ports: [await freePort()] }, timeoutMs: 400 }), nowhere),
  )
  t.regex(error.message, /within 400 ms \(ECONNREFUSED at ::1, ECONNREFUSED at 127\.0\.0\.1\)/)
})

test('under torchrun the store is at the first port that is free, and strangers there are passed by', async (t) => {
  const base = await freePort(3)
  const store = { host: '127.0.0.1', ports: [1, 2, 3].map((i) => base + i) }
  // A program that answers nonsense, and another job's store.
  const nonsense = await tcp.listen('127.0.0.1', base + 1, (pipe) => {
    pipe.setSink(new Collector())
    pipe.write(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))
  })
  const neighbour = await hostStore({
    host: '127.0.0.1',
    port: base + 2,
    size: 2,
    secret: SECRET,
    jobId: new Uint8Array(16).fill(1),
  })
  t.teardown(() => Promise.all([nonsense.close(), neighbour.close()]))
  const meetings = await Promise.all([1, 0].map((rank) => meet(t, place(rank, 2, 1, { store }), tcp)))
  t.deepEqual(meetings[0]!.peers, meetings[1]!.peers)
})

test('ranks listen where their connection to the store starts, or where they are told', async (t) => {
  const network = createMemoryTransport()
  const store = { host: '10.0.0.1', ports: [29500] }
  const [zero] = await Promise.all([
    meet(t, place(0, 3, 1, { store }), network),
    meet(t, place(1, 3, 1, { store, host: '10.0.0.9' }), network),
    meet(t, place(2, 3, 1, { store, host: '0.0.0.0' }), network),
  ])
  t.deepEqual(
    zero.peers.map((peer) => peer.host),
    ['10.0.0.1', '10.0.0.9', '10.0.0.1'],
  )
})

test('a rank that joins late finds the others; one that left in between does not count', async (t) => {
  const port = await freePort()
  const controller = new AbortController()
  const gone = meet(t, place(2, 3, port), tcp, { signal: controller.signal })
  gone.catch(() => {})
  const zero = meet(t, place(0, 3, port), tcp)
  await sleep(300)
  controller.abort()
  await fails(t, 'ERR_ABORTED', gone)
  const one = meet(t, place(1, 3, port), tcp)
  t.is(await Promise.race([zero, one, sleep(200, 'waits')]), 'waits')
  const two = await meet(t, place(2, 3, port), tcp)
  t.deepEqual((await zero).peers, two.peers)
  t.deepEqual((await one).runId, two.runId)
})

test('a store that dies and comes back is found again', async (t) => {
  const port = await freePort()
  const mine = { hostsStore: false }
  const store = await hostStore({ host: '127.0.0.1', port, size: 2, secret: SECRET })
  const one = meet(t, place(1, 2, port, mine), tcp)
  await sleep(200)
  await store.close()
  await sleep(100)
  const again = await hostStore({ host: '127.0.0.1', port, size: 2, secret: SECRET })
  t.teardown(() => again.close())
  const zero = await meet(t, place(0, 2, port, mine), tcp)
  t.deepEqual((await one).runId, zero.runId)
})

ipv6Test('IPv6 loopback works throughout', async (t) => {
  const listener = await tcp.listen('::1', 0, (pipe) => pipe.destroy())
  await listener.close()
  const store = { host: '::1', ports: [listener.port] }
  const [zero] = await Promise.all([0, 1].map((rank) => meet(t, place(rank, 2, 1, { store, secret: '' }), tcp)))
  t.deepEqual(
    zero!.peers.map((peer) => peer.host),
    ['::1', '::1'],
  )
})

test('a launcher’s word on local ranks counts', async (t) => {
  const network = createMemoryTransport()
  const [zero, one] = await Promise.all([
    meet(t, place(0, 2, 29500, { localRank: 3, localSize: 4 }), network),
    meet(t, place(1, 2, 29500), network),
  ])
  t.deepEqual([zero.localRank, zero.localSize], [3, 4])
  t.deepEqual([one.localRank, one.localSize], [1, 2])
})
