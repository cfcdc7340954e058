// All rows, in the order of the table. A row has a name (or several, `rows`, that are measured together), metrics (what its
// lines in the table are, with their goals), and measure, which does the work with one variant and emits the figures.
import * as commit from "./rows/commit.mjs";
import * as rate from "./rows/rate.mjs";
import * as table from "./rows/table.mjs";

export const ROWS = [{ ...rate, rows: ["rate", "wire", "packet"] }, commit, table];
