#!/usr/bin/env bash
# round.sh: one failover with a mixed table, and how much of it is the same afterwards.
#
# usage: test/fidelity/round.sh COUNT [FOLDER]     FOLDER keeps both dumps
#
#   LAB_DAEMON, LAB_CLIENT   the daemon under test (default: bin/ctsync -C), as in test/netns/run.sh
#
# Real connections of every kind that hosts can open here, held open (traffic.py, FTP sessions with and without NAT), and
# up to COUNT entries in all with what only many hosts, or none of this kernel, would open (table.py). Nothing moves any
# more when the primary is read and lost; the other node commits and is read. The last lines are those of compare.py;
# the exit status is 1 if anything that has to be equal is not.
# shellcheck disable=SC2317 # functions are called by name
set -u
FIDELITY=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/lab/lab.sh
. "$FIDELITY/../lab/lab.sh"
count=${1:?usage: round.sh COUNT [FOLDER]}
folder=${2:-}
lab_init

py() { local node=$1 script=$2; shift 2; in_ns "$node" "$LAB_PYTHON" "$FIDELITY/$script" "$@"; }
connections() { in_ns "$1" conntrack -C; }
held() { [ "$(ctl fw2 -e 2>/dev/null | wc -l)" -ge "$(($(connections fw1) - 2))" ]; }

# What happens to a connection goes by its destination port; the ports are those of traffic.py.
more_rules() {
	local v=$1 tool=iptables vip=$WAN_VIP4
	[ "$v" = 4 ] || { tool=ip6tables; vip="[$WAN_VIP6]"; }
	cat <<-RULES
		*raw
		-A PREROUTING -p tcp --dport 6017 -j CT --zone 11
		-A PREROUTING -p tcp --sport 6017 -j CT --zone 11
		-A PREROUTING -p udp --dport 7003 -j CT --zone 11
		-A PREROUTING -p udp --sport 7003 -j CT --zone 11
		-A PREROUTING -p tcp --dport 6018 -j CT --zone-orig 12
		-A PREROUTING -p tcp --dport 6019 -j CT --zone-reply 13
		-A PREROUTING -p tcp --sport 6019 -j CT --zone 13
		-A PREROUTING -p tcp --dport 6020 --syn -j CT --notrack
		COMMIT
		*mangle
		-A FORWARD -p tcp --dport 6014 -j CONNMARK --set-mark 0xdeadbeef
		-A FORWARD -p tcp --dport 6015 --syn -j CONNMARK --set-mark 5
		-A FORWARD -p tcp --dport 6015 --tcp-flags PSH PSH -j CONNMARK --set-mark 0
		COMMIT
		*filter
		-I INPUT -i lan0 -p tcp --dport 6020 -m conntrack --ctstate INVALID,UNTRACKED -j SYNPROXY --sack-perm --timestamp --wscale 7 --mss 1460
		-I FORWARD -j ACCEPT
		-I FORWARD -p tcp --dport 6020 -m conntrack --ctstate INVALID,UNTRACKED -j SYNPROXY --sack-perm --timestamp --wscale 7 --mss 1460
		COMMIT
		*nat
		-A POSTROUTING -o wan0 -p tcp --dport 6010 -j SNAT --to-source $vip:20000-29999
		-A POSTROUTING -o wan0 -p tcp --dport 6011 -j MASQUERADE --to-ports 30000-39999
		-A POSTROUTING -o wan0 -p udp --dport 7002 -j SNAT --to-source $vip:20000-29999
	RULES
	if [ "$v" = 4 ]; then
		cat <<-RULES
			-A PREROUTING -i lan0 -d $LAN_VIP4 -p tcp --dport 6012 -j DNAT --to-destination $SERVER4:6000
			-A PREROUTING -i lan0 -d $LAN_VIP4 -p tcp --dport 6013 -j DNAT --to-destination $SERVER4:6000
			-A POSTROUTING -o wan0 -p tcp -m conntrack --ctorigdstport 6013 -j SNAT --to-source $WAN_VIP4
			-A POSTROUTING -o wan0 -p tcp --dport 21 -j SNAT --to-source $WAN_VIP4
		RULES
	fi
	echo COMMIT
}

prepare() {
	local fw=$1
	in_ns "$fw" iptables-restore -n <(more_rules 4) && in_ns "$fw" ip6tables-restore -n <(more_rules 6) || die "no rules on $fw"
	# a rule that looks at labels makes the kernel keep them
	in_ns "$fw" nft -f - <<-RULES || die "no labels on $fw"
		table inet labels {
			chain forward {
				type filter hook forward priority 0
				tcp dport 6016 ct label set 24
			}
		}
	RULES
	in_ns "$fw" sh -c 'echo 0 >/proc/sys/net/netfilter/nf_conntrack_tcp_loose'
}

# session NAME HOST VERB: FTP up to an expectation that waits
session() { talk "$1" client ftp.py client "$2" login "$3" "$3" "hold:$LAB_TMP/never"; }
agreed() { said "$1" "^$2 ok" 2; }

LAB_OWN=replicated
is_ctsync && LAB_OPTIONS_EXTRA="Labels { $(seq -s " " 0 127) }"
lab_up none
prepare fw1
prepare fw2
daemons_up || die "the daemons do not start"

start=$(date +%s)
spawn serve server "$LAB_PYTHON" "$FIDELITY/traffic.py" serve
talk ftpd server ftp.py serve
wait_until 20 said serve listening || die "$(cat "$LAB_TMP/serve.err")"
wait_until 20 said ftpd listening
WITH_SYNPROXY=1 spawn traffic client "$LAB_PYTHON" "$FIDELITY/traffic.py" talk "$SERVER4" "$SERVER6" "$LAN_VIP4"
session ftp1 "$SERVER4" pasv
session ftp2 "$SERVER4" port
session ftp3 "$SERVER4" eprt
session ftp4 "$SERVER6" epsv
session ftp5 "$SERVER6" eprt
wait_until 60 said traffic ready || die "no traffic: $(cat "$LAB_TMP/traffic.err")"
for pair in "ftp1 pasv" "ftp2 port" "ftp3 eprt" "ftp4 epsv" "ftp5 eprt"; do
	# shellcheck disable=SC2086 # two words
	wait_until 30 agreed $pair || die "$pair: $(cat "$LAB_TMP/${pair% *}.out" "$LAB_TMP/${pair% *}.err")"
done
real=$(connections fw1)
py fw1 table.py make "$((count - real))" labels || die "the primary does not take the table"
for cable in client server; do ip -n "$LAB_ID-sw" link set $cable down; done
wait_until 60 held || echo "# the backup holds $(ctl fw2 -e 2>/dev/null | wc -l) of $(connections fw1)"
sleep 3

py fw1 compare.py dump "$LAB_TMP/before.json"
unplug fw1
take_over fw2
ctl fw2 -c >"$LAB_TMP/commit.out" 2>&1
py fw2 compare.py dump "$LAB_TMP/after.json"
elapsed=$(($(date +%s) - start + 1))
echo "# $real of them real; $(head -n 1 "$LAB_TMP/commit.out")"
py client compare.py diff "$LAB_TMP/before.json" "$LAB_TMP/after.json" "$elapsed"
status=$?
if [ -n "$folder" ]; then
	mkdir -p "$folder"
	cp "$LAB_TMP"/{before,after}.json "$LAB_TMP/commit.out" "$folder"
	daemon_log fw2 >"$folder/fw2.log"
fi
exit $status
