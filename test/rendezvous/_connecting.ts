/** A rank as a process of its own, which connects and says on stdout what becomes of it: `_connecting.ts <options as JSON>`. */
import { connect } from '../../ts/src/communicator/connect.ts'
import type { AdasumError } from '../../ts/src/errors.ts'
import type { ConnectOptions } from '../../ts/src/connect-options.ts'
import type { StallReport } from '../../ts/src/types.ts'

const options = JSON.parse(process.argv[2] ?? '{}') as ConnectOptions
const say = (line: object): void => console.log(JSON.stringify(line))

try {
  const comm = await connect({ ...options, onStall: (report: StallReport) => say({ report }) })
  await comm.barrier()
  say({ rank: comm.rank })
  await comm.close()
} catch (error) {
  const { code, message } = error as AdasumError
  say({ code, message })
}
