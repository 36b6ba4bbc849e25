// Finding a contact as people write numbers: 15551000005, (555) 100-0005, 0049 171 …, or a name.

// The calling codes of ITU-T E.164: 1, 7, those of two digits, and else three digits.
const CALLING_CODE = /^\+(1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|\d{3})/;
// What precedes a number inside of its country and goes when the calling code comes. Mostly a 0.
const TRUNK_PREFIXES = { 1: /^1/, 7: /^8/, 36: /^06/, 39: /^$/ };
const NUMBER = /^(\+[1-9]\d{1,14}|[1-9]\d{2,7})$/;
const SENDER_ID = /^(?=.*[a-z])[a-z\d][a-z\d _.&+'-]{0,9}[a-z\d_.&+'-]$/i;
const digitsOf = (text) => text.replace(/\D/g, "");

export const isName = (text) => /\p{L}/u.test(text);

/** Tell whether a number is as long as a whole one, in a country where few are shorter. */
export const isWhole = (number) => /^\+(1\d{10}|[2-9]\d{9,14})$/.test(number);

/** Return what somebody may mean: numbers in the countries of these own numbers, or a name. */
export function meantBy(text, ownNumbers) {
  if (isName(text)) return SENDER_ID.test(text) ? [text] : [];
  const written = text.replace("(0)", "").replace(/[^+\d]/g, "");
  const codes = new Set(ownNumbers.flatMap((number) => CALLING_CODE.exec(number)?.[1] ?? []));
  const abroad = written.replace(codes.has("1") ? /^(00|011)/ : /^00/, "+");
  const digits = digitsOf(abroad);
  const national = [...codes].map((code) => (
    `+${code}${digits.replace(TRUNK_PREFIXES[code] ?? /^0/, "")}`));
  const meant = abroad[0] === "+" ? [`+${digits}`] : [...national, `+${digits}`, digits];
  return [...new Set(meant)].filter((number) => NUMBER.test(number));
}

/** Tell whether a contact has these letters or digits, or begins as what may be meant does. */
export function isLike(contact, text, meant) {
  if (meant.some((number) => contact.startsWith(number))) return true;
  if (isName(text)) return contact.toLowerCase().includes(text.toLowerCase());
  return digitsOf(text) !== "" && digitsOf(contact).includes(digitsOf(text));
}
