import TauTestKit
import Testing

@testable import TauRedis

@Suite struct RedisReplyParserTests {
    private static let replies: [(text: String, reply: RedisReply)] = [
        ("+OK\r\n", .text("OK")), ("-ERR no\r\n", .error("ERR no")), (":-12\r\n", .integer(-12)),
        ("$5\r\na\r\nbc\r\n", .bytes(Array("a\r\nbc".utf8))), ("$0\r\n\r\n", .bytes([])), ("$-1\r\n", .null),
        ("*-1\r\n", .null), ("_\r\n", .null), ("#t\r\n", .bool(true)), ("#f\r\n", .bool(false)),
        (",1.5\r\n", .double(1.5)), (",inf\r\n", .double(.infinity)),
        ("(123456789012345678901\r\n", .text("123456789012345678901")),
        ("=7\r\ntxt:abc\r\n", .bytes(Array("abc".utf8))), ("!5\r\nERR x\r\n", .error("ERR x")),
        ("*2\r\n:1\r\n*1\r\n+a\r\n", .array([.integer(1), .array([.text("a")])])), ("*0\r\n", .array([])),
        ("%1\r\n+k\r\n:1\r\n", .map([.text("k"), .integer(1)])), ("~1\r\n:1\r\n", .array([.integer(1)])),
        (">1\r\n+m\r\n", .push([.text("m")])), ("|1\r\n+ttl\r\n:9\r\n:5\r\n", .integer(5)),
        ("*1\r\n|1\r\n+ttl\r\n:9\r\n:5\r\n", .array([.integer(5)])),
    ]

    @Test func `replies are read however they are cut`() throws {
        let all = Self.replies.flatMap { Array($0.text.utf8) }
        for size in 1...all.count {
            var parser = RedisReplyParser(maxBytes: 1 << 20)
            var found: [RedisReply] = []
            var start = 0
            while start < all.count {
                let end = min(all.count, start + size)
                parser.add(all[start..<end])
                while let reply = try parser.next() { found.append(reply) }
                start = end
            }
            #expect(found == Self.replies.map(\.reply), "in pieces of \(size)")
        }
    }

    @Test(arguments: [
        "x\r\n", "\r\n", "+a\n", ":1x\r\n", "$3\r\nabcd\r\n", "$99999999999\r\n", "$-2\r\n", "*1048577\r\n", "*-2\r\n",
        "#x\r\n", ",x\r\n", "%4611686018427387905\r\n", String(repeating: "*1\r\n", count: 40),
    ])
    func `what is no reply ends it`(_ text: String) {
        var parser = RedisReplyParser(maxBytes: 1 << 20)
        parser.add(text.utf8)
        #expect(throws: RedisError.self) {
            while try parser.next() != nil {}
            Issue.record("\(text) was taken for a reply")
        }
    }

    @Test func `a reply has a bound`() {
        var parser = RedisReplyParser(maxBytes: 1000)
        #expect(throws: RedisError.self) {
            parser.add("*1000\r\n".utf8)
            for _ in 0..<1000 {
                parser.add("$10\r\n0123456789\r\n".utf8)
                _ = try parser.next()
            }
        }
        var line = RedisReplyParser(maxBytes: 1 << 20)
        #expect(throws: RedisError.self) {
            line.add(String(repeating: "x", count: 70_000).utf8)
            _ = try line.next()
        }
    }

    @Test func `random bytes never crash it`() {
        var random = SeededGenerator(seed: 7)
        let alphabet = Array("*$+-:_#,(!=%~>|\r\n0123456789tfx".utf8)
        for _ in 0..<20_000 {
            var parser = RedisReplyParser(maxBytes: 10_000)
            parser.add(
                (0..<Int.random(in: 1...40, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? 0 })
            while let reply = try? parser.next() { _ = reply }
        }
    }
}
