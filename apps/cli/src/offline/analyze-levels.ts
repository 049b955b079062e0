/** Levels of findings, the worst first. */
export const analyzeLevels = ["Error", "Warning", "Info"] as const;
export type AnalyzeLevel = (typeof analyzeLevels)[number];
