// The page: the list of conversations beside the messages of one, both kept fresh. Its address
// names after the # which conversation is open and what the filters are.

import { isLike, isName, isWhole, meantBy } from "./contacts.js";
import { Feed, Problem, ask } from "./feed.js";
import {
  TIME_ZONE, consentBadge, contactItem, counted, dayOf, make, messageItems, span,
} from "./items.js";
import { forget, meet, see, unseenTeller } from "./news.js";
import { Pane } from "./pane.js";

const POLL_MS = 3_000;
const HIDDEN_POLL_MS = 30_000;
const TYPING_MS = 300;
const LOADED_FOR_A_SEARCH = 200;
const find = (selector) => document.querySelector(selector);
const FILTERS = ["phone_number_id", "opted_in", "contact_number"];
const CLOSED = { conversation: "" };
const filters = find("#filters");
const { phone_number_id: numbers, opted_in: consents } = filters.elements;
const all = new Feed("v1/conversations"); // Read always: from its rows the page knows the news.
let meant = []; // The numbers that the contact may mean.
let sought = null; // What the list on the screen is the result of.
let opened = null; // The conversation on the screen: the address may name the next one already.
let knowsKey = false;
let timer, typing;

/** What the address names. */
const place = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const soughtNow = () => JSON.stringify(FILTERS.map((name) => place()[name]));
const openId = () => (/^[\w-]{22}$/.test(place().conversation) ? place().conversation : null);

/** Return the address of this place with changes. What is empty is left out. */
function addressOf(changes) {
  const named = Object.entries({ ...place(), ...changes }).filter(([, value]) => value);
  return `#${new URLSearchParams(named)}`;
}
const replaceAddress = (changes) => history.replaceState(null, "", addressOf(changes));

/** Return what the list shows: its rows with where they lead and what marks them. */
function listItems(rows) {
  const [isUnseen, today, id] = [unseenTeller(), dayOf(Date.now()), openId()];
  return new Map(rows.map((row) => {
    const { phone_number_id, contact_number } = row;
    const href = addressOf(row.id ? { conversation: row.id } // Else a row of GET /v1/consent.
      : { ...CLOSED, phone_number_id, contact_number, opted_in: "" });
    const isMarked = isUnseen(row) && (row.id !== id || document.hidden);
    return [{ ...row, href, today, isUnseen: isMarked }, contactItem];
  }));
}

const list = new Pane("#list", { itemsOf: listItems, attempt, afterDrawing() {
  const { total, rows, path } = list.feed;
  find("#total").textContent = path === all.path
    ? counted(total, "conversation") : `${total.toLocaleString()} opted out`;
  find("#found").textContent = list.isWanted ? searchResult() : "";
  for (const row of rows) offer(numbers, row.phone_number_id, row.phone_number);
  attempt(describeOpen);
} });
const thread = new Pane("#thread", { itemsOf: messageItems, attempt, afterDrawing() {
  const [newest] = thread.feed.rows;
  if (newest && !document.hidden) see(opened, newest.created_at);
  showNews();
  attempt(describeOpen);
} });

/** Return how many of the rows that are loaded are like the contact, and how to find all. */
function searchResult() {
  const { rows: { length: found }, feed: { rows: { length: loaded }, cursor } } = list;
  const whole = meant.find(isWhole);
  const { phone_number_id, opted_in, contact_number: contact } = place();
  const among = phone_number_id || opted_in ? " among those filtered" : "";
  if (!found && whole) return `No conversation with ${whole}${among}`;
  if (!cursor) return `${found || "None"} of all ${loaded.toLocaleString()}`;
  const kind = isName(contact) ? "name" : "number";
  return `${found || "None"} of the ${loaded.toLocaleString()} loaded; type the whole ${kind} to search all`;
}

