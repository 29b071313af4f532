/** A turn of the event loop, in Node.js and in browsers. */

interface Port {
  onmessage: (() => void) | null
  postMessage(message: undefined): void
}

interface Platform {
  readonly setImmediate?: (callback: () => void) => unknown
  readonly MessageChannel: new () => { readonly port1: Port; readonly port2: Port }
}

const platform = globalThis as unknown as Platform

/** Resolves once all that has been waiting has had its turn. */
export const nextTurn: () => Promise<void> = platform.setImmediate ? immediate : turnsOfMessages()

function immediate(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}

/** Messages take a turn each. Timers do too, but browsers make nested ones wait for four milliseconds. */
function turnsOfMessages(): () => Promise<void> {
  const { port1, port2 } = new platform.MessageChannel()
  const waiting: (() => void)[] = []
  port1.onmessage = () => waiting.shift()?.()
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve)
      port2.postMessage(undefined)
    })
}
