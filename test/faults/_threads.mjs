// Three worlds within this process: `_threads.mjs closes|forgets <ports of their stores>`. Prints how many threads it had before,
// meanwhile and, if it closes them, afterwards.
import { readdirSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'adasum'

const [does, ...ports] = process.argv.slice(2)
const countThreads = () => readdirSync('/proc/self/task').length
const worldOf = (size, port) => {
  const place = { size, store: `127.0.0.1:${port}`, sharedMemory: false }
  return Promise.all(Array.from({ length: size }, (_, rank) => connect({ rank, ...place })))
}

// The threads for files and names start with their first use.
await Promise.all(Array.from({ length: 8 }, () => stat('.')))
const before = countThreads()
const worlds = await Promise.all(ports.map((port, index) => worldOf(2 + index, port)))
const comms = worlds.flat()
await Promise.all(comms.map((comm) => comm.barrier()))
const meanwhile = countThreads()
if (does === 'forgets') console.log(JSON.stringify({ before, meanwhile }))
else {
  await Promise.all(comms.map((comm) => comm.close()))
  // The thread ends by itself, a moment later.
  while (countThreads() > before) await sleep(10)
  console.log(JSON.stringify({ before, meanwhile, after: countThreads() }))
}
