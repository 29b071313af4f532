/**
 * Those who wait, by the address that they come from. Where there are too many, the oldest of the address that has the
 * most is the one to go: so whoever sends many drives out its own.
 */
export class Crowd<T> implements Iterable<T> {
  readonly #byHost = new Map<string, Set<T>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  add(host: string, one: T): void {
    const here = this.#byHost.get(host)
    if (here) here.add(one)
    else this.#byHost.set(host, new Set([one]))
    this.#size++
  }

  /** @returns whether it did wait here */
  delete(host: string, one: T): boolean {
    const here = this.#byHost.get(host)
    if (here?.delete(one) !== true) return false
    this.#size--
    if (here.size === 0) this.#byHost.delete(host)
    return true
  }

  /** The one to go; undefined if nobody waits. */
  get leastWanted(): T | undefined {
    let most: ReadonlySet<T> = new Set()
    for (const here of this.#byHost.values()) if (here.size > most.size) most = here
    const [oldest] = most
    return oldest
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const here of this.#byHost.values()) yield* here
  }
}
