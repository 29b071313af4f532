// Read when the binding is first asked for its instruction set; every test file is a process of its own.
process.env.ADASUM_ISA = 'scalar'

const { loadBinding } = await import('../../ts/src/binding/native.ts')
const { contract } = await import('./_contract.ts')

contract(loadBinding(), 'sample', { isa: 'scalar' })
