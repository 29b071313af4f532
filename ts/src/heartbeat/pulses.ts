/** The heartbeats of all worlds of a process, wherever they run, and what the main thread tells them. */
import { Pulse } from './pulse.ts'
import { type FromThread, sharedClock, type ToThread } from './thread-messages.ts'

export class Pulses {
  readonly #pulses = new Map<number, Pulse>()
  readonly #tell: (message: FromThread) => void

  constructor(tell: (message: FromThread) => void) {
    this.#tell = tell
  }

  take(message: ToThread): void {
    const { world } = message
    const pulse = this.#pulses.get(world)
    if (message.type === 'begin') {
      const options = { ...message.options, startMs: sharedClock() - message.askedAt }
      const begun = new Pulse(options, (loss) => this.#tell({ world, loss }))
      this.#pulses.set(world, begun)
      begun.begin()
    } else if (message.type === 'end') {
      pulse?.end()
      this.#pulses.delete(world)
    } else pulse?.[message.type](message.rank)
  }

  get isEmpty(): boolean {
    return this.#pulses.size === 0
  }
}
