// Which of an expert's regions belong to what a heatmap explains: an opacity says nothing about the map of a fracture.

/** What the labels of regions mean. */
export interface LabelMeaning {
  /** In the order of the logits. Without any, labels are numbers of classes. */
  readonly classNames?: readonly string[];
  /** Regions with these labels count whatever class is explained; by default those of the explained class. */
  readonly labels?: readonly string[];
}

/** The class that a label means: by its name or, if it is no name, by its number from 0 up. Null for neither. */
export function classOfLabel(label: string, classNames: readonly string[] = []): number | null {
  const named = classNames.indexOf(label);
  if (named >= 0) return named;
  return /^\d+$/.test(label) ? Number(label) : null;
}

/** Whether a region is one of what is explained. Without a label it always is. */
export function isOfExplained(
  label: string | null,
  explained: number,
  { classNames, labels }: LabelMeaning,
): boolean {
  if (label === null) return true;
  return labels ? labels.includes(label) : classOfLabel(label, classNames) === explained;
}
