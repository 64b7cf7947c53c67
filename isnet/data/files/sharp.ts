// libvips, loaded at the first picture, so that commands without pictures start without it. A file of its own keeps the
// types of sharp, which need those of Node, out of our own declarations.

/**
 * The library. The main thread has to call this before it starts a thread that decodes: it must not be unloaded when that
 * thread ends.
 */
export async function loadSharp() {
  const { default: sharp } = await import('sharp');
  // Every file is opened once, and several at a time already.
  sharp.cache(false);
  sharp.concurrency(1);
  return sharp;
}
