/** As much of ava as the contract suite uses, for pages and workers, where ava itself does not run. */

export interface Outcome {
  readonly title: string
  /** Undefined if it passed. */
  readonly failure: string | undefined
}

interface Expectation {
  readonly code?: string
  readonly message?: RegExp
  readonly instanceOf?: new (...args: never[]) => unknown
}

type Assertions = ReturnType<typeof assertionsOf>
type Body = (t: Assertions) => unknown

const registered: { readonly title: string; readonly body: Body }[] = []

export default function test(title: string, body: Body): void {
  registered.push({ title, body })
}

/** Runs what has been registered since the last run, one after the other. */
export async function runTests(prefix: string): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  for (const { title, body } of registered.splice(0)) {
    const failures: string[] = []
    let assertionCount = 0
    try {
      await body(
        assertionsOf((isGood, words) => {
          assertionCount++
          if (!isGood) failures.push(words)
        }),
      )
      if (assertionCount === 0) failures.push('it asserted nothing')
    } catch (error) {
      failures.push(error instanceof Error ? (error.stack ?? error.message) : String(error))
    }
    outcomes.push({
      title: `${prefix}: ${title}`,
      failure: failures.length > 0 ? failures.slice(0, 5).join('\n') : undefined,
    })
  }
  return outcomes
}

type Check = (isGood: boolean, words: string) => void

function assertionsOf(check: Check) {
  return {
    pass: (): void => check(true, ''),
    fail: (message = 'failed'): void => check(false, message),
    log: (): void => undefined,
    true: (value: unknown, message = 'true'): void => check(value === true, `${message}: ${show(value)}`),
    false: (value: unknown, message = 'false'): void => check(value === false, `${message}: ${show(value)}`),
    is: (value: unknown, want: unknown, message = 'is'): void =>
      check(Object.is(value, want), `${message}: ${show(value)}, not ${show(want)}`),
    deepEqual: (value: unknown, want: unknown, message = 'deepEqual'): void =>
      check(isEqual(value, want), `${message}: ${show(value)}, not ${show(want)}`),
    regex: (value: string, pattern: RegExp): void =>
      check(pattern.test(value), `${show(value)} is not like ${pattern}`),
    notThrows: (call: () => unknown, message = 'notThrows'): void => check(caught(call) === undefined, message),
    throws: (call: () => unknown, expectation: Expectation = {}, message = 'throws'): Error | undefined =>
      judge(check, caught(call), expectation, message),
    throwsAsync: async (
      call: () => Promise<unknown>,
      expectation: Expectation = {},
      message = 'throwsAsync',
    ): Promise<(Error & { code?: string }) | undefined> => {
      const error = await call().then(
        () => undefined,
        (reason: unknown) => reason,
      )
      return judge(check, error, expectation, message)
    },
  }
}

function caught(call: () => unknown): unknown {
  try {
    call()
    return undefined
  } catch (error) {
    return error
  }
}

function judge(
  check: Check,
  error: unknown,
  { code, message: pattern, instanceOf }: Expectation,
  message: string,
): (Error & { code?: string }) | undefined {
  if (!(error instanceof Error)) {
    check(false, `${message}: threw ${show(error)}`)
    return undefined
  }
  const found = error as Error & { code?: string }
  check(code === undefined || found.code === code, `${message}: code ${found.code}, not ${code}`)
  check(pattern === undefined || pattern.test(found.message), `${message}: "${found.message}" is not like ${pattern}`)
  check(instanceOf === undefined || found instanceof instanceOf, `${message}: not of the class`)
  return found
}

function isEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (a.constructor !== b.constructor) return false
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>]
  const keys = Object.keys(left)
  return keys.length === Object.keys(right).length && keys.every((key) => isEqual(left[key], right[key]))
}

function show(value: unknown): string {
  return ArrayBuffer.isView(value)
    ? `${value.constructor.name} of ${value.byteLength} bytes`
    : String(value).slice(0, 200)
}
