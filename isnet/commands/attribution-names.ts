// Attributions by their names on the command line, for every command that makes heatmaps.
import { unknownName } from '../../engine/nearest-name.ts';
import type { Attribution } from '../../lrp/attributions/attribution.ts';
import type { LrpOptions } from '../../lrp/attributions/relevance.ts';
import { attributions } from '../../lrp/attributions/table.ts';

/** With hyphens: `smooth-grad`. */
const named: Readonly<Record<string, Attribution<LrpOptions>>> = Object.fromEntries(
  Object.entries(attributions).map(([name, attribution]) => [
    name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
    attribution,
  ]),
);

/** What `--method` takes. */
export const attributionNames: readonly string[] = Object.keys(named);

/** What `--method` means. Throws UsageError, with the nearest name, if there is no such attribution. */
export function attributionNamed(command: string, name: string): Attribution<LrpOptions> {
  if (Object.hasOwn(named, name)) return named[name];
  throw unknownName(`${command}: there is no method`, name, attributionNames);
}
