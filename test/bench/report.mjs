// Medians of what was measured, judged by the goals, as a table in markdown.

/** What a goal is compared with, and how it is written. */
const GOALS = {
	/** ctsync is at most so much of conntrackd. */
	ratio: {
		text: (x) => `≤ ${x}x`,
		isMet: (x, { ctsync, conntrackd }) => ctsync / conntrackd <= x,
		needs: ["conntrackd"],
	},
	/** ctsync is at least so much of conntrackd. */
	atLeast: {
		text: (x) => `≥ ${x}x`,
		isMet: (x, { ctsync, conntrackd }) => ctsync / conntrackd >= x,
		needs: ["conntrackd"],
	},
	/** ctsync is at most so much of the floor. */
	floor: {
		text: (x) => `≤ ${x}x floor`,
		isMet: (x, { ctsync, floor }) => ctsync / floor <= x,
		needs: ["floor"],
	},
	/** ctsync needs at most that, in the row's unit. */
	most: { text: (x, unit) => `≤ ${x} ${unit}`, isMet: (x, { ctsync }) => ctsync <= x, needs: [] },
};

export function median(values) {
	const sorted = values.toSorted((a, b) => a - b);
	const half = sorted.length >> 1;
	return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** Three digits that count. */
export function digits(value) {
	if (value === undefined || Number.isNaN(value)) return "-";
	if (value === 0) return "0";
	const places = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
	return value.toFixed(Math.min(places, 3));
}

const ratio = (one, other) => (one === undefined || !other ? "-" : (one / other).toFixed(2));

/** The samples of one metric by variant: median, how many were complete, and whether it is not available. */
function summarise(samples) {
	const found = {};
	for (const variant of new Set(samples.map((sample) => sample.variant))) {
		const own = samples.filter((sample) => sample.variant === variant);
		const values = own.filter((sample) => sample.value !== null).map((sample) => sample.value);
		found[variant] = {
			value: values.length ? median(values) : undefined,
			incomplete: own.filter((sample) => sample.isComplete === false).length,
			count: own.length,
		};
	}
	return found;
}

function cell(summary) {
	if (!summary) return "-";
	if (summary.value === undefined) return "not available";
	const note = summary.incomplete ? ` (${summary.incomplete} of ${summary.count} incomplete)` : "";
	return digits(summary.value) + note;
}

function verdict(metric, found) {
	const { ctsync } = found;
	if (!metric.goals.length || !ctsync) return "";
	if (ctsync.value === undefined) return "not available";
	if (ctsync.incomplete) return "no (incomplete)";
	const values = Object.fromEntries(Object.entries(found).map(([variant, { value }]) => [variant, value]));
	const parts = metric.goals.map((goal) => {
		const [[kind, bound]] = Object.entries(goal);
		if (GOALS[kind].needs.some((variant) => values[variant] === undefined)) return "?";
		return GOALS[kind].isMet(bound, values) ? "yes" : "no";
	});
	return parts.includes("no") ? "no" : parts.includes("?") ? "?" : "yes";
}

const goalText = ({ goals, unit }) =>
	goals.map((goal) => Object.entries(goal).map(([kind, bound]) => GOALS[kind].text(bound, unit))).join(", ");

/** @param metrics what was asked for @param samples all lines @param variants in their order */
export function table(metrics, samples, variants) {
	const daemons = variants.filter((variant) => variant !== "floor");
	const heads = ["row", "unit", ...daemons, "ctsync/conntrackd"];
	if (variants.includes("other")) heads.push("ctsync/other");
	heads.push("goal", "floor", "sealed/unsealed", "met");
	const lines = [heads, heads.map(() => "---")];
	for (const metric of metrics) {
		const found = summarise(samples.filter((sample) => sample.metric === metric.id));
		if (!Object.keys(found).length) continue;
		const value = (variant) => found[variant]?.value;
		const line = [metric.text, metric.unit, ...daemons.map((variant) => cell(found[variant]))];
		line.push(ratio(value("ctsync"), value("conntrackd")));
		if (variants.includes("other")) line.push(ratio(value("ctsync"), value("other")));
		line.push(
			goalText(metric),
			digits(value("floor")),
			ratio(value("sealed"), value("ctsync")),
			verdict(metric, found),
		);
		lines.push(line);
	}
	return `${lines.map((line) => `| ${line.join(" | ")} |`).join("\n")}\n`;
}

/** The same for a terminal: columns one below the other. */
export function aligned(markdown) {
	const rows = markdown
		.trim()
		.split("\n")
		.filter((line) => !line.startsWith("| ---"))
		.map((line) => line.slice(2, -2).split(" | "));
	const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
	return rows
		.map((row) =>
			row
				.map((text, column) => text.padEnd(widths[column]))
				.join("  ")
				.trimEnd(),
		)
		.join("\n");
}
