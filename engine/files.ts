// The only way to read and write whole files (Node only): a killed run must not leave half a checkpoint under its name.
import { randomUUID } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DataError, type IsnetError } from './errors.ts';

/** How a file error is reported: `where` opens the message, `error` is its class (one per cause, so callers choose). */
export interface FileErrorStyle {
  readonly where?: string;
  readonly error?: new (message: string, options?: ErrorOptions) => IsnetError;
}

/** Bytes of the file. Throws `error` (DataError by default) if it is missing, a folder or unreadable. */
export async function readFileBytes(path: string, style: FileErrorStyle = {}): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw fileError('read', path, cause, style);
  }
}

/**
 * Writes bytes, or text as UTF-8, so that `path` holds the old contents or the new ones, never a part: a temporary file in
 * the same folder is flushed to the disk, then renamed. The folder must exist. Throws `error` (DataError by default).
 */
export async function writeFileAtomically(
  path: string,
  bytes: Uint8Array | string,
  style: FileErrorStyle = {},
): Promise<void> {
  // The same folder, because a rename is atomic only within one file system.
  const temporary = join(dirname(path), `.${randomUUID()}.tmp`);
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(bytes);
      // Without it the rename may reach the disk before the data does, and a power cut leaves an empty file.
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {
      // The cause of the failed write is the one to report; a folder that vanished has no temporary file either.
    });
    throw fileError('write', path, cause, style);
  }
}

function fileError(verb: 'read' | 'write', path: string, cause: unknown, style: FileErrorStyle): IsnetError {
  const FileError = style.error ?? DataError;
  return new FileError(`${style.where ?? verb}: ${explain(verb, path, cause)}`, { cause });
}

function explain(verb: 'read' | 'write', path: string, cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  switch (code) {
    case 'ENOENT':
      return verb === 'read'
        ? `there is no file '${path}'; check the path`
        : `the folder of '${path}' does not exist; create it first`;
    case 'ENOTDIR':
      return `part of the path '${path}' is a file, not a folder; check the path`;
    case 'EISDIR':
      return `'${path}' is a folder; name a file`;
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return `no permission to ${verb} '${path}' (${code}); change its mode or choose another path`;
    case 'ENOSPC':
    case 'EDQUOT':
      return `the disk is full, '${path}' was not written (${code}); free some space`;
    default:
      return `cannot ${verb} '${path}' (${cause instanceof Error ? cause.message : cause}); check the path and the disk`;
  }
}
