// ---- What the page does: faults, new messages, copies, reset

const call = async (path, method, body) => {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`/_sandbox/${path}`, { method, headers, body: JSON.stringify(body) })
  if (response.status === 204) return undefined
  const result = await response.json()
  if (!response.ok) throw new Error(result.message)
  return result
}
// Shows a text for a while.
let noticeTimer
const say = (text) => {
  $('notice').textContent = text
  clearTimeout(noticeTimer)
  noticeTimer = setTimeout(() => ($('notice').textContent = ''), 6000)
}

// ---- Faults

const FAULTS = [
  ['connection breaks, stored', { reset: { stored: true } }],
  ['connection breaks, not stored', { reset: { stored: false } }],
  ['connection breaks, stored 900 ms later', { late: 900 }],
  ['no response, stored', { silence: { stored: true } }],
  ['no response, not stored', { silence: { stored: false } }],
  ['502 from a gateway, not stored', { page: { status: 502, stored: false } }],
  ['503 from a gateway, stored', { page: { status: 503, stored: true } }],
  ['500 from the API, stored', { error: { status: 500, stored: true } }],
  ['401 from the API, not stored', { error: { status: 401, stored: false } }],
  ['response is cut in half, stored', 'truncated'],
  ['429, wait one second', { limited: 1 }],
]
$('fault').append(...FAULTS.map(([name], index) => el('option', { value: index }, name)))

const set = async (changed) => {
  if (!$('settings').reportValidity()) return
  try {
    await call('settings', 'PATCH', changed)
    $('problem').textContent = ''
  } catch (error) {
    $('problem').textContent = error.message
  }
}
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
  $('script').textContent = names.length ? `Next: ${names.slice(0, 3).join('; ')}${rest}` : ''
  $('clear').disabled = names.length === 0
  const active = [
    names.length && `${names.length} planned`,
    percent && `${percent} % at random`,
    latencyMilliseconds && `+${latencyMilliseconds} ms`,
    requestsPerSecond !== null && `at most ${requestsPerSecond} per second`,
  ]
  $('active').textContent = active.filter(Boolean).join(', ') || 'none'
}

// ---- Copies

// Quotes a text as one word of a shell. Control characters could act on the terminal that it is pasted into.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g
const word = (text) => {
  if (/^[\w./:=-]+$/.test(text)) return text
  if (text.search(CONTROL) < 0) return `'${text.replaceAll("'", "'\\''")}'`
  const escaped = (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`
  return `$'${text.replace(/[\\']/g, '\\$&').replace(CONTROL, escaped)}'`
}
// curl sets these itself.
const SET_BY_CURL =
  ['accept', 'accept-encoding', 'connection', 'content-length', 'host', 'transfer-encoding', 'user-agent']
// The page does not know the token, so the command uses its variable.
const curl = ({ method, path, headers, body }) => {
  const names = Object.keys(headers).filter((name) => !SET_BY_CURL.includes(name) && headers[name] !== '[secret]')
  // curl removes a header without a value, unless it ends in a semicolon.
  const header = (name) => `-H ${word(headers[name] ? `${name}: ${headers[name]}` : `${name};`)}`
  const parts = [
    `curl -X ${word(method)} ${word(location.origin + path)}`,
    headers.authorization && '-H "authorization: Bearer $BP_TOKEN"',
    ...names.map(header),
    // Without this, curl sends the content type of a form.
    headers['content-type'] === undefined && "-H 'content-type:'",
    body !== '' && `--data-raw ${word(typeof body === 'string' ? body : JSON.stringify(body))}`,
  ]
  return parts.filter(Boolean).join(' \\\n  ')
}
const copy = async (text) => {
  try {
    await navigator.clipboard.writeText(text)
    say('Copied.')
  } catch {
    $('copy').value = text
    $('copying').showModal()
    $('copy').select()
  }
}
$('close-copy').onclick = () => $('copying').close()

// ---- New requests

const replay = async ({ method, path, headers, body }) => {
  try {
    const { response } = await call('send', 'POST', { method, path, headers, body })
    say(response ? `Sent again: ${response.status}.` : 'Sent again: no response.')
  } catch (error) {
    say(`Not sent: ${error.message}`)
  }
}

const PICTURE =
  "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='160' height='80'><rect width='160' height='80' fill='teal'/></svg>"
