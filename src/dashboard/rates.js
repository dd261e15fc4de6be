'use strict';

// Rates, of totals that are read again and again.

const RATE_MS = 60000; // rates are those of the last minute
const REQUESTS_AGAIN_MS = 5000;
const UNCOUNTED = 'Requests of services that are spread at random are not counted.';

class Samples {
  // gap: readings that are less than so many ms apart say nothing of a rate.
  constructor(gap) {
    Object.assign(this, {gap, readings: []}); // [{time, totals by name}], the oldest first
  }

  // Takes a reading, [name, totals] of each thing. The totals of what is not in it are 0.
  take(reading) {
    const time = Date.now(), recent = this.readings.filter(each => time - each.time < RATE_MS);
    this.readings = [...recent, {time, totals: new Map(reading)}];
  }

  // How many a minute came to the total `field` lately; null: not known yet.
  rate(name, field) {
    const first = this.readings[0], last = this.readings.at(-1), total = ({totals}) => totals.get(name)?.[field] || 0;
    if (!first || last.time - first.time < this.gap) return null;
    return Math.max(0, total(last) - total(first)) * 60000 / (last.time - first.time);
  }
}

function rateWords(rate) {
  return rate === null ? '–' : rate > 0 && rate < 10 ? rate.toFixed(1) : count(Math.round(rate));
}
