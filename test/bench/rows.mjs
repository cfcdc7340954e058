// All rows, in the order of the table. A row has a name (or several, `rows`, that are measured together), `metrics` (what its
// lines in the table are, with their goals), and `measure`, a generator that does the work with one variant, step by step, and
// emits the figures. `isOnce`: not repeated. `entries`: for which the kernel needs room.
import * as clean from "./rows/clean.mjs";
import * as client from "./rows/client.mjs";
import * as commit from "./rows/commit.mjs";
import * as dump from "./rows/dump.mjs";
import * as large from "./rows/large.mjs";
import * as latency from "./rows/latency.mjs";
import * as loss from "./rows/loss.mjs";
import * as overload from "./rows/overload.mjs";
import * as rate from "./rows/rate.mjs";
import * as stall from "./rows/stall.mjs";
import * as table from "./rows/table.mjs";

export const ROWS = [rate, clean, overload, latency, commit, stall, dump, table, loss, client, large];
