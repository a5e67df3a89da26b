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
      case 'regressed': return row.dataset.state === 'regressed';
      default: return row.dataset.action === show.value;
    }
  };
  const callers = () => all('tr[id]', rows);
  // Whether all rows that there are stand here: then they are chosen and ordered here, else by the server.
  const isWhole = () => rows.dataset.complete === 'true';
  const everything = new URLSearchParams(location.search).has('all');
  const guideOf = (row) => {
    const next = row.nextElementSibling;
    return next?.classList.contains('guide-row') ? next : null;
  };
  // Each word has to stand in one of the row's texts; `*` stands for anything. The server does the same.
  const holds = (text, parts) => {
    let at = 0;
    return parts.every((part) => {
      const found = text.indexOf(part, at);
      at = found + part.length;
      return found >= 0;
    });
  };
  const narrow = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean).map((word) => word.split('*'));
    let shown = 0;
    const sums = [0, 0, 0];
    for (const row of callers()) {
      const texts = row.dataset.find.split('\n');
      const visible = shows(row) && wanted.every((parts) => texts.some((text) => holds(text, parts)));
      row.hidden = !visible;
      const guide = guideOf(row);
      if (guide) guide.hidden = !visible;
      shown += visible;
      if (visible) row.dataset.recent.split(' ').forEach((calls, at) => { sums[at] += Number(calls); });
    }
    if (isWhole()) {
      byId('count').textContent = `${shown} ${shown === 1 ? 'row' : 'rows'}`;
      const [day, week, month] = sums.map((sum) => sum.toLocaleString('en'));
      byId('sums').textContent = `Calls of these rows: ${day} in 24 hours, ${week} in 7 days, ${month} in 30 days`;
    }
    byId('nothing').hidden = shown > 0;
  };

  const text = (row, column) => row.cells[column].textContent;
  const compare = {
    urgent: (a, b) => a.dataset.rank - b.dataset.rank || b.dataset.last - a.dataset.last,
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
  const query = () => {
    const query = new URLSearchParams();
    if (everything) query.set('all', '');
    if (words.value) query.set('q', words.value);
    if (show.value !== 'all') query.set('show', show.value);
    if (order.value !== 'urgent') query.set('sort', order.value);
    return query;
  };
  const remember = () => {
    const wanted = query();
    history.replaceState(null, '', wanted.size ? `/?${wanted}` : '/');
  };
  // Reads the rows anew that the address is for; what is open stays so. Only the last answer counts.
  let asked = 0;
  const reread = async () => {
    const mine = ++asked;
    const wanted = query();
    wanted.set('part', '');
    const answer = await fetch(`/?${wanted}`, { cache: 'no-store' });
    if (!answer.ok) return say('bad', 'not live: reload the page');
    const part = new DOMParser().parseFromString(await answer.text(), 'text/html');
    if (mine !== asked) return;
    const fresh = part.getElementById('rows');
    for (const row of callers()) {
      const again = fresh.querySelector(`#${row.id}`);
      const guide = guideOf(row);
      if (!again || !guide) continue;
      again.querySelector('a.open').setAttribute('aria-expanded', 'true');
      again.after(guide);
    }
    const focused = rows.contains(document.activeElement) ? document.activeElement.closest('tr[id]')?.id : null;
    rows.dataset.complete = fresh.dataset.complete;
    rows.replaceChildren(...fresh.children);
    arm(rows);
    for (const id of ['count', 'sums', 'more']) byId(id).replaceChildren(...part.getElementById(id).childNodes);
    byId('overview').replaceWith(part.getElementById('overview'));
    sort();
    narrow();
    if (focused) byId(focused)?.querySelector('a.open').focus({ preventScroll: true });
  };
  let waiting;
  const rereadSoon = (ms) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      waiting = undefined;
      reread().catch(() => {});
    }, ms);
  };
  const choose = () => {
    remember();
    if (isWhole()) narrow();
    else rereadSoon(200);
  };
  const arrange = () => {
    remember();
    sort();
    if (!isWhole()) rereadSoon(0);
  };
  words.addEventListener('input', choose);
  show.addEventListener('change', choose);
  order.addEventListener('change', arrange);
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
      arrange();
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
    } else if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && event.target.matches('a.open, #q')) {
      // The filter stands above the first row.
      const stops = [words, ...all('a.open', rows).filter((link) => !link.closest('tr').hidden)];
      const next = stops[stops.indexOf(event.target) + (event.key === 'ArrowDown' ? 1 : -1)];
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
      if (old.querySelector('details.behind')?.open) fresh.querySelector('details.behind')?.setAttribute('open', '');
      if (link.hasAttribute('aria-expanded')) renewed.setAttribute('aria-expanded', link.getAttribute('aria-expanded'));
      old.replaceWith(fresh);
      if (focused) renewed.focus({ preventScroll: true });
    } else {
      rows.prepend(fresh);
    }
    if (old?.querySelector('details.naming')?.open) fresh.querySelector('details.naming')?.setAttribute('open', '');
    arm(fresh);
    fresh.classList.add('fresh');
  };
  const listen = () => {
    const events = new EventSource(`/events?since=${encodeURIComponent(document.body.dataset.version)}`);
    events.addEventListener('open', () => say('good', 'live'));
    events.addEventListener('error', () => {
      const gone = events.readyState === EventSource.CLOSED;
      say('bad', gone ? 'not live: reload the page' : 'connection lost, trying again');
    });
    events.addEventListener('reset', () => reread().catch(() => {}));
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
        if (!isWhole() && !waiting) rereadSoon(3000);
      }
      tell();
    });
  };
  if (isWhole()) listen();
  else reread().then(listen, listen);
})();
