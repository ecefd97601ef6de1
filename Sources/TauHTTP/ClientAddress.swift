internal import Glibc
internal import HTTPTypes

/// A network address as bytes: 4 of IPv4, 16 of IPv6. An IPv4 address that is mapped into IPv6 is the IPv4 address.
struct NetworkAddress: Hashable, Sendable {
    let bytes: [UInt8]

    /// Reads the numeric form; nil for anything else, also for names.
    init?(_ text: some StringProtocol) {
        // A link's name, as in fe80::1%eth0, is no part of the address.
        let text = String(text.prefix { $0 != "%" })
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            bytes = withUnsafeBytes(of: four) { Array($0) }
            return
        }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        let all = withUnsafeBytes(of: six) { Array($0) }
        let isMapped = all.prefix(10).allSatisfy { $0 == 0 } && all[10] == 0xFF && all[11] == 0xFF
        bytes = isMapped ? Array(all[12...]) : all
    }

    /// Who is taken for one: an IPv4 address, or the 64 bits of IPv6 that a network's subscriber gets.
    var subscriber: String {
        let digits = Array("0123456789abcdef".utf8)
        let shown = bytes.count == 4 ? bytes : Array(bytes.prefix(8))
        return String(decoding: shown.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}

/// Addresses that begin with the same bits, as `10.0.0.0/8`, or one address.
package struct NetworkRange: Hashable, Sendable {
    private let start: [UInt8]
    private let bits: Int

    /// Nil for what is no range.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = NetworkAddress(parts[0]) else { return nil }
        start = address.bytes
        guard parts.count == 2 else {
            bits = 8 * start.count
            return
        }
        guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let bits = Int(parts[1]),
            bits <= 8 * start.count
        else { return nil }
        self.bits = bits
    }

    func contains(_ address: NetworkAddress) -> Bool {
        guard address.bytes.count == start.count else { return false }
        let whole = bits / 8
        guard address.bytes.prefix(whole).elementsEqual(start.prefix(whole)) else { return false }
        let rest = bits % 8
        return rest == 0 || (address.bytes[whole] ^ start[whole]) >> (8 - rest) == 0
    }
}

/// Tells who is at the other end of a request.
struct ClientAddress: Sendable {
    /// Proxies whose word counts (`http.trustedProxies`).
    let trustedProxies: [NetworkRange]

    /// The last address that no proxy of ours is, seen from here. What a client writes into `X-Forwarded-For` itself stands before that,
    /// and is never looked at.
    func of(peer: String?, forwardedFor fields: [String]) -> NetworkAddress? {
        guard let peer, var address = NetworkAddress(peer) else { return nil }
        var hops = fields.flatMap { $0.split(separator: ",", omittingEmptySubsequences: false) }
        while isTrusted(address), let hop = hops.popLast() {
            guard let next = NetworkAddress(Self.trimmed(hop)) else { break }
            address = next
        }
        return address
    }

    private func isTrusted(_ address: NetworkAddress) -> Bool {
        trustedProxies.contains { $0.contains(address) }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        let start = text.drop { $0 == " " || $0 == "\t" }
        return start[..<(start.lastIndex { $0 != " " && $0 != "\t" }.map(start.index(after:)) ?? start.startIndex)]
    }
}
