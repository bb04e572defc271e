// ---- Navigation: the tab, and the record or request that the fragment names

const VIEWS = ['places', 'talk', 'log']
const FILTERS = ['search', 'in', 'kind', 'outcome']
const narrow = matchMedia('(max-width: 1020px)')

const turn = (view) => {
  $('tabs').parentElement.dataset.view = view
  for (const name of VIEWS) {
    const tab = $(`tab-${name}`)
    tab.ariaSelected = String(name === view)
    tab.tabIndex = name === view ? 0 : -1
  }
  schedule()
}
// The columns have the role of tab panels only where the tabs are visible.
const layOut = () => {
  for (const name of VIEWS) {
    const panel = $(name).firstElementChild
    if (narrow.matches) {
      panel.setAttribute('role', 'tabpanel')
      panel.setAttribute('aria-labelledby', `tab-${name}`)
    } else {
      panel.removeAttribute('role')
      panel.removeAttribute('aria-labelledby')
    }
  }
  schedule()
}
narrow.onchange = layOut
for (const [place, name] of VIEWS.entries()) {
  $(`tab-${name}`).onclick = () => turn(name)
  $(`tab-${name}`).onkeydown = (event) => {
    const last = VIEWS.length - 1
    const to = { ArrowRight: place === last ? 0 : place + 1, ArrowLeft: place ? place - 1 : last, Home: 0, End: last }[event.key]
    if (to === undefined) return
    event.preventDefault()
    turn(VIEWS[to])
    $(`tab-${VIEWS[to]}`).focus()
  }
}
for (const skip of document.querySelectorAll('.skip')) {
  skip.onclick = (event) => {
    // The fragment names a record, so it cannot lead to a column.
    event.preventDefault()
    const column = skip.getAttribute('href').slice(1)
    turn(column)
    $(column).focus({ preventScroll: true })
  }
}

// Goes to what the fragment names. Clears the search and the filters if they hide it.
const go = () => {
  sought = target()
  const { what, id } = sought
  if (what === 'conversation') {
    turn('talk')
    lists.talk.atEnd = true
    if (narrow.matches) $('talk').focus({ preventScroll: true })
  } else if (what === 'message' && tables.message.has(id)) {
    if (!messageFound(tables.message.get(id))) $('search').value = ''
    turn('talk')
    lists.talk.go(id)
  } else if (what === 'request' && requests.has(+id)) {
    if (!requestFilter()(requests.get(+id))) for (const name of FILTERS) $(name).value = ''
    opened.add(+id)
    turn('log')
    lists.log.go(id)
  } else if (what === 'message' || what === 'request') {
    say(`This ${what} is not among the newest ${KEPT.toLocaleString('en')}.`)
  }
  schedule()
}
window.onhashchange = go
// A link to the current fragment fires no `hashchange`, so this goes there again.
document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a:not(.skip)')
  if (link && link.getAttribute('href') === location.hash) go()
})

// ---- At most one update in each frame, for everything that changed since the last one

for (const name of FILTERS) $(name).oninput = () => schedule()

const update = () => {
  words = $('search').value.toLowerCase().split(/\s+/).filter(Boolean)
  const all = places()
  const isWanted = ({ isWhole, messages }) => isWhole || messages.length > 0
  const found = words.length ? all.map(searched).filter(isWanted) : all
  const here = chosen(found)
  showPlaces(found, here)
  showMessages(here)
  showRequests(here)
  Rows.settle(Object.values(lists))
  if (settings) showSettings()
}
let isDue = false
const schedule = () => {
  if (isDue) return
  isDue = true
  requestAnimationFrame(() => {
    isDue = false
    update()
  })
}

// ---- The events of the sandbox

const events = new EventSource('/_sandbox/events')
const on = (name, take) =>
  events.addEventListener(name, (event) => {
    take(JSON.parse(event.data))
    schedule()
  })
let isFirst = true
on('state', (state) => {
  noteState(state)
  if (isFirst && location.hash) go()
  isFirst = false
})
on('request', (request) => {
  noteRequest(request)
  if (request.stored) noteRecord(request.record, request.stored)
  if (request.outcome !== 'open') report(request)
})
on('settings', (changed) => (settings = changed))
const connected = (word) => {
  $('connection').textContent = word
  $('connection').classList.toggle('live', word === 'live')
}
events.onopen = () => connected('live')
events.onerror = () => connected('waiting for the sandbox')

// For screen readers: at most once a second, so that users can follow.
let unreported = []
const report = (request) => {
  unreported.push(request)
  if (unreported.length > 1) return
  setTimeout(() => {
    const [{ outcome, reason = '' }] = unreported
    const one = `${recordName(unreported[0])} ${outcome}. ${reason}`
    $('news').textContent = unreported.length === 1 ? one : `${unreported.length} requests.`
    unreported = []
  }, 1000)
}

$('here').textContent = `export BP_API_URL=${location.origin}`
if (media) {
  $('media').href = '/'
  $('media').textContent = 'Hide remote media'
}
$('media').onclick = () => ($('media').href = new URL($('media').href).pathname + (media ? '' : '?media') + location.hash)
turn('talk')
layOut()
