// A command line that cannot be understood.
import type { Command } from "./argv.ts";

/** The usage text is shown, and the message below it. */
export const usageError = (message: string): Command => ({ kind: "error", message, showUsage: true });
