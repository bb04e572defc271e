// ---- Elements. Untrusted values become text, never markup.

const el = (tag, properties, ...children) => {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name in node) node[name] = value
    else node.setAttribute(name, value)
  }
  node.append(...children.filter((child) => child != null && child !== false))
  return node
}
// Some characters reverse the text around them, which can disguise the name of a file.
const plain = (text) =>
  String(text).replace(/[\u202a-\u202e\u2066-\u2069]/g, (c) => `\\u${c.charCodeAt(0).toString(16)}`)
const bdi = (text) => el('bdi', {}, plain(text))
const short = (text, length = 120) => (text.length > length ? `${text.slice(0, length)}…` : text)
const json = (value) => el('pre', {}, plain(JSON.stringify(value, null, 2)))
// The time as on the console, with the date.
const time = (text) => {
  const date = new Date(text)
  return el('time', { dateTime: text, title: date.toString() }, date.toISOString().replace('T', ' '))
}
const chip = (kind, text) => el('span', { className: `chip ${kind}` }, plain(text))
const tags = (record) => tagsOf(record).map((tag) => chip('', tag))

// Makes links only of web addresses, and sends no referrer to them.
const isWeb = (url) => URL.canParse(url) && ['http:', 'https:'].includes(new URL(url).protocol)
const link = (url, text, className = '') => {
  const href = isWeb(url) && new URL(url).href
  if (!href) return el('span', { className, title: 'This is not a link to the web' }, bdi(short(text)))
  return el('a', { className, href, target: '_blank', rel: 'noopener noreferrer' }, bdi(short(text)))
}

// ---- Contents. An unexpected one throws, and is shown as JSON.

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
// Remote media are loaded only on request: their server would learn who views the page, and when.
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
