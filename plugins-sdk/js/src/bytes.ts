// UTF-8, which the engine itself does not have.

/** What bodies and header values can be written as. Text is sent as UTF-8. */
export type Bytes = Uint8Array | string;

const CHUNK = 4096;
const REPLACEMENT = 0xfffd;

/** Text as UTF-8; bytes as they are. A lone surrogate becomes U+FFFD. */
export function encode(value: Bytes): Uint8Array {
  if (typeof value !== "string") return value;
  const bytes = new Uint8Array(value.length * 3);
  let length = 0;
  for (let place = 0; place < value.length; place++) {
    let point = value.charCodeAt(place);
    if (point < 0x80) {
      bytes[length++] = point;
      continue;
    }
    if (point >= 0xd800 && point < 0xe000) {
      point = value.codePointAt(place)!;
      if (point >= 0x10000) place++;
      else point = REPLACEMENT;
    }
    if (point < 0x800) {
      bytes[length++] = 0xc0 | (point >> 6);
    } else {
      if (point < 0x10000) {
        bytes[length++] = 0xe0 | (point >> 12);
      } else {
        bytes[length++] = 0xf0 | (point >> 18);
        bytes[length++] = 0x80 | ((point >> 12) & 0x3f);
      }
      bytes[length++] = 0x80 | ((point >> 6) & 0x3f);
    }
    bytes[length++] = 0x80 | (point & 0x3f);
  }
  return bytes.slice(0, length);
}

/** UTF-8 as text. What is not UTF-8 becomes U+FFFD. */
export function decode(bytes: Uint8Array): string {
  let text = "";
  let points: number[] = [];
  for (let place = 0; place < bytes.length; ) {
    const [point, length] = pointAt(bytes, place);
    points.push(point);
    place += length;
    if (points.length === CHUNK) {
      text += String.fromCodePoint(...points);
      points = [];
    }
  }
  return text + String.fromCodePoint(...points);
}

/** The code point that starts there, and how many bytes it takes: RFC 3629, where no overlong form is one. */
function pointAt(bytes: Uint8Array, place: number): [number, number] {
  const first = bytes[place]!;
  if (first < 0x80) return [first, 1];
  const length = first >= 0xf0 && first < 0xf5 ? 4 : first >= 0xe0 && first < 0xf0 ? 3 : first >= 0xc2 && first < 0xe0 ? 2 : 0;
  if (length === 0) return [REPLACEMENT, 1];
  let point = first & (0x7f >> length);
  for (let more = 1; more < length; more++) {
    const byte = bytes[place + more];
    if (byte === undefined || (byte & 0xc0) !== 0x80) return [REPLACEMENT, more];
    point = (point << 6) | (byte & 0x3f);
  }
  const least = length === 3 ? 0x800 : length === 4 ? 0x10000 : 0x80;
  const isPoint = point >= least && point <= 0x10ffff && !(point >= 0xd800 && point < 0xe000);
  return isPoint ? [point, length] : [REPLACEMENT, length];
}
