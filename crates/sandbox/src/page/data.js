// ---- What the page knows: the newest records and requests

// The sandbox keeps this number of requests.
const KEPT = 1000

const tables = { user: new Map(), conversation: new Map(), message: new Map() }
const requests = new Map()
// The requests of a record, by number: under its id, and for a message also under the tags that identify it. A
// request that failed has no record, so only the tags connect it with the message.
const histories = new Map()
let settings

const lookup = ({ record, body }) => {
  const listed = Array.isArray(body?.discriminateByTags) ? body.discriminateByTags : []
  const identifies = ([name, value]) => value && (listed.length === 0 || listed.includes(name))
  const tags = Object.entries(Object(body?.tags)).filter(identifies)
  return record === 'message' && tags.length > 0 && JSON.stringify(tags.sort())
}
const historiesOf = (request) => [request.stored?.id, lookup(request)].filter(Boolean)

const keep = (map, key, value, forget) => {
  map.set(key, value)
  if (map.size <= KEPT) return
  const [oldest, gone] = map.entries().next().value
  map.delete(oldest)
  forget?.(gone)
}
const noteRecord = (kind, record) => keep(tables[kind], record.id, record)
const noteRequest = (request) => {
  for (const name of historiesOf(request)) {
    if (!histories.has(name)) histories.set(name, new Map())
    histories.get(name).set(request.number, request)
  }
  keep(requests, request.number, request, (gone) => {
    for (const name of historiesOf(gone)) {
      histories.get(name)?.delete(gone.number)
      if (histories.get(name)?.size === 0) histories.delete(name)
    }
  })
}
const noteState = (state) => {
  for (const map of [...Object.values(tables), requests, histories]) map.clear()
  for (const kind in tables) for (const record of state[`${kind}s`]) noteRecord(kind, record)
  state.requests.forEach(noteRequest)
  settings = state.settings
}

// The requests that created or found a message, and those that failed before that, in order.
const historyOf = ({ id }) => {
  const history = new Map(histories.get(id))
  for (const name of new Set([...history.values()].map(lookup))) {
    for (const [number, request] of histories.get(name) ?? []) {
      if (!request.stored) history.set(number, request)
    }
  }
  return [...history.values()].sort((one, other) => one.number - other.number)
}

const conversationOf = ({ record, body, stored }) =>
  record === 'conversation' ? stored?.id : record === 'message' ? (stored ?? body)?.conversationId : undefined

// The conversations with their messages; the one with the newest message comes first.
const places = () => {
  const found = new Map()
  const place = (id) => {
    if (!found.has(id)) found.set(id, { id, messages: [], at: '' })
    return found.get(id)
  }
  for (const [id, record] of tables.conversation) Object.assign(place(id), { record, at: record.createdAt })
  for (const message of tables.message.values()) {
    const here = place(message.conversationId)
    here.messages.push(message)
    if (message.updatedAt > here.at) here.at = message.updatedAt
  }
  return [...found.values()].sort((one, other) => (one.at < other.at ? 1 : -1))
}

// ---- Names for people

const tagsOf = (record) => Object.entries(Object(record?.tags)).map(([name, value]) => `${name}: ${value}`)
const valuesOf = (record) => Object.values(Object(record?.tags)).filter(Boolean).join(' · ')
const userName = (user, id) => user?.name || valuesOf(user) || id
const conversationName = (record, id) => valuesOf(record) || id
const preview = (type, payload) => {
  const text = payload?.text ?? payload?.markdown
  if (typeof text === 'string' && text) return text
  return typeof payload?.title === 'string' ? `${type}: ${payload.title}` : `${type}`
}
const recordName = ({ record, method, path }) => record ?? `${method} ${path}`
const headline = (request) => {
  const { record, body } = request
  if (record === 'message' && body?.type) return preview(body.type, body.payload)
  if (record === 'user') return userName(body, record)
  if (record === 'conversation') return conversationName(body, record)
  return recordName(request)
}
const faultName = (fault) => {
  const [kind, how] = typeof fault === 'string' ? [fault, {}] : Object.entries(fault)[0]
  const figure = typeof how === 'number' ? ` ${how}${kind === 'late' ? ' ms' : ' s'}` : ''
  const status = how.status ? ` ${how.status}` : ''
  return `${kind}${status}${figure}${how.stored ? ', stored' : ''}`
}
const scheduleName = ({ dateTime, delay }) => (dateTime === undefined ? `+${delay} ms` : dateTime)

// ---- Search

// Everything in a value that can be searched for, in lower case, made once.
const texts = new WeakMap()
const flat = (value) =>
  value instanceof Object ? Object.entries(value).flat().map(flat).join(' ') : String(value)
const textOf = (value) => {
  if (!texts.has(value)) texts.set(value, flat(value).toLowerCase())
  return texts.get(value)
}
