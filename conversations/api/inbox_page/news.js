// What came in since the reader looked: ids and instants in the browser's localStorage, no more.

/** Return from when on each number of ours has news, and until when a conversation was seen. */
function stored() {
  try {
    return { since: {}, seen: {}, ...JSON.parse(localStorage.news) };
  } catch { // Nothing is stored yet, or not by this page.
    return { since: {}, seen: {} };
  }
}
const store = (news) => { localStorage.news = JSON.stringify(news); };
export const forget = () => localStorage.removeItem("news");

/** Compare instants as texts, which have a fraction of a second or none. */
const isLater = (instant, other = "") => instant.replace("Z", "") > other.replace("Z", "");

/** Return what tells whether a row of the list is unseen. */
export function unseenTeller() {
  const { since, seen } = stored();
  return ({ id, phone_number_id: number, last_message_at: at, last_message_direction: way }) => (
    way === "inbound" && number in since && isLater(at, since[number]) && isLater(at, seen[id]));
}

/** Note the numbers that this browser shows for the first time: news is what comes after that. */
export function meet(rows, instant) {
  const { since, seen } = stored();
  const met = rows.map((row) => row.phone_number_id).filter((number) => !(number in since));
  for (const number of met) since[number] = instant;
  if (met.length) store({ since, seen });
}

/** Note that the messages of a conversation were seen up to an instant. */
export function see(id, instant) {
  const { since, seen } = stored();
  if (isLater(instant, seen[id])) store({ since, seen: { ...seen, [id]: instant } });
}
