/**
 * Whom a rank watches, and who watches it. Ranks with heartbeats stand in a ring, in order; each is a neighbour of the
 * next one and of one farther on, about the square root of their number away. So each has four neighbours at most,
 * whatever the size of the world.
 *
 * Every rank that lives hears of a loss, whichever ranks are lost together. It watches the next rank itself. If that one
 * is lost, it knows. If not, the same holds for that one, which passes on what it knows; and so round the ring, until a
 * lost rank is met. The farther neighbours only make the way shorter.
 */

/**
 * @param ranks - those that have heartbeats, in rising order, this one included
 * @returns the neighbours of `rank`, in rising order
 */
export function neighboursOf(rank: number, ranks: readonly number[]): number[] {
  const size = ranks.length
  const place = ranks.indexOf(rank)
  const far = Math.ceil(Math.sqrt(size))
  const places = [1, -1, far, -far].map((step) => (place + step + size) % size)
  return [...new Set(places)]
    .filter((other) => other !== place)
    .map((other) => ranks[other]!)
    .sort((a, b) => a - b)
}
