// Gives Linux machines without a GPU a Vulkan driver anyway: SwiftShader out of the npm package @sparticuz/chromium.
import { randomUUID } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants as fsConstants,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { constants, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { DeviceError } from './errors.ts';

const LOADER = 'libvulkan.so.1';
const DRIVER = 'libvk_swiftshader.so';
const MANIFEST = 'vk_swiftshader_icd.json';
const NAMES = [LOADER, DRIVER, MANIFEST];
const SIZES = 'sizes.txt';
// Not in node:os. The library must stay when Node closes it again, having found no add-on inside.
const RTLD_NODELETE = 0x1000;

/** Where the packed SwiftShader lies, and the version its unpacked files are kept under. */
export interface SwiftShaderArchive {
  readonly path: string;
  readonly version: string;
}

/** The unpacked files: a Vulkan loader, and the manifest that leads it to SwiftShader. */
export interface SwiftShaderFiles {
  readonly loader: string;
  readonly manifest: string;
}

/** Looks for @sparticuz/chromium from this file outwards. Undefined when it is not installed, or built for other machines. */
export function findSwiftShader(): SwiftShaderArchive | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  // The package does not export its package.json, so we look where Node would look.
  for (const folder of createRequire(import.meta.url).resolve.paths('@sparticuz/chromium') ?? []) {
    const root = join(folder, '@sparticuz/chromium');
    const path = join(root, 'bin/swiftshader.tar.br');
    if (sizeOfFile(path) === undefined) continue;
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    return { path, version };
  }
  return undefined;
}

/**
 * Unpacks the archive once and returns the files; later calls only compare their sizes. A missing or truncated file
 * is written again, and any number of processes may do so at once. Throws DeviceError when the archive is damaged.
 */
export function unpackSwiftShader(
  archive: SwiftShaderArchive,
  folder = cacheFolder(archive),
): SwiftShaderFiles {
  if (!isComplete(folder)) {
    const files = readTar(decompress(archive.path));
    for (const name of NAMES) {
      const bytes = files.get(name);
      if (bytes === undefined) {
        const found = [...files.keys()].join(', ') || 'no file';
        throw new DeviceError(
          `unpackSwiftShader: ${archive.path} holds ${found} but not ${name}; reinstall @sparticuz/chromium`,
        );
      }
      replaceFile(join(folder, name), bytes);
    }
    // Last, so that it vouches for the others.
    replaceFile(join(folder, SIZES), listSizes(folder));
  }
  return { loader: join(folder, LOADER), manifest: join(folder, MANIFEST) };
}

/** Whether this Linux machine has a Vulkan loader of its own that Dawn will find by its name. */
export function hasVulkanLoader(): boolean {
  // One that we loaded earlier answers to the same name, but knows no more drivers than it did then.
  const isOurs = /isnet-webgpu\S*\/libvulkan\.so\.1/.test(readFileSync('/proc/self/maps', 'utf8'));
  if (isOurs) return false;
  const message = openLibrary(LOADER, constants.dlopen.RTLD_LAZY);
  // Only the plain 'not there' counts as missing: anything else is for Dawn to judge, lest we hide a GPU.
  return !message.startsWith(`${LOADER}: cannot open shared object file`);
}

/**
 * Loads a Vulkan loader into the process for good. Dawn asks for it by name, and the system then answers with the
 * one already loaded, so no search path has to change. Throws DeviceError when the library cannot be loaded.
 */
export function loadVulkanLoader(path: string): void {
  const message = openLibrary(path, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
  if (!message.startsWith('Module did not self-register')) {
    throw new DeviceError(`loadVulkanLoader: ${message}; delete ${dirname(path)}, or install a GPU driver`);
  }
}

/** Opens a plain library through the only door Node has, the one for add-ons, and returns its complaint. */
function openLibrary(path: string, flags: number): string {
  try {
    process.dlopen({ exports: {} }, path, flags);
  } catch (complaint) {
    return complaint instanceof Error ? complaint.message : String(complaint);
  }
  throw new DeviceError(`openLibrary: ${path} is a Node add-on; expected a plain library`);
}

/** A folder beside the package, or one of the user's own in the temporary folder if that is read-only. */
function cacheFolder(archive: SwiftShaderArchive): string {
  const name = `swiftshader-${archive.version}-${statSync(archive.path).size}`;
  // node_modules/@sparticuz/chromium/bin/swiftshader.tar.br -> node_modules/.cache
  const beside = join(dirname(archive.path), '../../..', '.cache/isnet-webgpu', name);
  try {
    mkdirSync(beside, { recursive: true });
    if (!isComplete(beside)) accessSync(beside, fsConstants.W_OK);
    return beside;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'EACCES' && code !== 'EROFS' && code !== 'EPERM') throw error;
  }
  const uid = process.getuid?.() ?? 0;
  const own = join(tmpdir(), `isnet-webgpu-${uid}`);
  mkdirSync(own, { recursive: true, mode: 0o700 });
  // We are about to run code from there: a folder that somebody else put in our way must not do.
  const stat = lstatSync(own);
  if (!stat.isDirectory() || stat.uid !== uid) {
    throw new DeviceError(`unpackSwiftShader: ${own} belongs to user ${stat.uid}, not ${uid}; remove it`);
  }
  chmodSync(own, 0o700);
  const folder = join(own, name);
  mkdirSync(folder, { recursive: true });
  return folder;
}

function isComplete(folder: string): boolean {
  const path = join(folder, SIZES);
  return sizeOfFile(path) !== undefined && readFileSync(path, 'utf8') === listSizes(folder);
}

function listSizes(folder: string): string {
  return NAMES.map((name) => `${name} ${sizeOfFile(join(folder, name))}\n`).join('');
}

function sizeOfFile(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

/** The file appears whole or not at all, and a process that has the old one mapped keeps it. */
function replaceFile(path: string, bytes: Uint8Array | string): void {
  const draft = `${path}.${randomUUID()}`;
  writeFileSync(draft, bytes, { mode: 0o644 });
  renameSync(draft, path);
}

function decompress(path: string): Buffer {
  try {
    return brotliDecompressSync(readFileSync(path));
  } catch (cause) {
    throw new DeviceError(
      `unpackSwiftShader: ${path} cannot be read (${cause}); reinstall @sparticuz/chromium`,
      {
        cause,
      },
    );
  }
}

/** Regular files of a tar archive by base name: 512-byte headers, octal sizes, data padded to 512 bytes. */
function readTar(tar: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  const textAt = (from: number, to: number) => tar.toString('latin1', from, to).split('\0')[0];
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(textAt(at + 124, at + 136), 8);
    const type = textAt(at + 156, at + 157);
    const body = at + 512;
    if (type === '' || type === '0') {
      files.set(textAt(at, at + 100).replace(/^.*\//, ''), tar.subarray(body, body + size));
    }
    at = body + Math.ceil(size / 512) * 512;
  }
  return files;
}
