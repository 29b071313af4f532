import { testAttacks } from './_suite.ts'
import { PLAIN } from './_stage.ts'

testAttacks(PLAIN)
