// What the pages for people say of the code, where a machine can tell: names, links and settings.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { completeConfig, imageDefaults, quickstartConfig } from '../isnet/quickstart-config.ts';

const root = new URL('../', import.meta.url);
const pages = [
  'README.md',
  ...readdirSync(new URL('docs', root))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
  ...['lrp/README.md', 'isnet/rivals/README.md', 'bench/README.md'],
];
const textOf = (page: string | URL): string => readFileSync(new URL(page, root), 'utf8');

/** Blocks of code in a language. */
const blocks = (page: string, language: string): string[] =>
  [...textOf(page).matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(([, code]) => code);

/** Names of headings as GitHub makes them. */
const anchorsOf = (text: string): string[] =>
  [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

describe.each(pages)('%s', (page) => {
  test('links to files and headings that there are', () => {
    const place = new URL(page, root);
    // Code has brackets of its own.
    const text = textOf(page).replace(/^```.*?^```|^ {4}[^\n]*$/gms, '');
    for (const [, link] of text.matchAll(/\]\(((?!https?:)[^)\s]+)\)/g)) {
      const [path, anchor] = link.split('#');
      const target = path === '' ? place : new URL(path, place);
      expect(existsSync(target), link).toBe(true);
      if (anchor && target.pathname.endsWith('.md'))
        expect(anchorsOf(textOf(target)), link).toContain(anchor);
    }
  });
});

test('examples import what the library exports', async () => {
  const exported = {
    'isnet-webgpu': Object.keys(await import('../isnet/index.ts')),
    'isnet-webgpu/node': Object.keys(await import('../isnet/node.ts')),
  };
  const imports = pages
    .flatMap((page) => blocks(page, 'ts'))
    .flatMap((code) => [...code.matchAll(/^import \{ ([^}]+) \} from '(isnet-webgpu(?:\/node)?)'/gm)]);
  expect(imports.length).toBeGreaterThan(5);
  for (const [, names, from] of imports) {
    expect(exported[from as keyof typeof exported]).toEqual(
      expect.arrayContaining(names.trim().split(/,\s*/)),
    );
  }
});

test('the settings of images in docs/data.md are the defaults, in a file that can be used as it is', () => {
  const [settings] = blocks('docs/data.md', 'json').filter((code) => code.includes('"dataset"'));
  expect(completeConfig([JSON.parse(settings)])).toEqual({
    ...quickstartConfig,
    data: { ...imageDefaults, source: 'my-images' },
  });
  expect(Object.keys(JSON.parse(settings).data).sort()).toEqual(
    ['source', ...Object.keys(imageDefaults)].sort(),
  );
});
