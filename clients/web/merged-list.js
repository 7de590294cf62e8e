/** Several lists that come page by page, as one in order. */

/**
 * What gives the next page of all lists together.
 * @template T
 * @param {((cursor: string | null) => Promise<{items: T[], next_cursor: string | null}>)[]} lists each in order
 * @param {(a: T, b: T) => number} compare
 * @param {number} size of a page
 * @returns {() => Promise<{items: T[], isLast: boolean}>}
 */
export function makeMergedList(lists, compare, size) {
  const heads = lists.map((ask) => ({ ask, items: [], cursor: null, isOver: false }));
  return async () => {
    const items = [];
    while (items.length < size) {
      await Promise.all(heads.filter((head) => !head.items.length && !head.isOver).map(refill));
      const [first] = heads.filter((head) => head.items.length).sort((a, b) => compare(a.items[0], b.items[0]));
      if (!first) break;
      items.push(first.items.shift());
    }
    return { items, isLast: heads.every((head) => head.isOver && !head.items.length) };
  };
}

async function refill(head) {
  const page = await head.ask(head.cursor);
  head.items.push(...page.items);
  head.cursor = page.next_cursor;
  head.isOver = !page.next_cursor;
}
