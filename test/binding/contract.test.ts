import { loadBinding } from '../../ts/src/binding/native.ts'
import { contract } from './_contract.ts'

contract(loadBinding())
