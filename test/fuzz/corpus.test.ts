/** All inputs that were ever found, and some new ones: what fuzzing has found once is never broken again. */
import test from 'ava'
import { seed } from '../_property.ts'
import { mulberry32 } from '../transport/_random.ts'
import { bytesOfFound, readCorpus } from './_corpus.ts'
import { judge } from './_judge.ts'
import { Mutations } from './_mutations.ts'
import { TARGETS } from './targets/index.ts'

/** New inputs for each share that a target has of a run. */
const NEW_INPUTS = 20

for (const target of TARGETS.filter(({ share }) => share > 0)) {
  // One after the other: what a target computes and keeps is measured by the process.
  test.serial(`${target.name}: seeds are accepted, and nothing of the corpus breaks anything`, async (t) => {
    const seeds = await target.seeds()
    t.true(seeds.length > 0)
    for (const [index, input] of seeds.entries()) t.true(await judge(target, input), `seed ${index}`)
    for (const found of readCorpus(target.name))
      await t.notThrowsAsync(judge(target, bytesOfFound(found)), JSON.stringify(found))
    const random = mulberry32(seed)
    const mutations = new Mutations(random, target.words ?? [], target.largest)
    const pick = (): Uint8Array => seeds[Math.floor(random() * seeds.length)]!
    for (let count = Math.ceil(NEW_INPUTS * target.share); count > 0; count--) {
      const input = mutations.mutate(pick(), pick())
      await t.notThrowsAsync(judge(target, input), Buffer.from(input).toString('base64'))
    }
  })
}
