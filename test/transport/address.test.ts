import test from 'ava'
import { formatAddress, isLoopback, isWildcard, parseAddress } from '../../ts/src/transport/address.ts'

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
})
