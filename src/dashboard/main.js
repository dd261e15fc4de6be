'use strict';

// Which page is shown, by what stands behind the # of the address.

// A page: what its address matches, the element that it is in, its title, the link of the bar that leads there; opened with
// what the address names.
const ROUTES = [
  {path: /^\/work$/, element: 'work', title: () => 'Work', bar: 'bar-work', open: openWork, close: closeWork},
  {path: /^\/tasks(?:\?(.*))?$/, element: 'tasks-page', title: () => 'Tasks', bar: 'bar-work', raw: true,
    open: openTasks, close: closeTasks},
  {path: /^\/task\/(.+)$/, element: 'task', title: id => id, bar: 'bar-work', open: openTask, close: closeTask},
  {path: /^\/worker\/(.+)$/, element: 'worker', title: id => id, bar: 'bar-fleet', open: openWorker, close: closeWorker},
  {path: /^\/access$/, element: 'access', title: () => 'Access', bar: 'bar-access', open: openAccess, close: closeAccess},
  {path: /^/, element: 'fleet', title: () => 'Fleet', bar: 'bar-fleet', open: openFleet, close: closeFleet},
];

let openRoute = null, fleetScrolledTo = 0;

// Where one left it.
function openFleet() {
  passed.again.start();
  table.rows.measure();
  scrollTo(0, fleetScrolledTo);
  table.rows.elements.get(shownWorker.left)?.querySelector('a').focus({preventScroll: true});
}

function closeFleet() {
  passed.again.stop();
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
  const [, name = ''] = found.path.exec(address), named = found.raw ? name : decoded(name);
  openRoute?.close();
  openRoute = found;
  for (const {element} of ROUTES) byId(element).hidden = element !== found.element;
  for (const id of ['bar-fleet', 'bar-work', 'bar-access']) {
    if (id === found.bar) byId(id).setAttribute('aria-current', 'page');
    else byId(id).removeAttribute('aria-current');
  }
  document.title = `${found.title(named)} – RMA Coordinator`;
  found.open(named);
}

setUpOverview();
setUpPlot();
setUpTable();
setUpEvents();
setUpAsk();
setUpAccount();
setUpAccess();
setUpWorker();
setUpWork();
setUpTasks();
setUpTask();
addEventListener('hashchange', route);
document.querySelector('.skip').addEventListener('click', event => {
  event.preventDefault(); // the # is the route's
  byId('main').focus();
});
route();
connect();
