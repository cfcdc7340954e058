# shellcheck shell=bash
# helper-rules.sh: helpers for what a replicated expectation lets in. Netlink cannot give an expectation the helper of its
# child, and "iptables -j CT" and everything else before connection tracking does not reach an expected connection: the
# rule has to stand behind it. The ports are those of test/lab/sip.py and h323.py.

# helper_rules_behind NODE
helper_rules_behind() {
	in_ns "$1" nft -f - <<-RULES
		table inet helpers {
			ct helper sip-udp { type "sip" protocol udp; }
			ct helper sip-tcp { type "sip" protocol tcp; }
			ct helper q931 { type "Q.931" protocol tcp; }
			chain behind {
				type filter hook prerouting priority mangle;
				ct state related udp dport 5062 ct helper set "sip-udp"
				ct state related tcp dport 5062 ct helper set "sip-tcp"
				ct state related tcp dport 12720 ct helper set "q931"
			}
		}
	RULES
}
