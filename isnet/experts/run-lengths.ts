// COCO's compressed run lengths: lengths of runs as text, five bits in a character.
//
// A number is written in groups of five bits, the lowest first, in two's complement: the highest bit of the last group is
// its sign. A group is the character 48 + group, and 32 more where another group follows. From the fourth on a number is
// what a length has over the length two before it, since runs of neighbouring columns are about as long.
import { DataError } from '../../engine/errors.ts';

const FIRST_CHARACTER = 48;
const GROUP = 32;
// Seven groups hold all of 32 bits, which is how lengths are kept where such text is made.
const MOST_GROUPS = 7;

/**
 * Lengths of the runs outside, inside, outside, .. that compressed text stands for. Throws DataError, saying at which
 * character, for text that is none: another character, a number that is cut off or too long, a length below 0.
 */
export function decodeRunLengths(text: string, where: string): number[] {
  const damaged = (at: number, what: string): DataError =>
    new DataError(
      `${where}: the compressed run lengths are damaged at character ${at} of ${text.length}: ${what}; export the annotations again`,
    );
  const lengths: number[] = [];
  for (let at = 0; at < text.length; ) {
    const from = at;
    let number = 0;
    for (let weight = 1, isLast = false; !isLast; weight *= GROUP) {
      if (at === text.length) throw damaged(from, 'the last number is cut off');
      if (at - from === MOST_GROUPS) throw damaged(from, `a number of more than ${MOST_GROUPS} characters`);
      const code = text.charCodeAt(at) - FIRST_CHARACTER;
      if (code < 0 || code >= 2 * GROUP) throw damaged(at, `'${text[at]}' is none of its characters`);
      const group = code % GROUP;
      isLast = code < GROUP;
      number += weight * (isLast && group >= GROUP / 2 ? group - GROUP : group);
      at++;
    }
    const length = lengths.length < 3 ? number : number + lengths[lengths.length - 2];
    if (length < 0) throw damaged(from, `run ${lengths.length + 1} would have ${length} pixels`);
    lengths.push(length);
  }
  return lengths;
}
