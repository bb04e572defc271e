// ---- The three lists

const fragment = (what, id) => `#${what}=${encodeURIComponent(id)}`
// What the fragment names.
const target = () => {
  const [[what, id] = []] = new URLSearchParams(location.hash.slice(1))
  return { what, id }
}
let sought = target()
const isSought = (what, id) => sought.what === what && sought.id === String(id)

// The name of the channel distinguishes a thread from its channel: both have the channel's tag.
const placeName = ({ record, id }) => [
  chip('', record ? record.channel : 'not created here'),
  ' ',
  bdi(conversationName(record, id)),
]
const placeRow = (place) => {
  const { id, messages, chosen } = place
  const last = messages.at(-1)
  const link = el(
    'a',
    { href: fragment('conversation', id), className: 'handle' },
    el('b', {}, ...placeName(place)),
    el('span', { className: 'count' }, `${messages.length}`, el('span', { className: 'unseen' }, ' messages')),
    el('span', { className: 'soft last' }, last ? bdi(short(preview(last.type, last.payload))) : 'no messages'),
  )
  if (chosen) link.setAttribute('aria-current', 'true')
  return el('li', {}, link)
}

const change = ({ path, before, after }) =>
  el(
    'li',
    {},
    el('code', {}, plain(path)),
    ' ',
    before !== undefined && el('del', {}, plain(short(JSON.stringify(before)))),
    before !== undefined && after !== undefined && ' → ',
    after !== undefined && el('ins', {}, plain(short(JSON.stringify(after)))),
  )
// A record as JSON, made when it is opened.
const raw = (record) => {
  const node = el('details', {}, el('summary', { className: 'soft' }, 'JSON'))
  node.ontoggle = () => node.children.length === 1 && node.append(json(record))
  return node
}
const avatar = (user, isBot) => {
  const initial = isBot ? 'B' : [...userName(user, '?')][0]
  const node = el('div', { className: 'avatar', ariaHidden: 'true' }, initial.toUpperCase())
  if (!user?.pictureUrl || !isShown(user.pictureUrl, 'image')) return node
  const picture = el('img', { className: 'avatar', src: user.pictureUrl, alt: '' })
  picture.onerror = () => picture.replaceWith(node)
  return picture
}
const messageRow = (message) => {
  const user = tables.user.get(message.userId)
  const isBot = message.direction === 'outgoing'
  const history = historyOf(message)
  const found = history.filter(({ outcome }) => outcome === 'found')
  const changes = found.flatMap(({ changes }) => changes)
  const times = found.length > 1 ? ` ${found.length} times` : ''
  const sent = [message, ...history.map(({ body }) => body)]
  const { schedule: plan } = sent.find(({ schedule }) => schedule) ?? {}
  const { origin } = sent.find(({ origin }) => origin) ?? {}
  const facts = el(
    'div',
    { className: 'facts' },
    ...tags(message),
    history.some(({ outcome }) => outcome === 'created') && chip('created', 'created'),
    found.length > 0 && chip('found', `found${times}${changes.length ? '' : ', nothing changed'}`),
    ...history.filter(({ fault }) => fault).map(({ fault }) => chip('fault', `fault: ${faultName(fault)}`)),
    plan && chip('', `scheduled: ${scheduleName(plan)}`),
    origin && chip('', origin),
    raw(message),
    changes.length > 0 && el('ul', { className: 'changes' }, ...changes.map(change)),
  )
  const side = isBot ? 'outgoing' : 'incoming'
  const mark = isSought('message', message.id) ? ' sought' : ''
  return el(
    'li',
    { className: `message handle ${side}${mark}`, id: `m-${message.id}` },
    avatar(user, isBot),
    el(
      'div',
      { className: 'who' },
      el('b', { title: plain(message.userId) }, bdi(isBot ? 'Bot' : userName(user, message.userId))),
      time(message.createdAt),
      el('span', { className: 'soft' }, bdi(message.type)),
    ),
    el('div', { className: 'bubble' }, content(message.type, message.payload)),
    facts,
  )
}

const requestRow = (request) => {
  const { number, at, outcome, status, reason, fault, body, changes = [] } = request
  const tags = tagsOf(body)
  const changed = changes.length > 0 && `changed ${changes.map(({ path }) => path).join(', ')}`
  const node = el(
    'details',
    { className: `is-${outcome}`, open: opened.has(number) },
    el(
      'summary',
      { className: 'handle' },
      el('span', { className: 'text' }, bdi(short(headline(request)))),
      el(
        'span',
        { className: 'facts' },
        fault !== undefined && chip('fault', faultName(fault)),
        chip(outcome, outcome === 'open' ? 'in flight' : outcome),
      ),
      el(
        'span',
        { className: 'brief' },
        el('span', {}, bdi([...tags, changed].filter(Boolean).join(' · ') || 'no tags')),
        el('span', {}, bdi(recordName(request)), ' ', time(at)),
      ),
      outcome === 'rejected' && el('span', { className: 'reason' }, bdi(`${status} ${reason}`)),
    ),
  )
  const fill = () => {
    if (node.open) opened.add(number)
    else opened.delete(number)
    if (node.open && node.children.length === 1) node.append(details(request))
  }
  node.ontoggle = fill
  fill()
  return el('li', { id: `r-${number}`, className: isSought('request', number) ? 'sought' : '' }, node)
}
// The numbers of the requests that are open. Rows out of view are not in the document.
const opened = new Set()
const headers = (headers) => Object.entries(headers).map(([name, value]) => `${name}: ${value}`).join('\n')
const whole = (body) => (typeof body === 'string' ? el('pre', {}, plain(body)) : json(body))
const details = (request) => {
  const { number, method, path, body, response, changes = [], stored, record } = request
  const button = (text, act) => el('button', { type: 'button', onclick: act }, text)
  const actions = el(
    'div',
    { className: 'actions' },
    record === 'message' && stored && el('a', { href: fragment('message', stored.id) }, 'Show the message'),
    el('a', { href: fragment('request', number) }, `Link to request ${number}`),
    // A body that was too large is not kept.
    body !== null && button('Copy as curl', () => copy(curl(request))),
    button('Copy as JSON', () => copy(JSON.stringify(request, null, 2))),
    body !== null && button('Send again', () => replay(request)),
  )
  const facts = [
    [`${method} ${path}`, el('pre', {}, plain(headers(request.headers)))],
    ['Body', whole(body)],
    response
      ? [`Response ${response.status}`, el('pre', {}, plain(headers(response.headers))), whole(response.body)]
      : ['Response', 'none'],
  ]
  const list = el('dl', {})
  if (changes.length) {
    list.append(el('dt', {}, 'Changed'), el('dd', { className: 'changes' }, el('ul', {}, ...changes.map(change))))
  }
  for (const [term, ...parts] of facts) list.append(el('dt', {}, plain(term)), el('dd', { tabIndex: 0 }, ...parts))
  return el('div', { className: 'content' }, actions, list)
}

