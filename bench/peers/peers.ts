// The libraries that are compared, ours among them.
import type { Peer } from './peer.ts';

interface PeerEntry {
  /** What a reader of its numbers must know. */
  readonly note?: string;
  /** Finds its adapter by itself, so that its process needs the driver's name in the environment. */
  readonly hasOwnDawn?: boolean;
  /** Loads the library late, so that a process has only its own. */
  readonly open: () => Promise<Peer>;
}

const entries = {
  ours: { open: async () => (await import('./ours.ts')).openOurs(false) },
  'ours-captured': { open: async () => (await import('./ours.ts')).openOurs(true) },
  'tfjs-webgpu': {
    open: async () => (await import('./tfjs.ts')).openTfjs('webgpu'),
  },
  'jax-js': { open: async () => (await import('./jax.ts')).openJax() },
  'tfjs-wasm': {
    note: 'on the CPU',
    open: async () => (await import('./tfjs.ts')).openTfjs('wasm'),
  },
  'onnx-cpu': {
    note: 'native code on the CPU, inference only',
    open: async () => (await import('./onnx.ts')).openOnnx('cpu'),
  },
  'onnx-webgpu': {
    hasOwnDawn: true,
    note: 'its Node binding copies operands and results from and to the CPU in every call; inference only',
    open: async () => (await import('./onnx.ts')).openOnnx('webgpu'),
  },
} as const satisfies Record<string, PeerEntry>;

export type PeerName = keyof typeof entries;

/** In the order of the table; `ours` is what the others are compared with. */
export const peers: Readonly<Record<PeerName, PeerEntry>> = entries;

export const peerNames = Object.keys(peers) as PeerName[];

export const isPeerName = (name: string): name is PeerName => name in peers;
