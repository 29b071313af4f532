import { setTimeout as sleep } from 'node:timers/promises'
import test from 'ava'
import { formatAddress, isLoopback, isWildcard, nearHost, parseAddress } from '../../ts/src/transport/address.ts'
import { addressesOf, AddressesError, firstOf, isUnresolved, systemReason } from '../../ts/src/transport/names.ts'

test('addresses are parsed and written alike', (t) => {
  for (const text of ['127.0.0.1:29500', '[::1]:29500', 'node-0.job.svc:1', '[fe80::1%eth0]:65535', 'localhost:0']) {
    const address = parseAddress(text)
    t.truthy(address, text)
    t.is(formatAddress(address!.host, address!.port), text)
  }
  t.deepEqual(parseAddress('[2001:db8::7]:80'), { host: '2001:db8::7', port: 80 })
  t.is(formatAddress('::ffff:10.0.0.1', 5), '10.0.0.1:5')
})

test('what is no address is refused', (t) => {
  const wrong = [
    '',
    'host',
    'host:',
    ':80',
    'host:65536',
    'host:-1',
    'host:8x',
    '::1:80',
    '[::1]',
    '[nonsense]:1',
    'a b:1',
    'http://h:1',
  ]
  for (const text of wrong) t.is(parseAddress(text), undefined, text)
})

test('loopback and wildcard hosts are known', (t) => {
  for (const host of ['127.0.0.1', '127.0.0.2', '::1', 'localhost', '::ffff:127.0.0.1']) t.true(isLoopback(host), host)
  for (const host of ['10.0.0.1', '0.0.0.0', '::', 'node1', '128.0.0.1', '127.evil.org'])
    t.false(isLoopback(host), host)
  t.true(isWildcard('0.0.0.0') && isWildcard('::'))
  t.false(isWildcard('127.0.0.1'))
  t.deepEqual(['0.0.0.0', '::', 'node1', '10.0.0.1'].map(nearHost), ['127.0.0.1', '::1', 'node1', '10.0.0.1'])
})

// ---- names that have several

const failure = (code: string): Error => Object.assign(new Error(code), { code })

test('an address is no name; a name is looked up, until the signal aborts', async (t) => {
  const never = (): Promise<never> => new Promise(() => {})
  for (const address of ['127.0.0.1', '::1', 'fe80::1%eth0']) t.deepEqual(await addressesOf(address, never), [address])
  const controller = new AbortController()
  const looking = addressesOf('node0', never, controller.signal)
  const reason = new Error('off')
  controller.abort(reason)
  t.is(await t.throwsAsync(looking), reason)
})

test('the first success counts, and a later one is dropped', async (t) => {
  const dropped: string[] = []
  const late: (() => void)[] = []
  const attempt = (address: string): Promise<string> => {
    if (address === 'a') return new Promise((resolve) => late.push(() => resolve(address)))
    return address === 'b' ? Promise.reject(failure('EHOSTUNREACH')) : Promise.resolve(address)
  }
  // a is silent, b fails, c is there.
  t.is(await firstOf(['a', 'b', 'c'], attempt, (address) => dropped.push(address)), 'c')
  late[0]!()
  await sleep(0)
  t.deepEqual(dropped, ['a'])
})

test('those that are still trying are told to stop, by success and by the signal', async (t) => {
  const stopped: string[] = []
  const attempt = (address: string, signal: AbortSignal): Promise<string> => {
    if (address === 'there') return Promise.resolve(address)
    return new Promise((_, reject) =>
      signal.addEventListener('abort', () => {
        stopped.push(address)
        reject(failure('ABORTED'))
      }),
    )
  }
  await firstOf(['a', 'there'], attempt, () => t.fail())
  t.deepEqual(stopped, ['a'])
  const controller = new AbortController()
  const trying = firstOf(['b'], attempt, () => t.fail(), controller.signal)
  const reason = new Error('off')
  controller.abort(reason)
  t.is(await t.throwsAsync(trying), reason)
  t.deepEqual(stopped, ['a', 'b'])
})

test('an error of several addresses says what each has said, and has the code of the first', async (t) => {
  const attempt = (address: string): Promise<never> =>
    Promise.reject(failure(address === 'a' ? 'EPERM' : 'ECONNREFUSED'))
  const error = await t.throwsAsync(
    firstOf(['a', 'b'], attempt, () => t.fail()),
    { instanceOf: AddressesError },
  )
  t.is(error?.code, 'EPERM')
  t.is(systemReason(error), 'EPERM at a, ECONNREFUSED at b')
  t.is(systemReason(failure('EPERM')), 'EPERM')
  t.deepEqual(
    ['ENOTFOUND', 'EAI_AGAIN', 'ECONNREFUSED'].map((code) => isUnresolved(failure(code))),
    [true, true, false],
  )
})
