'use strict';

// Numbers, times and the words for what they mean.

const STATUSES = ['healthy', 'degraded', 'draining', 'offline'];
const TIERS = {1: 'GPU', 2: 'Service', 3: 'Data', 4: 'Edge'};

const wholeNumber = new Intl.NumberFormat('en');
const timeOfDay = new Intl.DateTimeFormat('en-GB', {hour: '2-digit', minute: '2-digit', second: '2-digit'});
const hourAndMinute = new Intl.DateTimeFormat('en-GB', {hour: '2-digit', minute: '2-digit'});
const dateAndTime = new Intl.DateTimeFormat('en-GB', {dateStyle: 'medium', timeStyle: 'medium'});

function count(number) {
  return wholeNumber.format(number);
}

// "1 worker", "2 workers".
function countOf(number, what) {
  return `${count(number)} ${what}${number === 1 ? '' : 's'}`;
}

function percent(fraction) {
  return Math.round(fraction * 100) + ' %';
}

function statusWord(status) {
  return status.charAt(0).toUpperCase() + status.slice(1);
}

// How long ago, of milliseconds: the two largest units.
function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor(seconds / 3600) % 24} h`;
}

// A text that is not longer than `most` characters.
function cut(text, most) {
  return text.length > most ? text.slice(0, most - 1) + '…' : text;
}

// JSON of any shape as one line of text; '' for nothing.
function plainText(value) {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

// What a worker has, in one line: "RTX 4090 24 GB · 16 cores · 62.7 GB". Sizes are as the coordinator read them; of what it
// could not read, as they were told.
function hardwareLine({capabilities, hardware}) {
  const {gpu_type: gpu, gpu_memory: memory, cpu_cores: cores, ram} = capabilities || {}, read = hardware || {};
  const said = value => value !== null && value !== undefined && value !== '';
  const size = (known, told) => known ? known.text : said(told) ? plainText(told) : '';
  return [
    said(gpu) && read.gpu !== false
      ? [plainText(gpu).replace(/^NVIDIA (GeForce )?/, ''), size(read.gpu_memory, memory)].join(' ').trim() : '',
    said(cores) ? `${plainText(cores)} ${cores === 1 ? 'core' : 'cores'}` : '',
    size(read.ram, ram),
  ].filter(Boolean).join(' · ');
}
