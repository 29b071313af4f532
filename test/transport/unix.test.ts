import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import test from 'ava'
import { systemCode } from '../../ts/src/errors.ts'
import { HAS_UNIX_TRANSPORT, unixTransport } from '../../ts/src/transport/unix.ts'
import { compliance } from './_compliance.ts'

const newKey = (): string => randomBytes(16).toString('hex')

if (HAS_UNIX_TRANSPORT) {
  compliance(test, 'unix', () => unixTransport(newKey()))

  test('whoever has another key, or means another address, finds nobody', async (t) => {
    const key = newKey()
    const listener = await unixTransport(key).listen('127.0.0.1', 0, (pipe) => pipe.destroy())
    const { host, port } = listener
    for (const dial of [
      unixTransport(newKey()).dial(host, port),
      unixTransport(key).dial('127.0.0.2', port),
      unixTransport(key).dial(host, (port % 65_535) + 1),
    ])
      t.is(systemCode(await t.throwsAsync(dial)), 'ECONNREFUSED')
    await listener.close()
  })

  test('the name says nothing of key and address, and is no file', async (t) => {
    const key = newKey()
    const listener = await unixTransport(key).listen('127.0.0.1', 0, (pipe) => pipe.destroy())
    const names = readFileSync('/proc/net/unix', 'utf8').match(/@adasum-\S+/g) ?? []
    t.true(names.length > 0)
    t.deepEqual(
      names.filter((name) => !/^@adasum-[0-9a-f]{32}/.test(name) || name.includes(key)),
      [],
    )
    await listener.close()
  })
} else test.skip('abstract sockets are Linux only', () => undefined)
