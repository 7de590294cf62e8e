/** Text files packed into a zip archive, not compressed. */

const SIGNATURES = { file: 0x04034b50, entry: 0x02014b50, end: 0x06054b50 };
const UTF8_NAMES = 0x0800;
const DATE = 0x0021; // 1 January 1980: equal files give equal archives

/**
 * A zip archive.
 * @param {Map<string, string>} files text by name
 * @returns {Blob}
 */
export function makeZip(files) {
  const encoder = new TextEncoder();
  const [bodies, entries] = [[], []];
  let offset = 0;
  for (const [name, text] of files) {
    const [path, data] = [encoder.encode(name), encoder.encode(text)];
    const common = [
      [2, 20],
      [2, UTF8_NAMES],
      [2, 0],
      [2, 0],
      [2, DATE],
      [4, computeCrc(data)],
      [4, data.length],
      [4, data.length],
      [2, path.length],
      [2, 0],
    ];
    entries.push(pack([4, SIGNATURES.entry], [2, 20], ...common, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]), path);
    const head = pack([4, SIGNATURES.file], ...common);
    bodies.push(head, path, data);
    offset += head.length + path.length + data.length;
  }
  const size = entries.reduce((sum, part) => sum + part.length, 0);
  const count = files.size;
  const end = pack([4, SIGNATURES.end], [2, 0], [2, 0], [2, count], [2, count], [4, size], [4, offset], [2, 0]);
  return new Blob([...bodies, ...entries, end], { type: "application/zip" });
}

/**
 * The CRC-32 of some bytes.
 * @param {Uint8Array} data
 * @returns {number}
 */
export function computeCrc(data) {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** Little-endian numbers, each with its size in bytes. */
function pack(...numbers) {
  const bytes = [];
  for (const [size, value] of numbers) {
    for (let place = 0; place < size; place += 1) bytes.push((value >>> (8 * place)) & 0xff);
  }
  return Uint8Array.from(bytes);
}
