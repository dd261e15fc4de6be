'use strict';

// Which page is shown, by what stands behind the # of the address.

// A page: what its address matches, the element that it is in, its title; opened with what the address names. Queues and tasks have
// their rows here once they exist: #/queues, #/queue/<name>, #/task/<id>.
const ROUTES = [
  {path: /^\/worker\/(.+)$/, element: 'worker', title: id => id, open: openWorker, close: closeWorker},
  {path: /^/, element: 'fleet', title: () => 'Fleet', open: openFleet, close: closeFleet},
];

let openRoute = null, fleetScrolledTo = 0;

// Where one left it.
function openFleet() {
  table.rows.measure();
  scrollTo(0, fleetScrolledTo);
  table.rows.elements.get(shownWorker.left)?.querySelector('a').focus({preventScroll: true});
}

function closeFleet() {
  fleetScrolledTo = scrollY;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function route() {
  const address = location.hash.slice(1), found = ROUTES.find(({path}) => path.test(address));
  const named = decoded(found.path.exec(address)[1] || '');
  openRoute?.close();
  openRoute = found;
  for (const {element} of ROUTES) byId(element).hidden = element !== found.element;
  document.title = `${found.title(named)} – RMA Coordinator`;
  found.open(named);
}

setUpOverview();
setUpPlot();
setUpTable();
setUpEvents();
setUpAsk();
setUpWorker();
addEventListener('hashchange', route);
document.querySelector('.skip').addEventListener('click', event => {
  event.preventDefault(); // the # is the route's
  byId('main').focus();
});
route();
connect();
