/** `test` where this machine has the address ::1, `test.skip` where it does not. */
import { networkInterfaces } from 'node:os'
import test, { type TestFn } from 'ava'

const addresses = Object.values(networkInterfaces()).flat()
const hasIpv6 = addresses.some((each) => each?.address === '::1')

export const ipv6Test: TestFn = (hasIpv6 ? test : test.skip) as TestFn
