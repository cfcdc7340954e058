// The expected elements were printed by conntrackd 1.4.7 with libnetfilter_conntrack 1.0.9, but for the escapes and
// the names of SCTP's states (the library takes those of TCP).
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Conntrack, conntrackToRecord, type Expectation, expectationToRecord } from "./conntrack.ts";
import { escapeXml, formatConntrackXml, formatExpectationXml } from "./format-xml.ts";
import { NameTable } from "./names.ts";
import { IPS_ASSURED, IPS_CONFIRMED, IPS_SEEN_REPLY } from "./status.ts";

const ASSURED = IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED;

const ftp: Conntrack = {
	family: "ipv4",
	protocol: 6,
	zoneOrig: 0,
	zoneReply: 0,
	orig: { src: "192.168.0.2", dst: "192.168.1.2", sport: 59856, dport: 21 },
	reply: { src: "192.168.1.2", dst: "192.168.1.100", sport: 21, dport: 59856 },
	status: ASSURED,
	id: 2116614087,
	tcp: { state: "ESTABLISHED", scaleOrig: 7, scaleReply: 7, flagsOrig: 0x23, flagsReply: 0x23 },
	helper: "ftp",
};

function xml(conntrack: Conntrack, options = { reply: true, id: true }): string {
	const names = new NameTable();
	return formatConntrackXml(conntrackToRecord(conntrack, names), names, options);
}

const ORIG =
	'<flow><meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>192.168.0.2</src><dst>192.168.1.2</dst></layer3><layer4 protonum="6" protoname="tcp"><sport>59856</sport><dport>21</dport></layer4></meta>';
const REPLY =
	'<meta direction="reply"><layer3 protonum="2" protoname="ipv4"><src>192.168.1.2</src><dst>192.168.1.100</dst></layer3><layer4 protonum="6" protoname="tcp"><sport>21</sport><dport>59856</dport></layer4></meta>';
const NO_REPLY =
	'<meta direction="reply"><layer3 protonum="0" protoname="unknown"><src></src><dst></dst></layer3><layer4 protonum="0" protoname="unknown"></layer4></meta>';

test("the element of a conntrack with its reply tuple and id is conntrackd's", () => {
	assert.equal(
		xml(ftp),
		`${ORIG}${REPLY}<meta direction="independent"><state>ESTABLISHED</state><id>2116614087</id><assured/></meta><helper>ftp</helper></flow>`,
	);
});

test("the reply part is there but empty when it is not shown or not known", () => {
	const text = `${ORIG}${NO_REPLY}<meta direction="independent"><state>ESTABLISHED</state><assured/></meta><helper>ftp</helper></flow>`;
	assert.equal(xml(ftp, { reply: false, id: false }), text);
	const { reply, ...unknown } = ftp;
	assert.equal(xml(unknown, { reply: true, id: false }), text);
});

test("state, mark, zone, id and status have a fixed order", () => {
	const text = xml({ ...ftp, status: IPS_ASSURED, mark: 4294967280, zoneOrig: 7, zoneReply: 7 });
	assert.ok(
		text.includes(
			'<meta direction="independent"><state>ESTABLISHED</state><mark>4294967280</mark><zone>7</zone><id>2116614087</id><assured/><unreplied/></meta>',
		),
	);
});

test("a zone of one direction stands in the part of that direction", () => {
	assert.match(xml({ ...ftp, zoneOrig: 8 }), /<\/layer4><zone>8<\/zone><\/meta><meta direction="reply">/);
	assert.match(
		xml({ ...ftp, zoneReply: 9 }),
		/<\/layer4><zone>9<\/zone><\/meta><meta direction="independent">/,
	);
});

test("the independent part is left out only when nothing is known of it", () => {
	const { status, id, tcp, helper, ...bare } = ftp;
	assert.equal(xml(bare), `${ORIG}${REPLY}</flow>`);
	assert.equal(
		xml({ ...bare, status: IPS_SEEN_REPLY }),
		`${ORIG}${REPLY}<meta direction="independent"></meta></flow>`,
	);
	assert.equal(xml({ ...bare, helper: "ftp" }), `${ORIG}${REPLY}<helper>ftp</helper></flow>`);
});

