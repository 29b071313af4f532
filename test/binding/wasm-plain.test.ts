import { loadCode } from '../../ts/src/binding/node-wasm.ts'
import { wasmBinding } from '../../ts/src/binding/wasm.ts'
import { GOLDEN } from '../golden/_read.ts'
import { collectedContract } from './_collected.ts'
import { contract } from './_contract.ts'
import { goldenContract } from './_golden.ts'

const binding = wasmBinding(loadCode('plain'))
contract(binding, 'sample', { isa: 'scalar' })
collectedContract(binding)
goldenContract(binding, GOLDEN)
