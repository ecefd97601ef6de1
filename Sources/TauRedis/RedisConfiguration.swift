/// Where a Redis server is, and how it is spoken to.
package struct RedisConfiguration: Sendable {
    package var host: String
    package var port: Int
    package var usesTLS: Bool
    /// Nil for the server's default user.
    package var user: String?
    package var password: String?
    package var database: Int
    /// A file of certificates (PEM) that a server's is checked against; nil for the system's.
    package var trustRootsPath: String?
    /// 3 where the server speaks it, else 2; or what the URL says.
    package var protocolVersion: Int?
    package var connectTimeoutMilliseconds = 2000
    /// Bytes of one reply.
    package var maxReplyBytes = 64 << 20
    /// Commands that wait for their replies; further ones are refused.
    package var maxPendingCommands = 10_000
    /// Milliseconds after a failed attempt to connect during which no other is made; doubled with each failure.
    package var minBackoffMilliseconds = 100
    package var maxBackoffMilliseconds = 10_000

    /// Reads `redis://user:password@host:port/database`, or `rediss://…` for TLS, with `?protocol=2` or `3`.
    package init(url: String) throws(RedisError) {
        guard let scheme = url.firstRange(of: "://"), ["redis", "rediss"].contains(url[..<scheme.lowerBound]) else {
            throw RedisError(.badConfiguration, "a Redis URL begins with redis:// or rediss://")
        }
        usesTLS = url.hasPrefix("rediss")
        let (rest, query) = Self.split(url[scheme.upperBound...], at: "?")
        let (authority, path) = Self.split(rest, at: "/")
        var place = authority
        user = nil
        password = nil
        if let at = authority.lastIndex(of: "@") {
            let (name, secret) = Self.split(authority[..<at], at: ":")
            user = name.isEmpty ? nil : try Self.decoded(name)
            password = try secret.map(Self.decoded)
            place = authority[authority.index(after: at)...]
        }
        port = 6379
        // The colons of an IPv6 address stand between brackets.
        if let colon = place.lastIndex(of: ":"), !place[colon...].contains("]") {
            guard let number = Int(place[place.index(after: colon)...]), (1...65_535).contains(number) else {
                throw RedisError(.badConfiguration, "the port in the Redis URL is none")
            }
            port = number
            place = place[..<colon]
        }
        host = place.isEmpty ? "127.0.0.1" : place.filter { $0 != "[" && $0 != "]" }
        database = 0
        if let path, !path.isEmpty {
            guard let number = Int(path), number >= 0 else {
                throw RedisError(.badConfiguration, "the database in the Redis URL is no number")
            }
            database = number
        }
        for option in query?.split(separator: "&") ?? [] {
            guard option == "protocol=2" || option == "protocol=3" else {
                throw RedisError(
                    .badConfiguration, "the Redis URL has an option that is none; there is protocol=2 or 3")
            }
            protocolVersion = option.hasSuffix("2") ? 2 : 3
        }
    }

    private static func split(_ text: Substring, at mark: Character) -> (Substring, Substring?) {
        guard let index = text.firstIndex(of: mark) else { return (text, nil) }
        return (text[..<index], text[text.index(after: index)...])
    }

    /// Undoes percent encoding (RFC 3986, 2.1).
    private static func decoded(_ text: Substring) throws(RedisError) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16), rest.count >= 2 else {
                throw RedisError(.badConfiguration, "the Redis URL has a percent sign without two digits")
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Why a command failed.
package struct RedisError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        case badConfiguration
        /// No connection could be made, and none is tried for a while.
        case unavailable
        /// The connection broke; where the command was sent it may have been executed.
        case connectionLost(wasSent: Bool)
        case timedOut
        case cancelled
        /// Too many commands wait.
        case overloaded
        /// The server refused the command, with the first word of its reply, such as `WRONGTYPE`.
        case refused(String)
        /// The server said what is no reply, or too long a one.
        case badReply
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
