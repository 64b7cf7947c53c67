// How elementwise kernels share out their elements: one rule for GPUs and for CPU rasterisers.
import { type AdapterProfile, SOFTWARE_WORKGROUPS, threadsPerWorkgroup } from '../dispatch.ts';

/** How the items of a dispatch are shared out; see `spanOf`. */
export interface Span {
  /** Consts for the prelude: GROUP, the threads per workgroup. */
  readonly prelude: string;
  /** Fields `count`, `per_thread`, `groups_x` of the kernel's Params. */
  readonly params: { readonly count: number; readonly per_thread: number; readonly groups_x: number };
  readonly workgroups: [number, number, number];
}

/**
 * Work for `count` items. A GPU thread takes one item. On software adapters a workgroup is one subgroup and takes a
 * contiguous run of items, because starting each workgroup has its price.
 */
export function spanOf(count: number, adapter: AdapterProfile): Span {
  const isSoftware = adapter.family === 'software';
  const group = threadsPerWorkgroup(adapter);
  const share = Math.ceil(count / (group * SOFTWARE_WORKGROUPS));
  const perThread = isSoftware ? Math.min(1024, Math.max(1, share)) : 1;
  const groups = Math.max(1, Math.ceil(count / (group * perThread)));
  const groupsX = Math.min(groups, adapter.maxWorkgroupsPerDimension);
  return {
    prelude: `const GROUP = ${group}u;\n`,
    params: { count, per_thread: perThread, groups_x: groupsX },
    workgroups: [groupsX, Math.ceil(groups / groupsX), 1],
  };
}
