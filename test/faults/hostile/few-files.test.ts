import { testAttacks } from './_suite.ts'
import { FEW_FILES } from './_stage.ts'

testAttacks(FEW_FILES, ['flood', 'kept open', 'half handshakes'])