test("GRE has keys, ICMP and unknown protocols have an empty layer 4", () => {
	const gre = xml({
		...ftp,
		protocol: 47,
		orig: { src: "1.1.1.1", dst: "2.2.2.2", srcKey: 0x10, dstKey: 0xab },
		reply: { src: "2.2.2.2", dst: "1.1.1.1", srcKey: 0xab, dstKey: 0x10 },
	});
	assert.match(
		gre,
		/<layer4 protonum="47" protoname="gre"><srckey>0x10<\/srckey><dstkey>0xab<\/dstkey><\/layer4>/,
	);
	const icmp = xml({
		...ftp,
		family: "ipv6",
		protocol: 58,
		orig: { src: "fd00::1", dst: "fd00::2", icmpType: 128, icmpCode: 0, icmpId: 7 },
		reply: { src: "fd00::2", dst: "fd00::1", icmpType: 129, icmpCode: 0, icmpId: 7 },
	});
	assert.match(
		icmp,
		/<layer3 protonum="10" protoname="ipv6"><src>fd00::1<\/src><dst>fd00::2<\/dst><\/layer3><layer4 protonum="58" protoname="icmpv6"><\/layer4>/,
	);
	const ospf = { src: "1.1.1.1", dst: "2.2.2.2" };
	assert.match(
		xml({ ...ftp, protocol: 89, orig: ospf, reply: ospf }),
		/<layer4 protonum="89" protoname="unknown"><\/layer4>/,
	);
});

test("SCTP's states have SCTP's names", () => {
	const { tcp, ...rest } = ftp;
	const text = xml({ ...rest, protocol: 132, sctp: { state: "COOKIE_WAIT", vtagOrig: 1, vtagReply: 2 } });
	assert.match(text, /<state>COOKIE_WAIT<\/state>/);
});

const expectation: Expectation = {
	family: "ipv4",
	protocol: 6,
	zone: 0,
	src: "192.168.0.2",
	dst: "192.168.1.2",
	sport: 0,
	dport: 40515,
	mask: {
		family: "ipv4",
		protocol: 6,
		src: "255.255.255.255",
		dst: "255.255.255.255",
		sport: 0,
		dport: 65535,
	},
	master: { family: "ipv4", protocol: 6, src: "192.168.0.2", dst: "192.168.1.2", sport: 59856, dport: 21 },
	class: 0,
	helper: "ftp",
};

function expectationXml(changes: Partial<Expectation>): string {
	const names = new NameTable();
	return formatExpectationXml(expectationToRecord({ ...expectation, ...changes }, names), names);
}

test("the element of an expectation is conntrackd's", () => {
	assert.equal(
		expectationXml({}),
		'<flow><layer3 protonum="2" protoname="ipv4"><expected><src>192.168.0.2</src><dst>192.168.1.2</dst></expected><mask><src>255.255.255.255</src><dst>255.255.255.255</dst></mask><master><src>192.168.0.2</src><dst>192.168.1.2</dst></master></layer3><layer4 protonum="6" protoname="tcp"><expected><sport>0</sport><dport>40515</dport></expected><mask><sport>0</sport><dport>65535</dport></mask><master><sport>59856</sport><dport>21</dport></master></layer4><meta><helper-name>ftp</helper-name><class>0</class></meta></flow>',
	);
});

test("zone and flags of an expectation follow its class", () => {
	assert.match(
		expectationXml({ zone: 7, flags: 7 }),
		/<class>0<\/class><zone>7<\/zone><permanent\/><inactive\/><userspace\/><\/meta><\/flow>$/,
	);
	const { class: _, helper, ...rest } = expectation;
	const names = new NameTable();
	assert.match(formatExpectationXml(expectationToRecord(rest, names), names), /<meta><\/meta><\/flow>$/);
});

test("the names of helpers are escaped", () => {
	assert.match(xml({ ...ftp, helper: `<a&"b">'` }), /<helper>&lt;a&amp;&quot;b&quot;&gt;&apos;<\/helper>/);
	assert.match(expectationXml({ helper: "a<b" }), /<helper-name>a&lt;b<\/helper-name>/);
	assert.equal(escapeXml("a\u0000b\nc\u00e9\ud800"), "a?b?c\u00e9?", "an element stays one line of XML 1.0");
});
