'use strict';
(() => {
  const byId = (id) => document.getElementById(id);
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  document.documentElement.classList.add('js');

  // How long ago, in the same steps as the server says it.
  const ago = (ms) => {
    const s = Math.floor(Math.max(0, ms) / 1000);
    if (s < 5) return 'now';
    if (s < 100) return `${s} s ago`;
    if (s < 5400) return `${Math.floor(s / 60)} min ago`;
    if (s < 172800) return `${Math.floor((s + 1800) / 3600)} h ago`;
    return `${Math.floor(s / 86400)} days ago`;
  };
  const skew = document.body.dataset.now ? Date.now() - document.body.dataset.now : 0;
  const tell = () => {
    for (const time of all('time')) {
      const text = ago(Date.now() - skew - Date.parse(time.dateTime));
      if (time.textContent !== text) time.textContent = text;
    }
  };
  setInterval(tell, 1000);

  // Copying: where the page is not served securely, browsers have no clipboard but the old way.
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement('textarea');
      area.value = text;
      area.className = 'sr';
      document.body.append(area);
      area.select();
      const done = document.execCommand('copy');
      area.remove();
      if (!done) throw new Error('not copied');
    }
  };
  const arm = (inside) => {
    for (const button of all('button.copy', inside)) button.hidden = false;
  };
  document.addEventListener('click', async (event) => {
    const button = event.target.closest('button.copy');
    if (!button) return;
    const source = button.dataset.copy === 'markdown'
      ? button.closest('.guide').querySelector('.markdown')
      : button.parentElement.querySelector('code');
    const label = button.dataset.label ??= button.textContent;
    button.textContent = await copy(source.textContent).then(() => 'Copied', () => 'Could not copy');
    setTimeout(() => { button.textContent = label; }, 1500);
  });
  arm(document);

  const rows = byId('rows');
  if (!rows) return;
  const filter = byId('filter'), words = byId('q'), show = byId('show'), order = byId('sort');
  const WEEK = 7 * 24 * 3600 * 1000;

  const shows = (row) => {
    switch (show.value) {
      case 'all': return true;
      case 'active': return Date.now() - row.dataset.last < WEEK;
      case 'quiet': return Date.now() - row.dataset.last >= WEEK;
      case 'unnamed': return row.dataset.named === 'false';
      default: return row.dataset.action === show.value;
    }
  };
  const callers = () => all('tr[id]', rows);
  const guideOf = (row) => {
    const next = row.nextElementSibling;
    return next?.classList.contains('guide-row') ? next : null;
  };
  const narrow = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of callers()) {
      const text = row.textContent.toLowerCase();
      const visible = shows(row) && wanted.every((word) => text.includes(word));
      row.hidden = !visible;
      const guide = guideOf(row);
      if (guide) guide.hidden = !visible;
      shown += visible;
    }
    byId('count').textContent = `${shown} ${shown === 1 ? 'row' : 'rows'}`;
    byId('nothing').hidden = shown > 0;
  };

  const text = (row, column) => row.cells[column].textContent;
  const compare = {
    last: (a, b) => b.dataset.last - a.dataset.last,
    first: (a, b) => b.dataset.first - a.dataset.first,
    calls: (a, b) => b.dataset.calls - a.dataset.calls,
    caller: (a, b) => (a.dataset.named === b.dataset.named
      ? text(a, 0).localeCompare(text(b, 0)) : a.dataset.named === 'true' ? 1 : -1),
    method: (a, b) => text(a, 1).localeCompare(text(b, 1)),
  };
  const sort = () => {
    const focused = document.activeElement;
    const sorted = callers().sort(compare[order.value]);
    // Rows that stand right already stay: a row that is being read does not jump without need.
    let at = rows.firstElementChild;
    for (const row of sorted) {
      const guide = guideOf(row);
      if (row === at) {
        at = (guide ?? row).nextElementSibling;
        continue;
      }
      rows.insertBefore(row, at);
      if (guide) rows.insertBefore(guide, at);
    }
    focused?.focus({ preventScroll: true });
    for (const link of all('a.sort')) {
      const name = link.dataset.sort;
      const up = name === 'caller' || name === 'method';
      link.closest('th').setAttribute('aria-sort', name !== order.value ? 'none' : up ? 'ascending' : 'descending');
    }
  };
  const remember = () => {
    const query = new URLSearchParams();
    if (words.value) query.set('q', words.value);
    if (show.value !== 'all') query.set('show', show.value);
    if (order.value !== 'last') query.set('sort', order.value);
    history.replaceState(null, '', query.size ? `/?${query}` : '/');
  };
  // The server has chosen rows by the query; from now on all are here, and the choice is made here.
  words.addEventListener('input', () => { narrow(); remember(); });
  show.addEventListener('change', () => { narrow(); remember(); });
  order.addEventListener('change', () => { sort(); remember(); });
  filter.addEventListener('submit', (event) => event.preventDefault());

  const close = (link) => {
    guideOf(link.closest('tr'))?.remove();
    link.setAttribute('aria-expanded', 'false');
  };
  const open = async (link) => {
    const row = link.closest('tr');
    link.setAttribute('aria-expanded', 'true');
    const guide = document.createElement('tr');
    guide.className = 'guide-row';
    const cell = guide.insertCell();
    cell.colSpan = row.cells.length;
    cell.textContent = '…';
    row.after(guide);
    try {
      const answer = await fetch(`${link.getAttribute('href')}&part`, { cache: 'no-store' });
      if (!answer.ok) throw new Error(await answer.text());
      cell.innerHTML = await answer.text();
      arm(cell);
    } catch (error) {
      cell.textContent = `The instructions did not come: ${error.message}`;
    }
  };
  document.addEventListener('click', (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    const sorted = event.target.closest('a.sort');
    if (sorted) {
      event.preventDefault();
      order.value = sorted.dataset.sort;
      sort();
      remember();
      return;
    }
    const link = event.target.closest('a.open');
    if (!link) return;
    event.preventDefault();
    if (link.getAttribute('aria-expanded') === 'true') close(link);
    else open(link);
  });
  document.addEventListener('keydown', (event) => {
    const typing = event.target.matches('input, select, textarea');
    if (event.key === '/' && !typing) {
      event.preventDefault();
      words.focus();
    } else if (event.key === 'Escape') {
      const guide = event.target.closest('.guide-row');
      const link = (guide?.previousElementSibling ?? event.target.closest('tr'))?.querySelector('a.open[aria-expanded=true]');
      if (link) { close(link); link.focus(); }
    } else if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && event.target.matches('a.open')) {
      const links = all('a.open', rows).filter((link) => !link.closest('tr').hidden);
      const next = links[links.indexOf(event.target) + (event.key === 'ArrowDown' ? 1 : -1)];
      if (next) { event.preventDefault(); next.focus(); }
    }
  });

  // Live.
  const live = byId('live');
  const say = (state, text) => { live.className = state; live.textContent = text; };
  const put = ({ id, html }) => {
    const parsed = document.createElement('tbody');
    parsed.innerHTML = html;
    const fresh = parsed.firstElementChild;
    const old = byId(id);
    if (old) {
      const link = old.querySelector('a.open');
      const renewed = fresh.querySelector('a.open');
      const focused = document.activeElement === link;
      if (link.hasAttribute('aria-expanded')) renewed.setAttribute('aria-expanded', link.getAttribute('aria-expanded'));
      old.replaceWith(fresh);
      if (focused) renewed.focus({ preventScroll: true });
    } else {
      rows.prepend(fresh);
    }
    fresh.classList.add('fresh');
  };
  const reread = async () => {
    const answer = await fetch('/', { cache: 'no-store' });
    if (!answer.ok) return say('bad', 'not live: reload the page');
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    rows.replaceChildren(...page.getElementById('rows').children);
    byId('overview').replaceWith(page.getElementById('overview'));
    sort();
    narrow();
  };
  const listen = () => {
    const events = new EventSource(`/events?since=${encodeURIComponent(document.body.dataset.version)}`);
    events.addEventListener('open', () => say('good', 'live'));
    events.addEventListener('error', () => {
      const gone = events.readyState === EventSource.CLOSED;
      say('bad', gone ? 'not live: reload the page' : 'connection lost, trying again');
    });
    events.addEventListener('reset', reread);
    events.addEventListener('change', (event) => {
      const change = JSON.parse(event.data);
      if (change.overview) {
        const parsed = document.createElement('div');
        parsed.innerHTML = change.overview;
        byId('overview').replaceWith(parsed.firstElementChild);
      }
      if (change.rows.length) {
        change.rows.forEach(put);
        sort();
        narrow();
      }
      tell();
    });
  };
  if (location.search) reread().then(listen, listen);
  else listen();
})();
