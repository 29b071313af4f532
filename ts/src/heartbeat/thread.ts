/**
 * The thread of a process in which the heartbeats of all its worlds run. A rank may compute for minutes without turning
 * its event loop; this one turns all the same, and stands still only when the whole process does.
 */
import { parentPort } from 'node:worker_threads'
import { Pulses } from './pulses.ts'
import type { ToThread } from './thread-messages.ts'

const main = parentPort!
const pulses = new Pulses((message) => main.postMessage(message))
main.on('message', (message: ToThread) => {
  pulses.take(message)
  // Nothing else keeps the thread alive. It ends with the last world; another world makes another one.
  if (pulses.isEmpty) main.close()
})
