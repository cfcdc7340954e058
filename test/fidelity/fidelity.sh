#!/usr/bin/env bash
# fidelity.sh: how much of a mixed table is the same after a failover, field by field, with ctsync and with conntrackd.
#
# usage: test/fidelity/fidelity.sh [COUNT]        default: 10000 entries
#
# Prints a table in Markdown; round.sh tells what is done, compare.py what counts. The exit status is that of ctsync's round.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
count=${1:-10000}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$here/round.sh" "$count" >"$out/ctsync" 2>&1
status=$?
columns=(ctsync)
if command -v conntrackd >/dev/null; then
	LAB_DAEMON='conntrackd -C' LAB_CLIENT='conntrackd -C' "$here/round.sh" "$count" >"$out/conntrackd" 2>&1
	columns+=(conntrackd)
fi
for daemon in "${columns[@]}"; do
	grep -q ' of .* %' "$out/$daemon" || { echo "no result with $daemon:"; cat "$out/$daemon"; exit 1; }
	sed "s/^/# $daemon: /" <(grep -E '^(made|#|less|all|[0-9]+ connections are)' "$out/$daemon")
done
awk -v names="${columns[*]}" '
	/ of .* %/ {
		field = $0; sub(/ +[0-9]+ of .*/, "", field)
		match($0, /[0-9]+ of +[0-9]+/); split(substr($0, RSTART, RLENGTH), n, / of +/)
		if (!(field in seen)) { seen[field] = 1; order[++fields] = field }
		# never 100 while one differs
		share = n[2] ? int(n[1] / n[2] * 100000) / 1000 : 100
		cell[FILENAME, field] = sprintf("%s %% (%d of %d)", share, n[1], n[2])
		if (/\(apart\)/) apart[field] = " *"
	}
	END {
		columns = split(names, name, " ")
		line = "| field |"; rule = "|---|"
		for (i = 1; i <= columns; i++) { line = line " " name[i] " |"; rule = rule "---|" }
		print line; print rule
		for (f = 1; f <= fields; f++) {
			line = "| " order[f] apart[order[f]] " |"
			for (i = 1; i <= columns; i++) line = line " " cell[ARGV[i], order[f]] " |"
			print line
		}
	}' "${columns[@]/#/$out/}"
exit $status