/** Show the conversations that the address names: those of a whole number, else what is like it. */
async function search() {
  const { phone_number_id, opted_in, contact_number: contact } = place();
  const isOut = opted_in === "out";
  const given = { phone_number_id, opted_in: isOut ? "false" : opted_in };
  const path = isOut ? "v1/consent" : all.path;
  const wanted = soughtNow();
  const feed = phone_number_id || opted_in ? new Feed(path, given) : all;
  meant = contact ? meantBy(contact, [...numbers.options].map((option) => option.text)) : [];
  const exact = meant.map((number) => new Feed(path, { ...given, contact_number: number }));
  await Promise.all([feed, ...exact].map((each) => each.isRead || each.read()));
  const hit = exact.find((each) => each.total);
  while (contact && !hit && feed.cursor && feed.rows.length < LOADED_FOR_A_SEARCH) {
    await feed.read(feed.cursor);
  }
  if (wanted !== soughtNow()) return; // The reader has gone on typing.
  sought = wanted;
  const isWanted = contact && !hit ? (row) => isLike(row.contact_number, contact, meant) : null;
  list.show(hit ?? feed, isWanted);
}

/** Offer an option of a filter, and choose it if the address names it. */
function offer(select, value, text) {
  if ([...select.options].some((option) => option.value === value)) return;
  const isChosen = place()[select.name] === value;
  select.add(new Option(text, value, isChosen, isChosen));
}

/** Ask what the key may do, so that the page asks for nothing that is refused; then the numbers. */
async function learn() {
  if (knowsKey) return;
  const { scopes } = (await ask("inbox/scopes", {})).data;
  const feed = new Feed("v1/phone-numbers");
  if (scopes.includes("numbers:read")) do await feed.read(feed.cursor); while (feed.cursor);
  for (const row of feed.rows) offer(numbers, row.id, row.phone_number);
  if (scopes.includes("consent:read")) offer(consents, "out", "Opted out");
  else if (place().opted_in === "out") replaceAddress({ opted_in: consents.value = "" });
  knowsKey = true;
}

/** Read the newest conversations, and say which of them are news. */
async function readNews() {
  const newest = all.isRead ? all.rows[0]?.last_message_at ?? "" : null;
  const nameOf = (row) => row.id + row.last_message_at;
  const known = new Set(all.rows.map(nameOf));
  if (!await all.read() || !all.rows.length) return;
  meet(all.rows, newest ?? all.rows[0].last_message_at);
  showNews();
  const isUnseen = unseenTeller();
  const news = all.rows.filter((row) => isUnseen(row) && !known.has(nameOf(row)));
  if (newest === null || !news.length) return;
  find("#news").textContent = `New: ${news[0].contact_number}`;
  const isLookedAt = !document.hidden && document.hasFocus();
  if (!isLookedAt && self.Notification?.permission === "granted") news.slice(0, 3).forEach(notify);
}

function notify({ id, contact_number: contact }) {
  try {
    const options = { tag: id, body: "The text is in the inbox." };
    const shown = new Notification(`New message from ${contact}`, options);
    shown.onclick = () => { focus(); location.hash = addressOf({ conversation: id }); };
  } catch { /* Browsers of phones have no notifications for a page that is merely open. */ }
}

/** Mark what is unseen in the list, and count it in the title of the tab. */
function showNews() {
  const isUnseen = unseenTeller();
  const count = all.rows.filter((row) => isUnseen(row)).length;
  document.title = count ? `(${count}) Inbox` : "Inbox";
  if (list.feed?.isRead) list.draw();
  find("#notify").hidden = self.Notification?.permission !== "default" || !isSecureContext;
}

/** Open the conversation that the address names, or close the open one. */
function route(event) {
  if (/\bkey=/.test(location.hash)) return location.reload(); // It is taken as at the start.
  const [id, before] = [openId(), document.getElementById(opened)?.firstChild];
  opened = id;
  document.body.dataset.pane = id ? "thread" : "list";
  find("#back").href = addressOf(CLOSED);
  find("#about").replaceChildren();
  thread.show(id && new Feed(`v1/conversations/${id}/messages`, { order: "desc" }));
  for (const field of filters.elements) field.value = place()[field.name] ?? "";
  attempt(describeOpen);
  tick();
  if (event) (id ? thread.scroller : before)?.focus({ preventScroll: true });
}

