// Makes calls by the vendor's client: a count in a line in, CPU microseconds a call in a line out.
//
//     node vendor.mjs URL
//
// It runs in a folder where @botpress/client is installed.
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const { Client } = createRequire(`${process.cwd()}/`)('@botpress/client')
const client = new Client({
  apiUrl: process.argv[2],
  token: 'bp_pat_5ecret',
  botId: '6f2f9e4e-5b0c-4c4e-9d3e-0a7c1b2d3e4f',
  integrationId: 'slack',
})

const call = async (number) => {
  const { message } = await client.getOrCreateMessage({
    conversationId: 'conv_01KDF2QM9Z2CK5XYT0RD4E7J5K',
    userId: 'user_010NFASW4XK2YJ5RVY7B6JMC28',
    type: 'text',
    payload: { text: 'can someone restart **staging**?' },
    tags: { ts: `${number}`, userId: 'U05BPU9V1KQ', channelId: 'C05C6ACTLPQ' },
  })
  if (message.id.length !== 30) throw new Error('another answer was expected')
}

for await (const line of createInterface({ input: process.stdin })) {
  const count = Number(line)
  const before = process.cpuUsage()
  let next = 0
  const work = async () => {
    while (next < count) await call(next++)
  }
  await Promise.all(Array.from({ length: 32 }, work))
  const { user, system } = process.cpuUsage(before)
  console.log((user + system) / count)
}
