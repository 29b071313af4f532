/**
 * Powers and cosines made of additions and multiplications alone. IEEE 754 rounds these in one way only, so all ranks
 * get the same bits whatever their engine and machine; Math.pow and Math.cos may differ.
 */

/** base^exponent, for a whole exponent of at least 0. */
export function power(base: number, exponent: number): number {
  let result = 1
  for (let rest = exponent, factor = base; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result *= factor
    factor *= factor
  }
  return result
}

/** cos(pi x) for x from 0 to 1, to the last bit or two. */
export function cosPi(x: number): number {
  if (x > 0.5) return -cosPi(1 - x)
  return x > 0.25 ? sine(Math.PI * (0.5 - x)) : cosine(Math.PI * x)
}

/** The Taylor series up to y^18: for y from 0 to pi/4 the next term is below 1e-19. */
function cosine(y: number): number {
  return series(-(y * y), 0)
}

function sine(y: number): number {
  return y * series(-(y * y), 1)
}

/** 1 + z / ((first + 1) (first + 2)) (1 + z / ((first + 3) (first + 4)) (1 + ...)) */
function series(z: number, first: number): number {
  let sum = 1
  for (let n = first + 17; n > first; n -= 2) sum = 1 + (z / (n * (n + 1))) * sum
  return sum
}
