'use strict';

// The words and parts in which work is shown, wherever it is.

const TASK_STATES = ['queued', 'scheduled', 'leased', 'completed', 'dead', 'cancelled', 'expired'];
const TASK_STATE_WORDS = {leased: 'running'};
const TASK_LOOKS = {queued: 'queued', scheduled: 'draining', leased: 'running', completed: 'healthy', dead: 'offline'};
const LIVE_STATES = new Set(['queued', 'scheduled', 'leased']);

function taskStateWord(state) {
  return statusWord(TASK_STATE_WORDS[state] || plainText(state));
}

function taskBadge(state) {
  const badge = make('span', '', make('span', 'dot'), make('span'));
  setTaskState(badge, state);
  return badge;
}

function setTaskState(badge, state) {
  badge.className = 'badge ' + (TASK_LOOKS[state] || '');
  setText(badge.lastChild, taskStateWord(state));
}

function taskPath(id) {
  return 'api/tasks/' + encodeURIComponent(id);
}

function queuePath(queue) {
  return 'api/queues/' + encodeURIComponent(queue);
}

// "?state=dead&type=x" of what is not empty.
function queryOf(values) {
  const told = Object.entries(values).filter(([, value]) => value !== '' && value !== null && value !== undefined);
  return told.length ? '?' + new URLSearchParams(told) : '';
}

function tasksLink(words, filters, looks = '') {
  const link = make('a', looks, words);
  link.href = '#/tasks' + queryOf(filters);
  return link;
}

function taskLink(id) {
  const link = make('a', 'id', id);
  link.href = '#/task/' + encodeURIComponent(id);
  return link;
}

// How long ago the moment of a time as the API writes it was; '' of none.
function ageOf(text) {
  const time = Date.parse(text);
  return Number.isNaN(time) ? '' : duration(now() - time);
}

// "12 s", "3 min 4 s" of seconds; "–" of none.
function secondsWords(seconds) {
  return typeof seconds === 'number' ? duration(seconds * 1000) : '–';
}

function setBar(bar, fraction) {
  bar.firstChild.firstChild.style.width = Math.round(Math.min(Math.max(fraction, 0), 1) * 100) + '%';
}

// How far a task has come: a bar, its per cent, its message; null: it has said nothing.
function progressOf(progress) {
  if (!progress || typeof progress !== 'object') return null;
  const percent = typeof progress.percent === 'number' ? progress.percent : null;
  const bar = make('span', 'meter', make('span', 'track', make('span', 'fill')),
    make('span', 'number', percent === null ? '–' : Math.round(percent) + ' %'));
  setBar(bar, (percent ?? 0) / 100);
  return make('div', 'progress', bar, make('span', 'soft message', plainText(progress.message)));
}

// What there is of some texts, with dots between.
function dotted(...texts) {
  return texts.filter(Boolean).join(' · ');
}

function card(title, ...content) {
  return make('section', 'card', make('header', '', make('h2', '', title)), ...content);
}

// A button with its words.
function makeButton(looks, words, press) {
  const button = make('button', looks, words);
  button.type = 'button';
  button.addEventListener('click', press);
  return button;
}

// Something that is read again and again while its page is shown: read() at once, and every `ms` after the last one has ended.
class Repeated {
  constructor(ms, read) {
    Object.assign(this, {ms, read, timer: 0, running: false, again: false, open: false});
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) clearTimeout(this.timer);
      else if (this.open) this.now();
    });
  }

  start() {
    this.open = true;
    if (!document.hidden) this.now();
  }

  stop() {
    this.open = false;
    clearTimeout(this.timer);
  }

  async now() {
    clearTimeout(this.timer);
    if (this.running) {
      this.again = true;
      return;
    }
    this.running = true;
    try {
      do {
        this.again = false;
        await this.read(); // says by itself what went wrong
      } while (this.again && this.open);
    } finally {
      this.running = false;
      if (this.open && !document.hidden) this.timer = setTimeout(() => this.now(), this.ms);
    }
  }
}
