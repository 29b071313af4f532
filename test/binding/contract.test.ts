import test from 'ava'
import { loadBinding } from '../../ts/src/binding/native.ts'
import { collectedContract } from './_collected.ts'
import { contract } from './_contract.ts'

const binding = loadBinding()
contract(binding, 'everything')
collectedContract(binding)

test('has the instruction sets that ADASUM_REQUIRE_ISA names, the plain one first', (t) => {
  const required = (process.env.ADASUM_REQUIRE_ISA ?? '').split(',').filter((name) => name !== '')
  t.deepEqual(
    required.filter((name) => !binding.isas().includes(name)),
    [],
  )
  t.is(binding.isas()[0], 'scalar')
  t.log(`instruction sets of this machine: ${binding.isas().join(', ')}; in use: ${binding.isa()}`)
})
