// Builds src/system/native/*.c into build/ctsync.node with the C compiler alone. Node's headers come with
// Node itself (PREFIX/include/node), so nothing is downloaded and neither Python nor a C++ compiler is needed.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, realpathSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = join(root, "src/system/native");
const files = readdirSync(folder).map((name) => join(folder, name));
const target = join(root, "build/ctsync.node");

const prefix = dirname(dirname(realpathSync(process.execPath)));
const include = [process.env.CTSYNC_NODE_INCLUDE, join(prefix, "include/node"), "/usr/include/node"].find(
	(dir) => dir && existsSync(join(dir, "node_api.h")),
);
if (!include) {
	console.error(`build-native: node_api.h not found below ${prefix}/include/node: install Node's headers`);
	console.error("(Debian: libnode-dev) or name their folder in CTSYNC_NODE_INCLUDE");
	process.exit(1);
}

const built = existsSync(target) ? statSync(target).mtimeMs : 0;
const fresh = files.every((file) => statSync(file).mtimeMs < built);
if (!fresh) {
	mkdirSync(dirname(target), { recursive: true });
	const cc = process.env.CC || "cc";
	const flags = [
		"-std=gnu11",
		"-O2",
		"-g",
		"-fPIC",
		"-shared",
		"-Wall",
		"-Wextra",
		"-Werror",
		"-fvisibility=hidden",
	];
	const sources = files.filter((file) => file.endsWith(".c"));
	try {
		execFileSync(cc, [...flags, "-DNAPI_VERSION=8", `-I${include}`, ...sources, "-o", target], {
			stdio: "inherit",
		});
	} catch (error) {
		console.error(`build-native: ${cc} failed${error.code === "ENOENT" ? ": no C compiler found" : ""}`);
		process.exit(1);
	}
}
