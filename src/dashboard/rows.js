'use strict';

// The rows of a table, of which only those exist that can be seen.

const OVERSCAN = 8; // rows above and below, so that scrolling and the Tab key find the next ones

class Rows {
  // The table is the element `name`, its rows go into `name`-body. make() gives an element for a row, fill(element, row) puts
  // what the row has into it, shown(end) is called with how many rows there are down to the last one in view.
  constructor(name, make, fill, shown = () => {}) {
    Object.assign(this, {view: byId(name), body: byId(name + '-body'), make, fill, shown});
    Object.assign(this, {rows: [], elements: new Map(), height: 0});
    this.view.addEventListener('scroll', () => this.show(), {passive: true});
    new ResizeObserver(() => this.measure()).observe(this.view);
  }

  // The rows in order, each with an `id` of its own.
  set(rows) {
    this.rows = rows;
    this.view.setAttribute('aria-rowcount', rows.length + 1);
    this.body.style.height = rows.length * this.height + 'px';
    this.show();
  }

  place(element, at) {
    element.style.transform = `translateY(${at * this.height}px)`;
    element.setAttribute('aria-rowindex', at + 2);
  }

  // Makes the rows that can be seen, and away with the others; the one that has the focus stays.
  show() {
    const {view, body, height, rows, elements} = this;
    if (!height) return;
    const first = Math.max(0, Math.floor(view.scrollTop / height) - OVERSCAN);
    const end = Math.ceil((view.scrollTop + view.clientHeight) / height);
    const visible = rows.slice(first, end + OVERSCAN), kept = new Set(visible.map(row => row.id));
    for (const [id, element] of elements) {
      if (kept.has(id)) continue;
      const at = element.contains(document.activeElement) ? rows.findIndex(row => row.id === id) : -1;
      if (at !== -1) {
        this.place(element, at);
        continue;
      }
      element.remove();
      elements.delete(id);
    }
    let next = body.firstChild;
    visible.forEach((row, i) => {
      let element = elements.get(row.id);
      if (!element) elements.set(row.id, element = this.make(row));
      this.fill(element, row);
      this.place(element, first + i);
      if (element === next) next = next.nextSibling;
      else body.insertBefore(element, next);
    });
    this.shown(end);
  }

  measure() {
    const height = parseInt(getComputedStyle(this.view).getPropertyValue('--row'), 10);
    if (height !== this.height) {
      this.height = height;
      this.body.style.height = this.rows.length * height + 'px';
    }
    this.show();
  }
}

// An element for a row of cells, by the names of its columns; they are its `cells`.
function makeCells(columns, cells) {
  const element = make('div', 'row', ...columns.map(({key}) => cells[key]));
  element.setAttribute('role', 'row');
  for (const [key, cell] of Object.entries(cells)) {
    cell.classList.add(key);
    cell.setAttribute('role', 'cell');
  }
  element.cells = cells;
  return element;
}
