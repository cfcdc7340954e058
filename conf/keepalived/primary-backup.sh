#!/bin/sh
# Tells ctsync that keepalived has given this node another role.
#
# usage: primary-backup.sh primary|backup|fault
#
# keepalived calls it from the notify_master, notify_backup and notify_fault lines of a vrrp_sync_group; see
# keepalived.conf beside this file. Other cluster managers can call it in the same way. Each step that fails is told to
# syslog and to stderr. The exit status is 0 if all steps succeeded and 1 if one failed or the role is unknown.
#
# These may be set in the environment:
CTSYNC_BIN=${CTSYNC_BIN:-ctsync}
CTSYNC_CONFIG=${CTSYNC_CONFIG:-} # without it, the file that ctsync itself would take

failed=0

# say PRIORITY TEXT
say() {
	logger -t ctsync-role -p "daemon.$1" -- "$2" 2>/dev/null
	echo "ctsync-role: $2" >&2
}

client() { "$CTSYNC_BIN" ${CTSYNC_CONFIG:+-C "$CTSYNC_CONFIG"} "$@"; }

# step PURPOSE ARGUMENTS: a failed step is reported and does not keep the following ones from being tried
step() {
	purpose=$1
	shift
	if ! client "$@"; then
		failed=1
		say err "$role: cannot $purpose ($CTSYNC_BIN $*)"
	fi
}

role=${1:-}
case $role in
primary)
	# Packets of the other node's connections may arrive at any moment, so the commit comes before everything else.
	step "commit the peer's connections to the kernel" -c
	# They are this node's own from here on: start both caches afresh, from the kernel, and let the backup know.
	step "empty the caches" -f
	step "read the kernel's table" -R
	step "send the table to the backup" -B
	;;
backup)
	# A backup without a daemon would have nothing to commit when it is needed.
	if ! client -s >/dev/null 2>&1; then
		say warning "backup: ctsync does not answer, starting it"
		step "start ctsync" -d
	fi
	# The connections go on at the new primary; what the kernel here still knows of them is out of date soon.
	step "schedule the removal of left-over entries" -t
	step "ask the primary for its table" -n
	;;
fault)
	step "schedule the removal of left-over entries" -t
	;;
*)
	say err "unknown role '$role'; usage: $0 primary|backup|fault"
	exit 1
	;;
esac

[ $failed -eq 0 ] && say info "$role: done"
exit $failed
