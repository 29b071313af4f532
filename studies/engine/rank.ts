/** One worker in a process of its own, under `adasum run`: rank 0 prints the result as a line of JSON. */
import { connect } from 'adasum'
import type { Cell } from '../training/cell.ts'
import { betweenProcesses } from '../training/exchange.ts'
import { makeModel } from '../training/model.ts'
import { train } from '../training/train.ts'

const cell = JSON.parse(process.argv[2] ?? '') as Cell
const comm = await connect()
const result = await train(cell, await makeModel(cell), betweenProcesses(comm, cell.precision))
if (comm.rank === 0) console.log(JSON.stringify(result))
await comm.close()
