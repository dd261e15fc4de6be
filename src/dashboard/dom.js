'use strict';

// Elements. What workers say of themselves only ever becomes text nodes and plain attributes, never markup.

function byId(id) {
  return document.getElementById(id);
}

// A text without the characters that turn the direction of the words behind it: the page's own words would be shown backwards.
function withoutOverrides(text) {
  return text.replace(/[\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
}

// An element with children: elements, or text; null is left out.
function make(tag, looks, ...children) {
  const element = document.createElement(tag);
  if (looks) element.className = looks;
  for (const child of children) if (child !== null) element.append(typeof child === 'string' ? withoutOverrides(child) : child);
  return element;
}

// An SVG element with attributes.
function makeSvg(tag, attributes, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Sets a text where it differs: an element that stays as it is costs no layout.
function setText(element, text) {
  const shown = withoutOverrides(text);
  if (element.textContent !== shown) element.textContent = shown;
}

// A cell that says its column's name where the screen is too narrow for columns.
function namedCell(name, cell) {
  cell.dataset.name = name;
  return cell;
}

function workerLink(id) {
  const link = make('a', 'id', id);
  link.href = '#/worker/' + encodeURIComponent(id);
  return link;
}

// A status: a dot for the eye that glances, and its word.
function statusBadge(status) {
  return make('span', 'badge ' + status, make('span', 'dot'), make('span', '', statusWord(status)));
}

function setStatus(badge, status) {
  badge.className = 'badge ' + status;
  setText(badge.lastChild, statusWord(status));
}

// A load: a bar, and the number. null: nothing bears a load.
function loadBar(load) {
  const bar = make('span', 'meter', make('span', 'track', make('span', 'fill')), make('span', 'number'));
  setLoad(bar, load);
  return bar;
}

function setLoad(bar, load) {
  const fill = bar.firstChild.firstChild, width = load === null ? '0' : Math.round(load * 100) + '%';
  bar.classList.toggle('high', load !== null && load >= 0.85);
  if (fill.style.width !== width) fill.style.width = width;
  setText(bar.lastChild, load === null ? '–' : percent(load));
}
