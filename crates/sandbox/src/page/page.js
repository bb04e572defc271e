const $ = (id) => document.getElementById(id)

// ---- What there is, by id or number

const tables = { user: new Map(), conversation: new Map(), message: new Map() }
const requests = new Map()
// The requests that created or found a record, by its id.
const traces = new Map()
let settings
const KEPT = 1000
const SHOWN = 500

const note = (request) => {
  requests.set(request.number, request)
  if (request.stored) {
    tables[request.record]?.set(request.stored.id, request.stored)
    if (!traces.has(request.stored.id)) traces.set(request.stored.id, new Map())
    traces.get(request.stored.id).set(request.number, request)
  }
  if (requests.size > KEPT) {
    const [number, oldest] = requests.entries().next().value
    requests.delete(number)
    if (oldest.stored) traces.get(oldest.stored.id)?.delete(number)
  }
}

const events = new EventSource('/_sandbox/events')
const on = (name, take) =>
  events.addEventListener(name, (event) => {
    take(JSON.parse(event.data))
    schedule()
  })
on('state', (state) => {
  for (const map of [...Object.values(tables), requests, traces]) map.clear()
  state.requests.forEach(note)
  for (const name in tables) for (const record of state[`${name}s`]) tables[name].set(record.id, record)
  settings = state.settings
})
on('request', (request) => {
  note(request)
  if (request.outcome !== 'open') {
    $('news').textContent = `${asked(request)} ${request.outcome}. ${request.reason ?? ''}`
  }
})
on('settings', (changed) => (settings = changed))
events.onopen = () => connected('live')
events.onerror = () => connected('waiting for the sandbox')
const connected = (word) => {
  $('connection').textContent = word
  $('connection').classList.toggle('live', word === 'live')
}

// ---- Elements. What comes from outside becomes text, never markup.

const el = (tag, properties, ...children) => {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name in node) node[name] = value
    else node.setAttribute(name, value)
  }
  node.append(...children.filter((child) => child != null && child !== false))
  return node
}
// Some characters turn the text around them, and with it the name of a file.
const plain = (text) =>
  String(text).replace(/[\u202a-\u202e\u2066-\u2069]/g, (c) => `\\u${c.charCodeAt(0).toString(16)}`)
const bdi = (text) => el('bdi', {}, plain(text))
const short = (text, length = 120) => (text.length > length ? `${text.slice(0, length)}…` : text)
const json = (value) => el('pre', {}, plain(JSON.stringify(value, null, 2)))
const time = (text) => {
  const date = new Date(text)
  return el('time', { dateTime: text, title: text }, date.toLocaleTimeString([], { hour12: false }))
}
const chip = (kind, text) => el('span', { className: `chip ${kind}` }, plain(text))
const tags = (record) =>
  Object.entries(record?.tags ?? {}).map(([name, value]) => chip('', `${name}: ${value}`))

// Opens only what is on the web, and tells it nothing of this page.
const isWeb = (url) => URL.canParse(url) && ['http:', 'https:'].includes(new URL(url).protocol)
const link = (url, text, className = '') => {
  const href = isWeb(url) && new URL(url).href
  if (!href) return el('span', { className, title: 'This is not a link to the web' }, bdi(short(text)))
  return el('a', { className, href, target: '_blank', rel: 'noopener noreferrer' }, bdi(short(text)))
}

// ---- Contents. One that is not as expected throws, and is shown as JSON.

const string = (value) => {
  if (typeof value !== 'string') throw new TypeError('not a string')
  return value
}
const list = (value) => {
  if (!Array.isArray(value)) throw new TypeError('not a list')
  return value
}
const said = (text) => el('div', { className: 'said', dir: 'auto' }, string(text))

const media = location.search === '?media'
const isShown = (url, kind) => url.startsWith(`data:${kind}/`) || (media && isWeb(url))
// What is elsewhere is loaded on request only: it would tell the sender who looks, and when.
const far = (kind, url, title) =>
  el(
    'div',
    { className: 'far', 'data-kind': kind },
    title && link(url, title),
    link(url, url),
  )
