// Delivers a message with the vendor's client, and reads it through the control API of the sandbox:
//
//     node vendor.mjs FOLDER-WITH-THE-CLIENT
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'

const { Client } = createRequire(`${process.argv[2]}/`)('@botpress/client')
const { BP_API_URL: url, BP_TOKEN: token, BP_BOT_ID: botId, BP_INTEGRATION_ID: integrationId } =
  process.env
const client = new Client({ apiUrl: url, token, botId, integrationId })
const control = async (path, method = 'GET', body = undefined) => {
  const headers = body ? { 'content-type': 'application/json' } : {}
  const answer = await fetch(`${url}/_sandbox/${path}`, { method, headers, body: JSON.stringify(body) })
  assert.ok(answer.ok, `${path}: ${answer.status}`)
  return answer.status === 204 ? undefined : answer.json()
}

await control('reset', 'POST')
const { user } = await client.getOrCreateUser({ tags: { id: 'U' }, name: 'Ann' })
const { conversation } = await client.getOrCreateConversation({ channel: 'dm', tags: { id: 'C' } })
const say = (text) =>
  client.getOrCreateMessage({
    userId: user.id,
    conversationId: conversation.id,
    type: 'text',
    payload: { text },
    tags: { id: '1' },
  })
const { message } = await say('Hello')
await control('settings', 'PATCH', { faults: [null, { error: { status: 403, stored: false } }] })
const again = await say('Hello!')
assert.equal(again.message.id, message.id)
await assert.rejects(say('No'), { type: 'Forbidden', code: 403 })

assert.deepEqual((await control('users')).users, [user])
assert.equal((await control('conversations')).conversations[0].id, conversation.id)
assert.deepEqual((await control('messages')).messages, [again.message])
const { requests } = await control('requests')
assert.deepEqual(
  requests.map(({ record, outcome }) => `${record} ${outcome}`),
  ['user created', 'conversation created', 'message created', 'message found', 'message failed'],
)
assert.deepEqual(requests[3].changes, [{ path: '/payload/text', before: 'Hello', after: 'Hello!' }])
assert.deepEqual(requests[4].fault, { error: { status: 403, stored: false } })
assert.equal(requests[4].headers.authorization, '[secret]')
