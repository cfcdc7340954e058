// For tests: parts of a configuration from their text.
import type { Config, GeneralConfig } from "./config.ts";
import { formatProblem, parseConfig } from "./config.ts";

export const parse = (text: string): Config => parseConfig(text, "f").config;
export const warningsOf = (text: string): string[] =>
	parseConfig(text, "f").warnings.map((warning) => formatProblem(warning));

export const MULTICAST = "Multicast { IPv4_address 225.0.0.50 Group 3780 Interface eth3 }";
export const sync = (content: string, links = MULTICAST): NonNullable<Config["sync"]> =>
	parse(`Sync { ${content} ${links} }`).sync!;
export const general = (content: string): GeneralConfig => parse(`General { ${content} }`).general;