const medium = (kind, tag, url, title) => {
  if (title !== undefined) string(title)
  if (!isShown(string(url), kind)) return far(kind, url, title)
  const about = plain(title ?? kind)
  const node = el(tag, { src: url, ...(tag === 'img' ? { alt: about } : { ariaLabel: about, controls: true }) })
  const whole = el('div', { className: 'stack' }, node, title && bdi(title))
  node.onerror = () => whole.replaceChildren(far(`${kind} (cannot be loaded)`, url, title))
  return whole
}

const MARKS = /\*\*([^*\n]+)\*\*|\*([^*\n]+)\*|`([^`\n]+)`|\[([^[\]\n]+)\]\(([^()\s]+)\)/g
const markdown = (text) => {
  const node = said('')
  let end = 0
  for (const found of string(text).matchAll(MARKS)) {
    const [all, strong, em, code, label, url] = found
    node.append(text.slice(end, found.index))
    if (strong) node.append(el('strong', {}, strong))
    if (em) node.append(el('em', {}, em))
    if (code) node.append(el('code', {}, code))
    if (label) node.append(link(url, label))
    end = found.index + all.length
  }
  node.append(text.slice(end))
  return node
}

const action = ({ action, label, value }) => {
  const title = `${plain(action)}: ${plain(short(String(value)))}`
  if (action === 'url') return link(string(value), string(label), 'option')
  return el('span', { className: 'option', title }, bdi(string(label)), el('span', { className: 'unseen' }, ` (${title})`))
}
const card = ({ title, subtitle, imageUrl, actions }) =>
  el(
    'div',
    { className: 'card' },
    imageUrl && medium('image', 'img', imageUrl),
    el('b', {}, bdi(string(title))),
    subtitle && el('span', { className: 'soft' }, bdi(string(subtitle))),
    el('div', { className: 'options' }, ...list(actions).map(action)),
  )
const option = ({ label, value }) =>
  el('span', { className: 'option', title: plain(string(value)) }, bdi(string(label)))

const CONTENTS = {
  text: ({ text }) => said(text),
  markdown: (payload) => markdown(payload.markdown),
  image: ({ imageUrl, title }) => medium('image', 'img', imageUrl, title),
  audio: ({ audioUrl, title }) => medium('audio', 'audio', audioUrl, title),
  video: ({ videoUrl, title }) => medium('video', 'video', videoUrl, title),
  file: ({ fileUrl, title }) => far('file', string(fileUrl), title && string(title)),
  location: ({ latitude, longitude, address, title }) => {
    const [place, ...rest] = [title, address, `${latitude}, ${longitude}`].filter(Boolean).map(String)
    const map = `https://www.openstreetmap.org/?mlat=${+latitude}&mlon=${+longitude}`
    const lines = rest.map((line) => el('div', {}, bdi(line)))
    return el('div', { className: 'far', 'data-kind': 'location' }, link(map, place), ...lines)
  },
  card,
  carousel: ({ items }) => el('div', { className: 'row', tabIndex: 0 }, ...list(items).map(card)),
  choice: ({ text, options }) =>
    el('div', { className: 'stack' }, said(text), el('div', { className: 'options' }, ...list(options).map(option))),
  dropdown: ({ text, options }) => {
    const items = list(options).map(({ label, value }) =>
      el('option', { title: plain(string(value)) }, plain(string(label))),
    )
    return el('div', { className: 'stack' }, said(text), el('select', { ariaLabel: plain(text) }, ...items))
  },
  bloc: ({ items }) =>
    el('div', { className: 'stack' }, ...list(items).map(({ type, payload }) => content(type, payload))),
}
const content = (type, payload) => {
  try {
    if (Object.hasOwn(CONTENTS, type)) return CONTENTS[type](payload)
  } catch {}
  return json(payload)
}

// ---- What a list shows, from what there is

// Makes a list show these items. What has not changed stays, with its focus.
const sync = (parent, items, key, version, build) => {
  const keys = new Set(items.map((item) => String(key(item))))
  const nodes = new Map()
  for (const node of [...parent.children]) {
    if (keys.has(node.dataset.key)) nodes.set(node.dataset.key, node)
    else node.remove()
  }
  let place = parent.firstChild
  for (const item of items) {
    let node = nodes.get(String(key(item)))
    const now = String(version(item))
    if (node?.dataset.version !== now) {
      const old = node
      const focused = old?.contains(document.activeElement)
      node = build(item, old)
      Object.assign(node.dataset, { key: key(item), version: now })
      if (old === place) place = node
      old?.replaceWith(node)
      if (focused) node.querySelector('summary, a')?.focus()
    }
    if (node === place) place = node.nextSibling
    else parent.insertBefore(node, place)
  }
}

