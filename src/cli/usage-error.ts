// A command line that cannot be understood.
import type { Command } from "./argv.ts";

/** The message is shown, and below it where it stands how the program is used. */
export const usageError = (message: string): Command => ({ kind: "error", message, pointsToHelp: true });
