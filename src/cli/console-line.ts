// The dress of every line for a console or a log: `[Sat Nov  1 21:42:47 2026] (pid=26614) [ERROR] text`.

/** As they are written: scripts look for them. */
export type Level = "notice" | "warning" | "ERROR";

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Local time as ctime(3) writes it, without its newline. */
export function formatTime(date: Date): string {
	const two = (number: number) => String(number).padStart(2, "0");
	const day = String(date.getDate()).padStart(2);
	const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
	return `${DAYS[date.getDay()]} ${MONTHS[date.getMonth()]} ${day} ${time} ${date.getFullYear()}`;
}

/** One line per line of `text`, each ended by a newline. */
export function formatConsoleLines(level: Level, text: string, date: Date, pid: number): string {
	const dress = `[${formatTime(date)}] (pid=${pid}) [${level}] `;
	return text
		.split("\n")
		.map((line) => `${dress}${line}\n`)
		.join("");
}
