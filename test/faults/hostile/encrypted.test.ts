import { ENCRYPTED } from './_stage.ts'
import { testAttacks } from './_suite.ts'

testAttacks(ENCRYPTED)
