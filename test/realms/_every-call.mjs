// Every public call that takes arrays, with arrays, errors and signals of one realm and the library of another. Prints what
// came out, which must be the same for all realms.
//
//     node --experimental-vm-modules _every-call.mjs <realm of the library> <realm of the arrays>     main or context
import vm from 'node:vm'
import { freePort } from '../_free-port.mjs'
import { loadIn, newContext } from './_library.mjs'

const [libraryRealm, arrayRealm] = process.argv.slice(2)
const ROOT = new URL('../../', import.meta.url)
const context = newContext()
const entry = new URL('dist/index.js', ROOT).href
const imports = {
  '#binding': new URL('dist/binding/node.js', ROOT).href,
  '#platform': new URL('dist/platform/node.js', ROOT).href,
  '#gpu-binding': new URL('dist/gpu/load.js', ROOT).href,
}
const library = libraryRealm === 'context' ? await loadIn(entry, context, imports) : await import(entry)
/** @type {typeof globalThis} */
const realm = arrayRealm === 'context' ? vm.runInContext('globalThis', context) : globalThis
const { Compressor, adasum, adasumSync, allocateArrays, average, averageSync, connect, sum, sumSync } = library

/** A signal that is no AbortSignal of Node.js, such as a test runner's DOM brings along. */
class Signal {
  aborted = false
  reason = undefined
  #listeners = new Set()
  addEventListener = (_type, listener) => void this.#listeners.add(listener)
  removeEventListener = (_type, listener) => void this.#listeners.delete(listener)
  abort(reason) {
    this.aborted = true
    this.reason = reason
    for (const listener of this.#listeners) listener({ type: 'abort' })
  }
}

const SIZES = [5, 3_000, 40_000]
const array = (name, length, rank) =>
  new realm[name](Array.from({ length }, (_, i) => (name.startsWith('Big') ? BigInt(i + rank) : (i % 97) + rank)))
const textOf = (value) => {
  const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  let hash = 0
  for (const byte of bytes) hash = (Math.imul(hash, 31) + byte) >>> 0
  return `${Object.prototype.toString.call(value)} ${value.length} ${hash}`
}
const failureOf = async (call) => {
  try {
    await call()
    return 'none'
  } catch (error) {
    return `${error.code}`
  }
}

async function local(print) {
  for (const length of SIZES) {
    const inputs = () => [0, 1, 2].map((rank) => array('Float32Array', length, rank))
    for (const [name, call] of Object.entries({ adasum, adasumSync, average, averageSync, sum, sumSync })) {
      print(name, textOf((await call(inputs())).result))
      print(
        name,
        textOf(
          (await call(inputs(), { out: array('Float32Array', length, 0), segments: realm.Array.of(length) })).result,
        ),
      )
    }
    const halves = [0, 1].map(() => array('Uint16Array', length, 0))
    print('bf16', textOf((await adasum(halves, { dtype: 'bf16' })).result))
  }
  print('list of another realm', textOf(adasumSync(realm.Array.from([array('Float32Array', 3, 0)])).result))
  print('allocated', `${(await allocateArrays(realm.Float32Array, 3, 2)).length}`)
  print('no array', await failureOf(() => adasum([new realm.Map()])))
  print('detached', await failureOf(() => { const gone = array('Float32Array', 3, 0); structuredClone(gone.buffer, { transfer: [gone.buffer] }); return adasum([gone]) })) // prettier-ignore
  print('shared', await failureOf(() => adasum([new realm.Float32Array(new realm.SharedArrayBuffer(8))])))
  print('overlapping', await failureOf(() => { const one = array('Float32Array', 4, 0); return adasum([one], { out: one.subarray(0) }) })) // prettier-ignore
}

async function collectives(comm, print) {
  const { rank } = comm
  const other = 1 - rank
  for (const length of SIZES) {
    const floats = () => array('Float32Array', length, rank)
    for (const op of ['adasum', 'sum', 'average', 'min', 'max'])
      print(op, textOf((await comm.allReduce(floats(), { op })).result))
    const out = array('Float32Array', length, 0)
    print(
      'out',
      textOf((await comm.allReduce(floats(), { op: 'adasum', out, segments: realm.Array.of(length) })).result),
    )
    print('integers', textOf((await comm.allReduce(array('BigInt64Array', length, rank), { op: 'sum' })).result))
    print('bf16', textOf((await comm.allReduce(array('Uint16Array', length, 0), { op: 'sum', dtype: 'bf16' })).result))
    const compressor = new Compressor({ format: 'int8' })
    print('compressed', textOf((await comm.allReduce(floats(), { op: 'sum', compressor })).result))
    print(
      'micro-batches',
      textOf((await comm.allReduce(realm.Array.of(floats(), floats()), { op: 'average', local: 'sum' })).result),
    )
    const named = { a: floats(), b: array('Float32Array', 2, rank) }
    print('named', textOf((await comm.allReduce(named, { op: 'sum' })).result.a))
    print(
      'scattered',
      textOf((await comm.reduceScatter(floats(), { op: 'sum', counts: realm.Array.of(2, length - 2) })).result),
    )
    print('broadcast', textOf((await comm.broadcast(floats(), { root: 1 })) ?? new Uint8Array(0)))
    print('gathered', textOf(await comm.allGather(floats())))
    print('exchanged', textOf((await comm.allToAll(floats(), { counts: realm.Int32Array.of(1, length - 1) })).result))
    const message = floats()
    if (rank === 0) await comm.send(message, { to: other })
    else await comm.receive(message, { from: other })
    print('message', textOf(message))
    // Posted long before the peer asks for it, and beside others.
    const many = Array.from({ length: 4 }, (_, i) =>
      comm.allReduce(array('Float32Array', length, rank + i), { op: 'sum' }),
    )
    for (const { result } of await Promise.all(many)) print('at once', textOf(result))
  }
  const halves = array('Uint16Array', 4, 0).fill(0x7f80)
  print('spoilt', await failureOf(() => comm.allReduce([halves], { op: 'adasum', local: 'sum', dtype: 'bf16' })))
  print('not finite', await failureOf(() => comm.allReduce(new realm.Float32Array([NaN]), { op: 'adasum' })))
  const signal = new Signal()
  signal.abort(new realm.Error('off'))
  print('aborted', await failureOf(() => comm.barrier({ signal })))
  const group = await comm.split(0)
  print('group', textOf((await group.allReduce(array('Float32Array', 9, rank), { op: 'sum' })).result))
  const late = new Signal()
  if (rank === 0) setTimeout(() => late.abort(new realm.Error('off')), 50)
  // Before it has sent anything a call would fail alone.
  const barrier = () =>
    rank === 0
      ? group.allReduce(array('Float32Array', 9, 0), { op: 'sum', signal: late })
      : new Promise((resolve) => setTimeout(resolve, 300)).then(() => group.barrier())
  print('aborted late', await failureOf(barrier))
}

const lines = []
await local((...words) => void lines.push(words.join(': ')))
for (const sharedMemory of [false, true]) {
  const store = `127.0.0.1:${await freePort()}`
  const place = { size: 2, store, sharedMemory, signal: new Signal() }
  const comms = await Promise.all([0, 1].map((rank) => connect({ rank, ...place })))
  await Promise.all(
    comms.map((comm) => collectives(comm, (...words) => void lines.push([comm.rank, ...words].join(': ')))),
  )
  await Promise.all(comms.map((comm) => comm.close()))
}
const early = new Signal()
setTimeout(() => early.abort(new realm.Error('off')), 100)
const alone = { rank: 1, size: 2, store: `127.0.0.1:${await freePort()}`, signal: early, timeoutMs: 20_000 }
lines.push(`connecting aborted: ${await failureOf(() => connect(alone))}`)
const nobody = { rank: 1, size: 2, store: `127.0.0.1:${await freePort()}`, timeoutMs: 300 }
lines.push(
  `nobody: ${await connect(nobody).catch((error) => `${error.code} ${error instanceof library.AdasumError} ${/ECONNREFUSED/.test(error.message)}`)}`,
)
console.log(lines.sort().join('\n'))
