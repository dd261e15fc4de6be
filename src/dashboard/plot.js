'use strict';

// The plot of the load over the last hour.

const PLOT = {height: 252, left: 44, right: 8, top: 10, bottom: 26};
const MINUTE = 60000;

const plot = {points: [], x: null, y: null, cursor: null, readout: null, pointer: null}; // pointer: where it is; null: elsewhere

// The points, runs of neighbours: a minute that nobody measured breaks the line.
function runsOf(points, interval) {
  const runs = [];
  points.forEach((point, i) => {
    if (i === 0 || point.time - points[i - 1].time > 1.5 * interval) runs.push([]);
    runs.at(-1).push(point);
  });
  return runs;
}

function plotPoints() {
  const points = fleet.history.map(point => ({...point, time: Date.parse(point.time)}));
  const last = points.at(-1);
  if (fleet.stats && (!last || now() - last.time > 1000)) points.push({
    time: now(), average_load: fleet.stats.average_load,
    live_workers: fleet.stats.total_workers - fleet.stats.offline_workers});
  return points.filter(point => point.time >= now() - 60 * MINUTE);
}

function axes(width, end, top) {
  const {height, left, right, bottom} = PLOT, group = makeSvg('g', {class: 'axes'});
  for (let i = 0; i <= 4; i++) {
    const value = top * i / 4, y = plot.y(value);
    group.append(makeSvg('line', {class: i === 0 ? 'base' : 'grid', x1: left, x2: width - right, y1: y, y2: y}),
      makeSvg('text', {x: left - 8, y: y + 4, 'text-anchor': 'end'}, `${Math.round(value * 1000) / 10} %`));
  }
  const step = (width < 480 ? 20 : 10) * MINUTE;
  for (let time = Math.ceil((end - 60 * MINUTE) / step) * step; time <= end; time += step) {
    const x = plot.x(time);
    group.append(makeSvg('line', {class: 'base', x1: x, x2: x, y1: height - bottom, y2: height - bottom + 4}));
    if (x > left + 12 && x < width - 18)
      group.append(makeSvg('text', {x, y: height - 6, 'text-anchor': 'middle'}, hourAndMinute.format(time)));
  }
  return group;
}

function describe(points) {
  if (!points.length) return 'Load over the last hour: nothing is known yet.';
  const loads = points.map(point => point.average_load);
  const latest = percent(loads.at(-1)), lowest = percent(Math.min(...loads)), highest = percent(Math.max(...loads));
  return `Average load over the last hour: now ${latest}, lowest ${lowest}, highest ${highest}.`;
}

function drawPlot() {
  const place = byId('load-plot'), width = place.clientWidth;
  if (!width) return;
  const {height, left, right, top, bottom} = PLOT;
  const points = plotPoints(), end = now(), highest = Math.max(0, ...points.map(point => point.average_load));
  const scale = [0.1, 0.2, 0.4, 0.6].find(each => each >= highest * 1.1) ?? 1;
  plot.points = points;
  plot.x = time => left + (width - left - right) * (time - end + 60 * MINUTE) / (60 * MINUTE);
  plot.y = load => height - bottom - (height - top - bottom) * load / scale;
  const look = {width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': describe(points)};
  const svg = makeSvg('svg', look, axes(width, end, scale));
  for (const run of runsOf(points, MINUTE)) {
    const line = run.map(point => `${plot.x(point.time).toFixed(1)} ${plot.y(point.average_load).toFixed(1)}`).join('L');
    const base = height - bottom;
    const first = plot.x(run[0].time).toFixed(1), last = plot.x(run.at(-1).time).toFixed(1);
    svg.append(makeSvg('path', {class: 'area', d: `M${first} ${base}L${line}L${last} ${base}Z`}),
      makeSvg('path', {class: 'line', d: `M${line}`}));
  }
  const latest = points.at(-1);
  if (latest) svg.append(makeSvg('circle', {class: 'now', cx: plot.x(latest.time), cy: plot.y(latest.average_load), r: 3.5}));
  plot.cursor = makeSvg('g', {class: 'cursor', visibility: 'hidden'},
    makeSvg('line', {y1: top, y2: height - bottom}), makeSvg('circle', {r: 3.5}));
  svg.append(plot.cursor);
  plot.readout = make('p', 'readout');
  plot.readout.setAttribute('aria-hidden', 'true');
  place.replaceChildren(svg, plot.readout);
  showPointed();
}

// Shows the point nearest to the pointer.
function showPointed() {
  if (!plot.cursor) return;
  const isPointed = plot.pointer !== null && plot.points.length > 0;
  plot.cursor.setAttribute('visibility', isPointed ? 'visible' : 'hidden');
  plot.readout.textContent = '';
  if (!isPointed) return;
  const distance = point => Math.abs(plot.x(point.time) - plot.pointer);
  const point = plot.points.reduce((best, each) => distance(each) < distance(best) ? each : best);
  const [line, circle] = plot.cursor.children, at = plot.x(point.time);
  line.setAttribute('x1', at);
  line.setAttribute('x2', at);
  circle.setAttribute('cx', at);
  circle.setAttribute('cy', plot.y(point.average_load));
  plot.readout.textContent = [hourAndMinute.format(point.time), percent(point.average_load),
    countOf(point.live_workers, 'live worker')].join('  ·  ');
}

function setUpPlot() {
  const place = byId('load-plot'); // it stays, what is drawn in it does not
  place.addEventListener('pointermove', event => {
    plot.pointer = event.clientX - place.getBoundingClientRect().left;
    showPointed();
  });
  place.addEventListener('pointerleave', () => {
    plot.pointer = null;
    showPointed();
  });
  new ResizeObserver(drawPlot).observe(place);
  listen('history', drawPlot);
  listen('stats', drawPlot);
}