/** Mark the open conversation in the list, and say above its messages whose they are. */
async function describeOpen() {
  const id = openId();
  for (const item of list.ol.children) item.firstChild.ariaCurrent = item.id === id || null;
  let row = [...all.rows, ...list.feed?.rows ?? []].find((each) => each.id === id);
  const message = thread.feed?.rows[0];
  if (!row && message) {
    const contact = message[message.direction === "inbound" ? "from_number" : "to_number"];
    const { phone_number_id } = message;
    [row] = (await ask(all.path, { phone_number_id, contact_number: contact })).data;
  }
  if (!row || id !== openId()) return;
  const count = counted(row.message_count, "message");
  const facts = `with ${row.phone_number} · ${count} · times in ${TIME_ZONE}`;
  find("#about").replaceChildren(
    make("h2", {}, row.contact_number), span("facts", facts), consentBadge(row.consent));
}

/** Print the open conversation, all of it. */
async function printAll() {
  while (thread.feed?.cursor) await thread.read(thread.feed.cursor);
  print();
}

/** Do something that asks the service, and say what went wrong, if anything. */
async function attempt(job) {
  try {
    await job();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    const banner = find("#banner"); // A screen reader would read the same sentence again.
    if (banner.textContent !== problem.message) banner.textContent = problem.message;
    if (problem.status === 401 || problem.status === 403) document.body.dataset.view = "key";
  }
}

/** Show what is new, now and then every few seconds. While nobody sees the page, only the news. */
async function tick() {
  clearTimeout(timer);
  if (!sessionStorage.apiKey) return;
  await attempt(async () => {
    await Promise.all([readNews(), learn()]);
    if (sought !== soughtNow()) await search();
    const panes = document.hidden ? [] : list.feed === all ? [thread] : [thread, list];
    await Promise.all(panes.map((pane) => pane.read()));
    await Promise.all([thread, list].map((pane) => pane.fill()));
    find("#banner").textContent = "";
    document.body.dataset.view = "inbox";
  });
  wait();
}

function wait() {
  clearTimeout(timer);
  timer = setTimeout(tick, document.hidden ? HIDDEN_POLL_MS : POLL_MS);
}

/** Take the filters into the address, once the reader does not type for a moment. */
function onInput() {
  clearTimeout(typing);
  typing = setTimeout(() => {
    const given = Object.fromEntries(new FormData(filters));
    replaceAddress({ ...given, contact_number: given.contact_number.trim() });
    find("#back").href = addressOf(CLOSED);
    tick();
  }, TYPING_MS);
}

/** Escape closes the conversation, the arrows go from one to the next, and Enter opens a link. */
function onKeyDown({ key, target }) {
  if (target.closest("input, select")) return;
  if (key === "Escape") location.hash = addressOf(CLOSED);
  const step = { ArrowDown: 1, ArrowUp: -1 }[key];
  if (!step || target.closest("#thread")) return;
  const links = [...list.ol.querySelectorAll("a")];
  links[Math.max(links.indexOf(document.activeElement) + step, 0)]?.focus();
}

if ("key" in place()) { // Read once and removed, so that nobody else sees the key.
  sessionStorage.apiKey = place().key;
  replaceAddress({ key: "" });
}
document.body.dataset.view = sessionStorage.apiKey ? "inbox" : "key";
const restart = (key) => { sessionStorage.apiKey = key.trim(); location.reload(); };
find("#key-form").addEventListener("submit", () => restart(find("#key").value));
find("#forget").addEventListener("click", () => {
  forget();
  history.replaceState(null, "", "#");
  restart("");
});
find("#notify").addEventListener("click", () => Notification.requestPermission().then(showNews));
find("#print").addEventListener("click", () => attempt(printAll));
filters.addEventListener("input", onInput);
addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", route);
addEventListener("keydown", onKeyDown);
addEventListener("storage", showNews); // Another tab has marked something as seen.
document.addEventListener("visibilitychange", () => (document.hidden ? wait() : tick()));
route();
