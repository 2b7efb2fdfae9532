/** The anchor of a section about a folder; letters, digits and dashes alone. */
export const sectionId = (kind: string, name: string): string => `${kind}-${name.replaceAll(/[^\w-]/g, "-")}`;
