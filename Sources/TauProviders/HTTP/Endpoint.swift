/// The address of a model server, as users configure it.
struct Endpoint: Sendable, Hashable {
    /// Without a slash at its end.
    let base: String
    /// For messages and comparisons; never has the user or password that an address may hold.
    let host: String

    /// Accepts `http` and `https` addresses with a host, and neither a query nor blanks.
    init?(_ text: String) {
        let isPlain = text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } && !text.contains { $0 == "?" || $0 == "#" }
        guard isPlain, let separator = text.firstRange(of: "://") else { return nil }
        let scheme = text[..<separator.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https" else { return nil }
        let authority = text[separator.upperBound...].prefix { $0 != "/" }
        let address = authority.split(separator: "@", omittingEmptySubsequences: false).last ?? ""
        let name = address.hasPrefix("[") ? address.prefix { $0 != "]" } + "]" : address.prefix { $0 != ":" }
        guard !name.isEmpty, name != "[]" else { return nil }
        var base = Substring(text)
        while base.hasSuffix("/") { base.removeLast() }
        self.base = String(base)
        host = name.lowercased()
    }

    /// Nothing follows the host.
    var hasPath: Bool { base.split(separator: "/", omittingEmptySubsequences: true).count > 2 }

    func url(_ path: String) -> String { base + path }
}
