import Testing

@testable import TauHTTP

@Suite struct ClientAddressTests {
    @Test(arguments: [
        ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false), ("10.1.2.3", "10.1.2.3", true),
        ("10.1.2.3", "10.1.2.4", false), ("0.0.0.0/0", "203.0.113.9", true), ("192.168.4.0/22", "192.168.7.255", true),
        ("192.168.4.0/22", "192.168.8.0", false), ("fd00::/8", "fd12::1", true), ("fd00::/8", "fe00::1", false),
        ("::/0", "10.0.0.1", false), ("10.0.0.0/8", "::ffff:10.1.1.1", true), ("fe80::/10", "fe80::1%eth0", true),
    ])
    func `a range holds what begins with its bits`(_ range: String, _ address: String, _ isInside: Bool) throws {
        let range = try #require(NetworkRange(range))
        #expect(range.contains(try #require(NetworkAddress(address))) == isInside)
    }

    @Test(arguments: [
        "", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0/8", "host", "::/129", "10.0.0.0/8/8",
        "/8",
        "10.0.0.0/99999999999999999999", "010.0.0.1", " 10.0.0.1",
    ])
    func `what is no range is refused`(_ text: String) { #expect(NetworkRange(text) == nil) }

    @Test(arguments: [
        // Nobody is believed who is no proxy of ours.
        ("203.0.113.5", ["198.51.100.1"], "203.0.113.5"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        // What stands before the last foreign address anybody may have written.
        ("10.0.0.1", ["127.0.0.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1 ,\t10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1,"], "10.0.0.1"),
        ("10.0.0.1", ["2001:db8::7"], "2001:db8::7"),
    ])
    func `the client is the last who is no proxy of ours`(_ peer: String, _ fields: [String], _ expected: String) throws
    {
        let addresses = ClientAddress(trustedProxies: [try #require(NetworkRange("10.0.0.0/8"))])
        #expect(addresses.of(peer: peer, forwardedFor: fields) == NetworkAddress(expected))
    }

    @Test func `a subscriber of IPv6 is one, whatever address of theirs is used`() throws {
        let one = try #require(NetworkAddress("2001:db8:1:2::1"))
        let other = try #require(NetworkAddress("2001:db8:1:2:ffff::9"))
        let stranger = try #require(NetworkAddress("2001:db8:1:3::1"))
        #expect(one.subscriber == other.subscriber)
        #expect(one.subscriber != stranger.subscriber)
        #expect(NetworkAddress("10.0.0.1")?.subscriber == NetworkAddress("::ffff:10.0.0.1")?.subscriber)
        #expect(ClientAddress(trustedProxies: []).of(peer: nil, forwardedFor: ["1.1.1.1"]) == nil)
    }
}