const name = (user, id) => user?.name || Object.values(user?.tags ?? {})[0] || id
const titled = (record, id) => Object.values(record?.tags ?? {})[0] || id

const places = () => {
  const found = new Map()
  for (const [id, record] of tables.conversation) {
    found.set(id, { id, record, count: 0, at: record.createdAt })
  }
  for (const message of tables.message.values()) {
    const id = message.conversationId
    if (!found.has(id)) found.set(id, { id, count: 0, at: '' })
    const place = found.get(id)
    place.count += 1
    place.last = message
    if (message.updatedAt > place.at) place.at = message.updatedAt
  }
  return [...found.values()].sort((a, b) => (a.at < b.at ? 1 : -1))
}
const fragment = (id) => `#${encodeURIComponent(id)}`
const chosen = (found) => found.find(({ id }) => fragment(id) === location.hash) ?? found[0]

const showPlaces = (found, here) => {
  const version = ({ id, at, count, record }) => [at, count, record?.updatedAt, id === here?.id]
  sync($('conversations'), found, ({ id }) => id, version, ({ id, count, record, last }) => {
    const link = el(
      'a',
      { href: fragment(id) },
      el('b', {}, bdi(titled(record, id))),
      el('span', { className: 'count' }, `${count}`, el('span', { className: 'unseen' }, ' messages')),
      el('span', { className: 'soft' }, last ? bdi(short(`${last.payload.text ?? last.type}`)) : 'no messages'),
    )
    if (id === here?.id) link.setAttribute('aria-current', 'true')
    return el('li', {}, link)
  })
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
// A record as JSON, made when somebody opens it.
const raw = (record) => {
  const node = el('details', {}, el('summary', { className: 'soft' }, 'JSON'))
  node.ontoggle = () => node.children.length === 1 && node.append(json(record))
  return node
}
const avatar = (user, bot) => {
  const initial = bot ? 'B' : [...name(user, '?')][0]
  const node = el('div', { className: 'avatar', ariaHidden: 'true' }, initial.toUpperCase())
  if (!user?.pictureUrl || !isShown(user.pictureUrl, 'image')) return node
  const picture = el('img', { className: 'avatar', src: user.pictureUrl, alt: '' })
  picture.onerror = () => picture.replaceWith(node)
  return picture
}
const showMessage = (message) => {
  const user = tables.user.get(message.userId)
  const bot = message.direction === 'outgoing'
  const history = [...(traces.get(message.id)?.values() ?? [])]
  const found = history.filter(({ outcome }) => outcome === 'found')
  const changes = found.flatMap(({ changes }) => changes)
  const times = found.length > 1 ? ` ${found.length} times` : ''
  const facts = el(
    'div',
    { className: 'facts' },
    history.some(({ outcome }) => outcome === 'created') && chip('created', 'created'),
    found.length > 0 && chip('found', `found${times}${changes.length ? '' : ', nothing changed'}`),
    ...tags(message),
    raw(message),
    changes.length > 0 && el('ul', { className: 'changes' }, ...changes.map(change)),
  )
  return el(
    'li',
    { className: `message ${bot ? 'outgoing' : 'incoming'}`, id: `m-${message.id}` },
    avatar(user, bot),
    el(
      'div',
      { className: 'who' },
      el('b', { title: message.userId }, bdi(bot ? 'Bot' : name(user, message.userId))),
      time(message.createdAt),
      el('span', { className: 'soft' }, bdi(message.type)),
    ),
    el('div', { className: 'bubble' }, content(message.type, message.payload)),
    facts,
  )
}
let shown
const showMessages = (here) => {
  const all = [...tables.message.values()].filter(({ conversationId }) => conversationId === here?.id)
  const newest = all.slice(-SHOWN)
  $('title').replaceChildren(here ? bdi(titled(here.record, here.id)) : 'Messages')
  const older = all.length > SHOWN && chip('', `the newest ${SHOWN} of ${all.length}`)
  const about = here ? [chip('', here.record?.channel ?? 'not created here'), ...tags(here.record), older] : []
  $('facts').replaceChildren(...about.filter(Boolean))
  $('empty').hidden = newest.length > 0
  const scroll = $('scroll')
  const follows = shown !== here?.id || scroll.scrollTop + scroll.clientHeight > scroll.scrollHeight - 40
  shown = here?.id
  const version = ({ id, updatedAt, userId }) => {
    const history = traces.get(id)
    return [updatedAt, history?.size, tables.user.get(userId)?.updatedAt]
  }
  sync($('messages'), newest, ({ id }) => id, version, showMessage)
  if (follows) scroll.scrollTop = scroll.scrollHeight
}

const asked = ({ record, method, path }) => record ?? `${method} ${path}`
const faultName = (fault) => {
  const [kind, how] = typeof fault === 'string' ? [fault, {}] : Object.entries(fault)[0]
  const figure = typeof how === 'number' ? ` ${how}${kind === 'late' ? ' ms' : ' s'}` : ''
  const status = how.status ? ` ${how.status}` : ''
  return `${kind}${status}${figure}${how.stored ? ', stored' : ''}`
}
const brief = ({ outcome, status, reason, stored }) => {
  if (outcome === 'refused') return `${status} ${reason}`
  if (stored) {
    const tags = Object.entries(stored.tags).map(([name, value]) => `${name}: ${value}`)
    return [stored.id, ...tags].join(' · ')
  }
  return outcome === 'open' ? 'not answered yet' : 'not looked at'
}
const headers = (headers) => Object.entries(headers).map(([name, value]) => `${name}: ${value}`).join('\n')
const whole = (body) => (typeof body === 'string' ? el('pre', {}, plain(body)) : json(body))
const details = ({ method, path, body, answer, changes = [], stored, record, ...request }) => {
  const facts = [
    [`${method} ${path}`, el('pre', {}, plain(headers(request.headers)))],
    ['Body', whole(body)],
    answer
      ? [`Answer ${answer.status}`, el('pre', {}, plain(headers(answer.headers))), whole(answer.body)]
      : ['Answer', 'none'],
  ]
  const node = el('dl', {})
  if (changes.length) node.append(el('dt', {}, 'Changed'), el('dd', { className: 'changes' }, el('ul', {}, ...changes.map(change))))
  for (const [term, ...parts] of facts) node.append(el('dt', {}, plain(term)), el('dd', { tabIndex: 0 }, ...parts))
  if (record === 'message' && stored) {
    const button = el('button', { type: 'button' }, 'Show the message')
    button.onclick = () => seek(stored)
    node.prepend(el('div', {}, button))
  }
  return node
}
const seek = ({ id, conversationId }) => {
  location.hash = fragment(conversationId)
  show()
  for (const node of document.querySelectorAll('.seek')) node.classList.remove('seek')
  $(`m-${id}`)?.classList.add('seek')
  $(`m-${id}`)?.scrollIntoView({ block: 'center' })
}
const showRequest = (request, old) => {
  const { number, at, outcome, fault, changes = [] } = request
  const changed = changes.length > 0 && ` changed ${changes.map(({ path }) => path).join(', ')}`
  const node = el(
    'details',
    { className: `is-${outcome}`, open: old?.firstChild.open ?? false },
    el(
      'summary',
      {},
      time(at),
      el('span', {}, bdi(asked(request)), changed && el('small', {}, bdi(changed))),
      el(
        'span',
        { className: 'facts' },
        fault !== undefined && chip('fault', faultName(fault)),
        chip(outcome, outcome),
      ),
      el('span', { className: 'brief' }, bdi(brief(request))),
    ),
  )
  const fill = () => node.open && node.children.length === 1 && node.append(details(request))
  node.ontoggle = fill
  fill()
  return el('li', { id: `r-${number}` }, node)
}
const showRequests = () => {
  const only = $('troubles').checked
  const isTrouble = ({ outcome, fault }) => outcome === 'refused' || outcome === 'failed' || fault
  const all = [...requests.values()].reverse().filter((request) => !only || isTrouble(request))
  $('quiet').hidden = all.length > 0
  sync($('requests'), all, ({ number }) => number, ({ outcome }) => outcome, showRequest)
}

// ---- Switches

const FAULTS = [
  ['connection breaks, stored', { reset: { stored: true } }],
  ['connection breaks, not stored', { reset: { stored: false } }],
  ['connection breaks, stored 900 ms later', { late: 900 }],
  ['no answer, stored', { silence: { stored: true } }],
  ['no answer, not stored', { silence: { stored: false } }],
  ['502 by a gateway, not stored', { page: { status: 502, stored: false } }],
  ['503 by a gateway, stored', { page: { status: 503, stored: true } }],
  ['500 by the API, stored', { error: { status: 500, stored: true } }],
  ['401 by the API, not stored', { error: { status: 401, stored: false } }],
  ['answer cut in half, stored', 'truncated'],
  ['429, wait for a second', { limited: 1 }],
]
$('fault').append(...FAULTS.map(([name], index) => el('option', { value: index }, name)))

const call = async (path, method, body) => {
  const headers = { 'content-type': 'application/json' }
  try {
    const answer = await fetch(`/_sandbox/${path}`, { method, headers, body: JSON.stringify(body) })
    $('problem').textContent = answer.ok ? '' : (await answer.json()).message
  } catch (error) {
    $('problem').textContent = error.message
  }
}
const set = (settings) => $('settings').reportValidity() && call('settings', 'PATCH', settings)
$('settings').onsubmit = (event) => {
  event.preventDefault()
  const more = Array($('times').valueAsNumber).fill(FAULTS[$('fault').value][1])
  set({ faults: [...settings.faults, ...more] })
}
$('clear').onclick = () => set({ faults: [] })
$('probability').onchange = $('seed').onchange = () => {
  const probability = $('probability').value / 100
  set({ storm: probability > 0 ? { seed: $('seed').valueAsNumber, probability } : null })
}
$('probability').oninput = () => ($('percent').textContent = `${$('probability').value} %`)
$('latency').onchange = () => set({ latencyMilliseconds: $('latency').valueAsNumber })
$('limit').onchange = () =>
  set({ requestsPerSecond: $('limit').value === '' ? null : $('limit').valueAsNumber })
$('reset').onclick = () => call('reset', 'POST')
$('troubles').onchange = () => schedule()

const showSettings = () => {
  const { faults, storm, latencyMilliseconds, requestsPerSecond } = settings
  const put = (id, value) => {
    if ($(id) !== document.activeElement) $(id).value = value
  }
  const percent = Math.round((storm?.probability ?? 0) * 100)
  put('probability', percent)
  if ($('probability') !== document.activeElement) $('percent').textContent = `${percent} %`
  if (storm) put('seed', storm.seed)
  put('latency', latencyMilliseconds)
  put('limit', requestsPerSecond ?? '')
  const names = faults.map((fault) => (fault === null ? 'none' : faultName(fault)))
  const rest = names.length > 3 ? ` and ${names.length - 3} more` : ''
  $('script').textContent = names.length ? `To come: ${names.slice(0, 3).join('; ')}${rest}` : ''
  $('clear').disabled = names.length === 0
  const weather = [
    names.length && `${names.length} to come`,
    percent && `${percent} % by chance`,
    latencyMilliseconds && `${latencyMilliseconds} ms late`,
    requestsPerSecond !== null && `at most ${requestsPerSecond} a second`,
  ]
  $('weather').textContent = weather.filter(Boolean).join(', ') || 'none'
}

// The fragment names the conversation, so it cannot lead there.
$('skip').onclick = (event) => {
  event.preventDefault()
  $('talk').focus()
}
$('here').textContent = `export BP_API_URL=${location.origin}`
if (media) {
  $('media').href = '/'
  $('media').textContent = 'Load no remote media'
}
$('media').onclick = () => ($('media').href = new URL($('media').href).pathname + (media ? '' : '?media') + location.hash)

const show = () => {
  const found = places()
  const here = chosen(found)
  showPlaces(found, here)
  showMessages(here)
  showRequests()
  if (settings) showSettings()
}
let due = false
const schedule = () => {
  if (due) return
  due = true
  requestAnimationFrame(() => {
    due = false
    show()
  })
}
window.onhashchange = schedule
