// ---- Lists of any length. Only the rows in view are in the document, and the row that Tab reaches.
//
// Reading a size after a change makes the browser lay out the page. So all new rows are measured at once, and the
// size of the view comes from events.

// Rows are drawn this far beyond the view, in pixels.
const BEYOND = 300
// A list counts as scrolled to its end within this distance, in pixels.
const NEAR = 40
const FOCUSABLE = 'a, button, summary, select, audio, video, [tabindex]'

// Makes a list show these items, and returns the new rows. Rows that have not changed stay, with their focus.
const sync = (list, items, key, version, build) => {
  const keys = new Set(items.map((item) => String(key(item))))
  const nodes = new Map()
  const built = []
  for (const node of [...list.children]) {
    if (keys.has(node.dataset.key)) nodes.set(node.dataset.key, node)
    else node.remove()
  }
  let next = list.firstChild
  for (const item of items) {
    let node = nodes.get(String(key(item)))
    const now = String(version(item))
    if (node?.dataset.version !== now) {
      const old = node
      const focus = old?.contains(document.activeElement) ? focusables(old).indexOf(document.activeElement) : -1
      node = build(item)
      Object.assign(node.dataset, { key: key(item), version: now })
      built.push(node)
      if (old === next) next = node
      old?.replaceWith(node)
      if (focus >= 0) focusables(node)[focus]?.focus({ preventScroll: true })
    }
    if (node === next) next = node.nextSibling
    else list.insertBefore(node, next)
  }
  return built
}
const focusables = (node) => [node, ...node.querySelectorAll(FOCUSABLE)]
const handleOf = (node) => (node.matches('.handle') ? node : node.querySelector('.handle'))

class Rows {
  items = []
  index = new Map()
  // Where each row starts, and where the last one ends.
  tops = [0]
  // As measured, by key. A row that was never drawn has the usual height.
  heights = new Map()
  // Rows to measure.
  fresh = []
  // The wanted scroll position, the one of the browser, and the size of the view.
  top = 0
  scrolled = 0
  height = 0
  width = 0
  // The keys of the row that Tab reaches, and of the row to go to.
  current
  goal

  // `build` makes a row, in which `.handle` takes the focus. `newestLast` says where the newest item is.
  constructor(list, { key, version, build, usual, newestLast = false }) {
    Object.assign(this, { list, version, build, usual, newestLast, atEnd: newestLast })
    this.key = (item) => String(key(item))
    this.scroll = list.parentElement
    this.scroll.onscroll = () => {
      this.top = this.scrolled = this.scroll.scrollTop
      this.noteEnd()
      schedule()
    }
    list.addEventListener('focusin', ({ target }) => {
      this.current = target.closest('.rows > li')?.dataset.key
    })
    list.onkeydown = (event) => this.press(event)
    new ResizeObserver(() => this.resize()).observe(this.scroll)
    this.sizes = new ResizeObserver((entries) => this.regrow(entries))
  }

  // Draws these items. Call `settle` afterwards.
  show(items) {
    this.anchor = this.holds()
    this.items = items
    this.index = new Map(items.map((item, index) => [this.key(item), index]))
    this.draw()
  }

  // Measures the new rows of all lists and draws them in their places, and then rows that this brings into view.
  static settle(lists) {
    for (let round = 0; round < 4; round += 1) {
      const changed = lists.filter((list) => list.measure())
      for (const list of changed) list.draw()
      if (changed.length === 0) break
    }
    for (const list of lists) list.arrive()
  }

  // Scrolls to a row and focuses it, as soon as it is there.
  go(key, { middle = true } = {}) {
    this.goal = { key: String(key), middle }
    schedule()
  }

