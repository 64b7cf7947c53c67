// What the networks of this folder have in common: options, and a last layer that has a name.
import { Module } from '../module.ts';

/** What every network can be told. */
export interface NetworkOptions {
  /** Logits per image; per pixel for `UNet`. */
  readonly classes: number;
  /** Channels of the images, 3 if left out. */
  readonly inChannels?: number;
  /** Share of units dropped before the last layer in training; a network says its default. */
  readonly dropout?: number;
}

/** A network that ends in logits, with the name of the layer that makes them. */
export abstract class Classifier extends Module {
  /** Dotted name of the last layer: `fc`, `classifier.6`. */
  abstract readonly headName: string;
}

/**
 * Names of the last layer's parameters. Where a file was made for other classes:
 * `loadStateDict(model, tensors, { skip: headNames(model) })`, and the head keeps its initial weights.
 */
export function headNames(model: Classifier): string[] {
  return [...model.namedParameters().keys()].filter((name) => name.startsWith(`${model.headName}.`));
}