const lists = {
  places: new Rows($('conversations'), {
    key: ({ id }) => id,
    version: ({ at, messages, record, chosen }) => [at, messages.length, record?.updatedAt, chosen],
    build: placeRow,
    usual: 60,
  }),
  talk: new Rows($('messages'), {
    key: ({ id }) => id,
    version: (message) => {
      const history = historyOf(message).map(({ number, outcome }) => `${number} ${outcome}`)
      return [message.updatedAt, history, tables.user.get(message.userId)?.updatedAt, isSought('message', message.id)]
    },
    build: messageRow,
    usual: 90,
    newestLast: true,
  }),
  log: new Rows($('requests'), {
    key: ({ number }) => number,
    version: ({ number, outcome }) => [outcome, isSought('request', number)],
    build: requestRow,
    usual: 52,
  }),
}

// ---- Search and filters

const isFound = (value) => words.every((word) => textOf(value).includes(word))
let words = []
const messageFound = (message) => isFound(message) || isFound(tables.user.get(message.userId) ?? {})
// A conversation with the messages that match: all of them if its own name matches.
const searched = (place) => {
  const isWhole = isFound(place.record ?? {})
  return { ...place, isWhole, messages: isWhole ? place.messages : place.messages.filter(messageFound) }
}
const KINDS = { other: ({ record }) => !record }
const TROUBLES = {
  fault: ({ fault }) => fault,
  problem: ({ outcome, fault }) => outcome === 'rejected' || outcome === 'failed' || fault,
}
const requestFilter = (here) => {
  const [place, kind, outcome] = ['in', 'kind', 'outcome'].map((id) => $(id).value)
  return (request) =>
    (place === '' || (here && conversationOf(request) === here.id)) &&
    (kind === '' || (KINDS[kind]?.(request) ?? request.record === kind)) &&
    (outcome === '' || (TROUBLES[outcome]?.(request) ?? request.outcome === outcome)) &&
    isFound(request)
}

// The chosen conversation stays chosen until another one is.
let chosenId
const chosen = (found) => {
  const { what, id } = sought
  const wanted = {
    conversation: () => id,
    message: () => tables.message.get(id)?.conversationId,
    request: () => requests.has(+id) && conversationOf(requests.get(+id)),
  }
  const is = (wanted) => found.find((place) => place.id === wanted)
  const place = is(Object.hasOwn(wanted, what ?? '') && wanted[what]()) ?? is(chosenId) ?? found[0]
  chosenId = place?.id
  return place
}

const showPlaces = (found, here) => {
  const total = tables.conversation.size
  $('places-count').textContent = found.length ? `${found.length}` : ''
  $('places-empty').textContent = total ? 'No conversation contains this text.' : 'None yet.'
  $('places-empty').hidden = found.length > 0
  lists.places.show(found.map((place) => ({ ...place, chosen: place === here })))
}
let shownId
const showMessages = (here) => {
  const messages = here?.messages ?? []
  if (shownId !== here?.id) lists.talk.atEnd = true
  shownId = here?.id
  showTitle(here)
  const isEmpty = tables.message.size === 0
  $('empty').hidden = messages.length > 0
  $('empty-text').textContent = isEmpty ? 'No messages yet.' : 'No message here contains this text.'
  $('hint').hidden = !isEmpty
  lists.talk.show(messages)
}
const showTitle = (here) => {
  const version = JSON.stringify([here?.id, here?.record])
  if ($('title').dataset.version === version) return
  $('title').dataset.version = version
  const title = here ? placeName(here) : ['Messages']
  $('title').replaceChildren(...title)
  $('facts').replaceChildren(...(here?.record ? tags(here.record) : []))
}
const showRequests = (here) => {
  const found = [...requests.values()].reverse().filter(requestFilter(here))
  const count = (number) => number.toLocaleString('en')
  $('log-count').textContent =
    found.length < requests.size ? `${count(found.length)} of ${count(requests.size)}` : count(requests.size)
  $('log-empty').textContent = requests.size ? 'No request matches the search and the filters.' : 'None yet.'
  $('log-empty').hidden = found.length > 0
  lists.log.show(found)
}
