// What drivers say on stderr by themselves, whatever we do.

/**
 * What a process wrote to stderr without the remarks of Dawn and Vulkan about the machine's drivers: lavapipe has limits
 * that Dawn warns of, and a loader without drivers says so.
 */
export function withoutDriverRemarks(errors: string): string {
  return errors.replace(/^(Warning: (vkCreateInstance|.* artificially reduced).*| {4}at CheckVk.*|)\n/gm, '');
}
