'use strict';

// The table of all workers.

const byText = new Intl.Collator('en', {numeric: true}).compare;
const COLUMNS = [
  {key: 'id', title: 'Worker', compare: byText},
  {key: 'status', title: 'Status', compare: (a, b) => STATUSES.indexOf(a) - STATUSES.indexOf(b)},
  {key: 'tier', title: 'Tier', compare: (a, b) => a - b},
  {key: 'services', title: 'Services', compare: (a, b) => byText(a.join(' '), b.join(' '))},
  {key: 'load', title: 'Load', compare: (a, b) => a - b, descending: true},
  {key: 'lastHeartbeat', title: 'Last heartbeat', compare: (a, b) => b - a},
  {key: 'hardware', title: 'Hardware', compare: byText},
  {key: 'tasks', title: 'Tasks', compare: (a, b) => a - b, descending: true},
];

const table = {
  sortedBy: COLUMNS[0], descending: false,
  text: [], status: '', tier: '', service: '',
  rows: null, // Rows
};

function passes(row) {
  return (!table.status || row.status === table.status) && (!table.tier || row.tier === table.tier)
    && (!table.service || row.services.includes(table.service)) && table.text.every(word => row.text.includes(word));
}

// Which rows are shown, and in which order.
function arrange() {
  const {key, compare} = table.sortedBy, sign = table.descending ? -1 : 1;
  const rows = [...fleet.workers.values()].filter(passes).sort((a, b) => sign * compare(a[key], b[key]) || byText(a.id, b.id));
  const total = fleet.workers.size, shown = rows.length;
  setText(byId('workers-count'), shown === total ? countOf(total, 'worker') : `${count(shown)} of ${countOf(total, 'worker')}`);
  byId('workers-none').hidden = shown > 0;
  setText(byId('workers-none'), total ? 'No worker matches.' : 'No workers yet.');
  table.rows.set(rows);
}

// -- rows -------------------------------------------------------------------------------------------------------------------------

function warningMark() {
  const mark = make('span', 'mark');
  mark.setAttribute('role', 'img');
  return mark;
}

function showWarning(mark, row) {
  const title = [
    row.conflict ? 'Two machines use this id in turn' : '', row.suspect ? 'Others completed tasks at which it failed' : '',
  ].filter(Boolean).join('. ');
  mark.hidden = !title;
  setText(mark, title ? '⚠' : '');
  if (mark.title !== title) mark.setAttribute('aria-label', mark.title = title);
}

function makeRow(row) {
  return makeCells(COLUMNS, {
    id: make('div', 'cell', workerLink(row.id), warningMark()), status: make('div', 'cell', statusBadge(row.status)),
    tier: make('div', 'cell'),
    services: make('div', 'cell services'), load: make('div', 'cell', loadBar(null)), lastHeartbeat: make('div', 'cell number'),
    hardware: make('div', 'cell soft'), tasks: make('div', 'cell number'),
  });
}

function fillRow(element, row) {
  showWarning(element.cells.id.lastChild, row);
  const {status, tier, services, load, hardware: machine, tasks} = element.cells;
  setStatus(status.firstChild, row.status);
  status.title = row.why;
  setText(tier, TIERS[row.tier]);
  const names = row.services.map(name => row.unwell.includes(name) ? `${name} (not well)` : name).join(', ');
  setText(services, names || '–');
  services.title = names;
  setLoad(load.firstChild, row.status === 'offline' ? null : row.load);
  load.title = row.active === null ? '' : countOf(row.active, 'active request');
  setText(machine, row.hardware);
  machine.title = row.hardware;
  setText(tasks, count(row.tasks));
  fillAge(element, row);
}

function fillAge(element, row) {
  setText(element.cells.lastHeartbeat, duration(now() - row.lastHeartbeat) + ' ago');
}

function tickRows() {
  for (const [id, element] of table.rows.elements) {
    const row = fleet.workers.get(id);
    if (row) fillAge(element, row);
  }
}

// -- sorting and filtering --------------------------------------------------------------------------------------------------------

function sortBy(column, descending) {
  table.sortedBy = column;
  table.descending = descending;
  for (const heading of byId('workers-head').querySelectorAll('[role=columnheader]')) {
    const order = heading.column === column ? descending ? 'descending' : 'ascending' : 'none';
    heading.setAttribute('aria-sort', order);
  }
  byId('sort-by').value = column.key;
  arrange();
}

function makeHead() {
  const head = make('div', 'row', ...COLUMNS.map(column => {
    const button = make('button', '', column.title);
    button.type = 'button';
    button.addEventListener('click', () =>
      sortBy(column, table.sortedBy === column ? !table.descending : Boolean(column.descending)));
    const heading = make('div', 'cell ' + column.key, button);
    heading.setAttribute('role', 'columnheader');
    heading.column = column;
    return heading;
  }));
  head.setAttribute('role', 'row');
  head.setAttribute('aria-rowindex', '1');
  byId('workers-head').append(head);
  fillSelect(byId('sort-by'), COLUMNS.map(({key, title}) => [key, 'By ' + title.toLowerCase()]));
}

function fillSelect(select, options) {
  const chosen = select.value;
  select.replaceChildren(...options.map(([value, words]) => new Option(words, value)));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

function fillServices() {
  const names = new Set([...fleet.gaps.map(gap => gap.service), ...fleet.services.map(service => service.name)]);
  if (table.service) names.add(table.service); // the last worker that provides it may be gone
  const options = [...names].sort(byText), select = byId('filter-service');
  if ([...select.options].slice(1).map(option => option.value).join(' ') !== options.join(' '))
    fillSelect(select, [['', 'Any service'], ...options.map(name => [name, name])]);
}

function readFilters() {
  table.text = byId('filter-text').value.toLowerCase().split(/\s+/).filter(Boolean);
  table.status = byId('filter-status').value;
  table.tier = Number(byId('filter-tier').value);
  table.service = byId('filter-service').value;
  byId('workers').scrollTop = 0;
  arrange();
}

function setUpTable() {
  table.rows = new Rows('workers', makeRow, fillRow);
  makeHead();
  fillSelect(byId('filter-status'), [['', 'Any status'], ...STATUSES.map(status => [status, statusWord(status)])]);
  fillSelect(byId('filter-tier'), [['', 'Any tier'], ...Object.entries(TIERS)]);
  fillServices();
  byId('filters').addEventListener('input', readFilters);
  byId('filters').addEventListener('submit', event => event.preventDefault());
  byId('sort-by').addEventListener('input', event => {
    event.stopPropagation();
    const column = COLUMNS.find(({key}) => key === event.target.value);
    sortBy(column, Boolean(column.descending));
  });
  listen('workers', arrange);
  listen('services', fillServices);
  listen('connection', tickRows);
  setInterval(tickRows, 1000);
  sortBy(table.sortedBy, false);
}
