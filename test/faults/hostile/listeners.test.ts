/** Where a rank listens: as narrowly as it was told, at three ports, and nowhere once it has closed. */
import anyTest, { type TestFn } from 'ava'
import { compile, waitUntil } from '../../cli/_adasum.ts'
import { tcpListeners } from './_listeners.ts'
import { ENCRYPTED, PLAIN, Stage } from './_stage.ts'

const test = (process.platform === 'linux' ? anyTest.serial : anyTest.serial.skip) as TestFn

test.before(compile)

for (const place of [PLAIN, ENCRYPTED])
  test(`${place.name}: a rank 0 listens at ${place.host} and nowhere else, and nowhere after it has closed`, async (t) => {
    const stage = await Stage.open(place)
    t.teardown(() => stage.close())
    const { pid } = stage.victim
    const expected = Object.values(stage.ports).map((port) => `${place.host}:${port}`)
    // The heartbeat's thread opens its port a moment later.
    await waitUntil(() => tcpListeners(pid).length >= expected.length, 'three listeners')
    t.deepEqual(tcpListeners(pid).toSorted(), expected.toSorted())
    await Promise.all([stage.comm.close(), stage.victim.tell('leave')])
    await waitUntil(() => tcpListeners(pid).length === 0, 'no listener')
  })
