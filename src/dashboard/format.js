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

// JSON of any shape as one line of text; '' for nothing.
function plainText(value) {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

// "24564 MiB" is "24 GB", "15.6GB" is "15.6 GB"; what is no size stays as it is.
function size(text) {
  const [, number, unit] = /^\s*([0-9.]+)\s*([KMGT])?i?B?\s*$/i.exec(text) || [];
  if (!number || Number.isNaN(Number(number))) return text;
  const gigabytes = Number(number) * {K: 1 / 1048576, M: 1 / 1024, G: 1, T: 1024}[(unit || 'G').toUpperCase()];
  return gigabytes < 1 ? `${Math.round(gigabytes * 1024)} MB` : gigabytes < 1024 ? `${Number(gigabytes.toPrecision(3))} GB`
    : `${Number((gigabytes / 1024).toPrecision(3))} TB`;
}

// What a worker says of its hardware, in one line: "RTX 4090 24 GB · 16 cores · 62.7 GB".
function hardware(capabilities) {
  const {gpu_type: gpu, gpu_memory: memory, cpu_cores: cores, ram} = capabilities || {};
  const said = value => value !== null && value !== undefined && value !== '';
  return [
    said(gpu) ? `${plainText(gpu).replace(/^NVIDIA (GeForce )?/, '')}${said(memory) ? ' ' + size(plainText(memory)) : ''}` : '',
    said(cores) ? `${plainText(cores)} ${cores === 1 ? 'core' : 'cores'}` : '',
    said(ram) ? size(plainText(ram)) : '',
  ].filter(Boolean).join(' · ');
}
