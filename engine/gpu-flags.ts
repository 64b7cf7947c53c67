// Flag values that the WebGPU specification fixes. Browsers have them as globals, Node does not.

/** Bits of GPUBufferUsage. */
export const BUFFER_USAGE = {
  mapRead: 0x0001,
  copySource: 0x0004,
  copyDestination: 0x0008,
  uniform: 0x0040,
  storage: 0x0080,
  queryResolve: 0x0200,
} as const;

/** GPUMapMode.READ */
export const MAP_READ = 1;
