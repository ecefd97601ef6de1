/// What a server answers (RESP2 and RESP3, as Redis documents them).
package indirect enum RedisReply: Sendable, Hashable {
    case null
    case text(String)
    case error(String)
    case integer(Int64)
    case double(Double)
    case bool(Bool)
    case bytes([UInt8])
    case array([RedisReply])
    /// Keys and values in turns.
    case map([RedisReply])
    /// Not an answer: said by the server on its own.
    case push([RedisReply])
}

/// Reads replies off bytes as they come. What is begun is kept, so that a long reply that comes in many pieces is read once.
struct RedisReplyParser {
    /// Replies within replies.
    static let maxDepth = 32
    /// Elements of one array.
    static let maxElements = 1 << 20
    /// Bytes of a line with a length, a number or a short text.
    static let maxLineBytes = 64 << 10

    private enum Kind { case array, map, push, attribute }

    private struct Open {
        var kind: Kind
        var missing: Int
        var elements: [RedisReply] = []
    }

    private let maxBytes: Int
    private var buffer: [UInt8] = []
    private var position = 0
    private var open: [Open] = []
    /// Bytes of the reply that is being read.
    private var replyBytes = 0
    /// The bulk whose bytes are still coming: its length and type.
    private var bulk: (count: Int, type: UInt8)?

    init(maxBytes: Int) { self.maxBytes = maxBytes }

    mutating func add(_ bytes: some Sequence<UInt8>) { buffer.append(contentsOf: bytes) }

    /// The next whole reply; nil until more bytes have come. After an error nothing can be read any more.
    mutating func next() throws(RedisError) -> RedisReply? {
        while true {
            guard let value = try readValue() else {
                buffer.removeFirst(position)
                position = 0
                guard buffer.count + replyBytes <= maxBytes else { throw Self.bad("a reply is too long") }
                return nil
            }
            switch value {
            case .opened: continue
            case .reply(let reply):
                if let whole = close(reply) {
                    replyBytes = 0
                    return whole
                }
            }
        }
    }

    private enum Read {
        case reply(RedisReply)
        /// An array whose elements follow.
        case opened
    }

    /// Puts a reply where it belongs; the whole one once nothing is missing.
    private mutating func close(_ reply: RedisReply) -> RedisReply? {
        var reply = reply
        while !open.isEmpty {
            let last = open.count - 1
            open[last].elements.append(reply)
            open[last].missing -= 1
            guard open[last].missing == 0 else { return nil }
            let done = open.removeLast()
            switch done.kind {
            case .array: reply = .array(done.elements)
            case .map: reply = .map(done.elements)
            case .push: reply = .push(done.elements)
            // It says something about the reply behind it, which is the one that counts.
            case .attribute: return nil
            }
        }
        return reply
    }

    private mutating func readValue() throws(RedisError) -> Read? {
        if let bulk { return try readBulk(bulk.count, bulk.type) }
        guard let line = try readLine() else { return nil }
        guard let type = line.first else { throw Self.bad("a reply is empty") }
        let rest = line.dropFirst()
        func text() -> String { String(decoding: rest, as: UTF8.self) }
        switch type {
        case UInt8(ascii: "+"): return .reply(.text(text()))
        case UInt8(ascii: "-"): return .reply(.error(text()))
        case UInt8(ascii: ":"): return .reply(.integer(try number(rest)))
        case UInt8(ascii: "_"): return .reply(.null)
        case UInt8(ascii: "#"):
            guard rest.elementsEqual([UInt8(ascii: "t")]) || rest.elementsEqual([UInt8(ascii: "f")]) else {
                throw Self.bad("a boolean is none")
            }
            return .reply(.bool(rest.first == UInt8(ascii: "t")))
        case UInt8(ascii: ","):
            guard let value = Double(text()) else { throw Self.bad("a number is none") }
            return .reply(.double(value))
        case UInt8(ascii: "("): return .reply(.text(text()))
        case UInt8(ascii: "$"), UInt8(ascii: "="), UInt8(ascii: "!"):
            let count = try number(rest)
            if count == -1 { return .reply(.null) }
            guard count >= 0, count <= maxBytes - replyBytes else { throw Self.bad("a reply is too long") }
            bulk = (Int(count), type)
            return try readBulk(Int(count), type)
        case UInt8(ascii: "*"), UInt8(ascii: "~"): return try opened(.array, try number(rest))
        case UInt8(ascii: "%"):
            return try opened(.map, try number(rest).multipliedReportingOverflow(by: 2).partialValue)
        case UInt8(ascii: ">"): return try opened(.push, try number(rest))
        case UInt8(ascii: "|"):
            return try opened(.attribute, try number(rest).multipliedReportingOverflow(by: 2).partialValue)
        default: throw Self.bad("a reply has a type that is none")
        }
    }

    private mutating func opened(_ kind: Kind, _ count: Int64) throws(RedisError) -> Read {
        if count == -1 { return .reply(.null) }
        guard (0...Int64(Self.maxElements)).contains(count), open.count < Self.maxDepth else {
            throw Self.bad("a reply has too many elements")
        }
        guard count > 0 else {
            switch kind {
            case .array: return .reply(.array([]))
            case .map: return .reply(.map([]))
            case .push: return .reply(.push([]))
            case .attribute: return .opened
            }
        }
        open.append(Open(kind: kind, missing: Int(count)))
        return .opened
    }

    private mutating func readBulk(_ count: Int, _ type: UInt8) throws(RedisError) -> Read? {
        guard buffer.count - position >= count + 2 else { return nil }
        let end = position + count
        guard buffer[end] == UInt8(ascii: "\r"), buffer[end + 1] == UInt8(ascii: "\n") else {
            throw Self.bad("a reply does not end where it should")
        }
        let bytes = buffer[position..<end]
        position = end + 2
        replyBytes += count
        bulk = nil
        switch type {
        case UInt8(ascii: "!"): return .reply(.error(String(decoding: bytes, as: UTF8.self)))
        // Verbatim text begins with its format and a colon.
        case UInt8(ascii: "="): return .reply(.bytes(Array(bytes.dropFirst(4))))
        default: return .reply(.bytes(Array(bytes)))
        }
    }

    /// A line without its end.
    private mutating func readLine() throws(RedisError) -> ArraySlice<UInt8>? {
        let limit = min(buffer.count, position + Self.maxLineBytes)
        guard let feed = buffer[position..<limit].firstIndex(of: UInt8(ascii: "\n")) else {
            guard buffer.count - position < Self.maxLineBytes else { throw Self.bad("a line is too long") }
            return nil
        }
        guard feed > position, buffer[feed - 1] == UInt8(ascii: "\r") else {
            throw Self.bad("a line does not end as it should")
        }
        let line = buffer[position..<(feed - 1)]
        replyBytes += line.count
        guard replyBytes <= maxBytes else { throw Self.bad("a reply is too long") }
        position = feed + 1
        return line
    }

    private func number(_ digits: ArraySlice<UInt8>) throws(RedisError) -> Int64 {
        guard let value = Int64(String(decoding: digits, as: UTF8.self)) else {
            throw Self.bad("a length is no number")
        }
        return value
    }

    private static func bad(_ what: String) -> RedisError { RedisError(.badReply, "the Redis server: \(what)") }
}