const CARD = {
  title: 'A card',
  subtitle: 'With two buttons',
  imageUrl: PICTURE,
  actions: [
    { action: 'postback', label: 'Choose', value: 'chosen' },
    { action: 'url', label: 'Open', value: 'https://example.com/' },
  ],
}
const OPTIONS = [{ label: 'Yes', value: 'yes' }, { label: 'No', value: 'no' }]
// An example of each type.
const SAMPLES = {
  text: { text: 'Hello' },
  markdown: { markdown: 'This is **important**.' },
  image: { imageUrl: PICTURE, title: 'A picture' },
  audio: { audioUrl: 'https://example.com/sound.mp3', title: 'A sound' },
  video: { videoUrl: 'https://example.com/film.mp4', title: 'A film' },
  file: { fileUrl: 'https://example.com/report.pdf', title: 'A report' },
  location: { latitude: 45.5, longitude: -73.6, title: 'Montreal', address: '275 Notre-Dame St' },
  card: CARD,
  carousel: { items: [CARD, { title: 'Another card', actions: [] }] },
  choice: { text: 'Continue?', options: OPTIONS },
  dropdown: { text: 'Continue?', options: OPTIONS },
  bloc: { items: [{ type: 'text', payload: { text: 'Look:' } }, { type: 'image', payload: { imageUrl: PICTURE } }] },
  custom: { anything: ['your bot', 'understands'] },
}
// The number of conversations to choose from. The one that is shown is always among them.
const OFFERED = 50
$('type').append(...Object.keys(SAMPLES).map((type) => el('option', {}, type)))

// Texts are entered as they are, other payloads as JSON.
const isText = () => ['text', 'markdown'].includes($('type').value)
const fillPayload = () => {
  const sample = SAMPLES[$('type').value]
  $('payload-label').textContent = isText() ? 'Text' : 'Payload, as JSON'
  $('payload').value = isText() ? Object.values(sample)[0] : JSON.stringify(sample, null, 2)
}
$('type').onchange = fillPayload
$('to').onchange = () => {
  $('new').hidden = $('to').value !== ''
  $('place').disabled = $('new').hidden
}
$('compose').onclick = () => {
  const all = places()
  const here = all.find(({ id }) => id === chosenId)
  const offered = [here, ...all.filter((place) => place !== here)].filter(Boolean).slice(0, OFFERED)
  const name = ({ record, id }) => `${record?.channel ?? ''} ${conversationName(record, id)}`
  const options = offered.map((place) => el('option', { value: place.id }, plain(short(name(place), 60))))
  $('to').replaceChildren(...options, el('option', { value: '' }, 'a new conversation'))
  $('to').onchange()
  if (!$('payload').value) fillPayload()
  $('tag').value = `test-${Date.now()}`
  $('unsent').textContent = ''
  $('sending').showModal()
  $('payload').focus()
}
$('cancel-sending').onclick = () => $('sending').close()

const getOrCreate = async (record, body) => {
  const { response } = await call('send', 'POST', { path: `/v1/chat/${record}s/get-or-create`, body })
  const stored = response?.status === 200 && response.body?.[record]
  if (stored) return stored
  const why = response ? `${response.status} ${response.body?.message ?? ''}` : 'no response'
  throw new Error(`The request for the ${record} failed: ${why}`)
}
const sendMessage = async () => {
  const type = $('type').value
  const payload = isText() ? { [type]: $('payload').value } : JSON.parse($('payload').value)
  const [name, tag] = [$('who').value, $('tag').value]
  const user = await getOrCreate('user', { name, tags: { id: name } })
  let conversationId = $('to').value
  if (!conversationId) {
    const body = { channel: $('channel').value, tags: { id: $('place').value } }
    conversationId = (await getOrCreate('conversation', body)).id
  }
  const tags = tag ? { id: tag } : {}
  return getOrCreate('message', { conversationId, userId: user.id, type, payload, tags })
}
$('message').onsubmit = async (event) => {
  event.preventDefault()
  $('send').disabled = true
  try {
    const message = await sendMessage()
    $('sending').close()
    say('Sent.')
    // The event may arrive later.
    noteRecord('message', message)
    location.hash = fragment('message', message.id)
  } catch (error) {
    $('unsent').textContent = error instanceof SyntaxError ? `The payload is not JSON: ${error.message}` : error.message
  } finally {
    $('send').disabled = false
  }
}

// ---- Reset

$('reset').onclick = () => {
  const counts = Object.entries(tables).map(([kind, { size }]) => `${size} ${kind}${size === 1 ? '' : 's'}`)
  $('loss').textContent =
    `This deletes ${counts.join(', ')} and the list of requests, and restores the initial settings.`
  $('resetting').showModal()
}
$('cancel-reset').onclick = () => $('resetting').close()
$('confirm-reset').onclick = async () => {
  $('resetting').close()
  try {
    await call('reset', 'POST')
    say('Everything was deleted.')
  } catch (error) {
    say(`Nothing was deleted: ${error.message}`)
  }
}