  draw() {
    const { items, list } = this
    this.place()
    // The list is in a hidden tab.
    if (this.height === 0) return
    list.style.height = `${this.tops.at(-1)}px`
    this.move(this.index.has(this.goal?.key) ? this.goal : this.anchor)
    const first = this.rowAt(this.top)
    const reached = this.index.get(this.current) ?? first
    const [from, to] = [this.rowAt(this.top - BEYOND), this.rowAt(this.top + this.height + BEYOND) + 1]
    const indices = []
    for (let index = from; index < to && index < items.length; index += 1) indices.push(index)
    if (reached < from) indices.unshift(reached)
    if (reached >= to) indices.push(reached)
    const built = sync(list, indices.map((index) => items[index]), this.key, this.version, this.build)
    this.fresh.push(...built)
    for (const [place, node] of [...list.children].entries()) {
      const index = indices[place]
      node.style.translate = `0 ${this.tops[index]}px`
      node.ariaPosInSet = index + 1
      node.ariaSetSize = items.length
      handleOf(node).tabIndex = index === reached ? 0 : -1
    }
  }

  // Measures the new rows. Returns whether one has another height than assumed.
  measure() {
    const fresh = this.fresh.splice(0).filter((node) => node.isConnected)
    for (const node of fresh) this.sizes.observe(node)
    return fresh.filter((node) => this.note(node, node.getBoundingClientRect().height)).length > 0
  }

  note(node, height) {
    const known = this.heights.get(node.dataset.key) ?? this.usual
    this.heights.set(node.dataset.key, height)
    return Math.abs(height - known) > 0.5
  }

  // Rows change their heights when they are opened, or when a picture has been loaded.
  regrow(entries) {
    const rows = entries.filter(({ target }) => target.isConnected && this.height > 0)
    if (rows.filter(({ target }) => this.note(target, target.getBoundingClientRect().height)).length) schedule()
  }

  resize() {
    const { clientWidth, clientHeight, scrollTop } = this.scroll
    this.height = clientHeight
    // Without a height, the list is in a hidden tab.
    if (clientHeight > 0) {
      this.top = this.scrolled = scrollTop
      if (clientWidth !== this.width) this.heights.clear()
      this.width = clientWidth
      this.fresh = [...this.list.children]
    }
    schedule()
  }

  // The end or the row that stays in its place while the list changes.
  holds() {
    if (this.atEnd) return { end: true }
    if (this.top <= 0) return { start: true }
    const index = this.rowAt(this.top)
    return this.items[index] && { key: this.key(this.items[index]), above: this.top - this.tops[index] }
  }

  place() {
    this.tops = [0]
    for (const item of this.items) {
      this.tops.push(this.tops.at(-1) + (this.heights.get(this.key(item)) ?? this.usual))
    }
  }

  move(anchor) {
    const { tops, height } = this
    const index = this.index.get(anchor?.key)
    const end = Math.max(0, tops.at(-1) - height)
    let to = this.top
    if (anchor?.end) to = end
    else if (anchor?.start) to = 0
    else if (index === undefined) to = this.top
    else if (anchor.above !== undefined) to = tops[index] + anchor.above
    else if (anchor.middle) to = Math.min(tops[index], (tops[index] + tops[index + 1] - height) / 2)
    else to = Math.max(tops[index + 1] - height, Math.min(tops[index], to))
    this.top = Math.max(0, Math.min(end, to))
  }

  rowAt(pixel) {
    let [low, high] = [0, Math.max(this.items.length - 1, 0)]
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.tops[middle] <= pixel) low = middle
      else high = middle - 1
    }
    return low
  }

  noteEnd() {
    if (this.height > 0) this.atEnd = this.newestLast && this.top + this.height >= this.tops.at(-1) - NEAR
  }

  arrive() {
    if (this.height === 0) return
    if (Math.abs(this.top - this.scrolled) >= 1) this.scroll.scrollTop = this.scrolled = this.top
    this.noteEnd()
    if (!this.index.has(this.goal?.key)) return
    const node = [...this.list.children].find((node) => node.dataset.key === this.goal.key)
    this.goal = undefined
    if (node) handleOf(node).focus({ preventScroll: true })
  }

  press(event) {
    const row = event.target.closest('.rows > li')
    const index = this.index.get(row?.dataset.key)
    const last = this.items.length - 1
    const to = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: last }[event.key]
    if (to === undefined || event.target !== handleOf(row)) return
    event.preventDefault()
    this.go(this.key(this.items[Math.max(0, Math.min(last, to))]), { middle: false })
  }
}
