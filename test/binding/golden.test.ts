import { loadBinding } from '../../ts/src/binding/native.ts'
import { GOLDEN } from '../golden/_read.ts'
import { goldenContract } from './_golden.ts'

goldenContract(loadBinding(), GOLDEN)
