import Glibc
import TauTestKit
import Testing

@testable import TauRedis

@Suite(.ownThreads, .timeLimit(.minutes(2))) struct RedisClientTests {
    private static func client(
        _ url: String, _ change: (inout RedisConfiguration) -> Void = { _ in }
    ) throws -> RedisClient {
        var configuration = try RedisConfiguration(url: url)
        configuration.minBackoffMilliseconds = 5
        configuration.maxBackoffMilliseconds = 20
        change(&configuration)
        return RedisClient(configuration)
    }

    @Test(arguments: ["", "/3", "?protocol=2", "/2?protocol=3"])
    func `values come back, in both protocols and any database`(_ options: String) async throws {
        let server = try RedisServer(password: "se%:cret")
        let client = try Self.client(server.url(password: "se%25%3Acret", options: options))
        let value = (0..<5_000_000).map { UInt8(truncatingIfNeeded: $0) }
        try await client.set("k", value, seconds: 100, milliseconds: 10_000)
        #expect(try await client.get("k", milliseconds: 10_000) == value)
        #expect(try await client.get("nothing", milliseconds: 10_000) == nil)
        try await client.delete(["k"], milliseconds: 10_000)
        #expect(try await client.get("k", milliseconds: 10_000) == nil)
        let error = await #expect(throws: RedisError.self) {
            try await client.command([Array("NONSENSE".utf8)], milliseconds: 10_000)
        }
        #expect(error?.code == .refused("ERR"))
        await client.close()
    }

    @Test func `TLS is spoken, and a certificate that nobody vouches for is refused`() async throws {
        let server = try RedisServer(usesTLS: true)
        let client = try Self.client(server.url()) { $0.trustRootsPath = server.certificatePath }
        try await client.ping(milliseconds: 10_000)
        await client.close()
        let stranger = try Self.client(server.url())
        let error = await #expect(throws: RedisError.self) { try await stranger.ping(milliseconds: 10_000) }
        #expect(error?.code == .unavailable)
        await stranger.close()
    }

    @Test func `a wrong password is told without it`() async throws {
        let server = try RedisServer(password: "right")
        let client = try Self.client(server.url(password: "wrong-one"))
        let error = await #expect(throws: RedisError.self) { try await client.ping(milliseconds: 10_000) }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("wrong-one") == false)
        await client.close()
    }

    @Test func `a thousand tasks get their own answers`() async throws {
        let server = try RedisServer()
        let client = try Self.client(server.url())
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<1000 {
                group.addTask {
                    let value = Array("value \(number)".utf8)
                    try await client.set("k\(number)", value, seconds: 100, milliseconds: 10_000)
                    #expect(try await client.get("k\(number)", milliseconds: 10_000) == value)
                }
            }
            try await group.waitForAll()
        }
        #expect(client.status.connections == 1)
        #expect(client.status.pending == 0)
        await client.close()
    }

    @Test func `a server that was killed is used again when it is back`() async throws {
        let server = try RedisServer()
        let client = try Self.client(server.url())
        try await client.ping(milliseconds: 10_000)
        server.kill()
        await #expect(throws: RedisError.self) { try await client.ping(milliseconds: 1000) }
        try server.restart()
        var isBack = false
        for _ in 0..<10_000 where !isBack {
            isBack = (try? await client.ping(milliseconds: 1000)) != nil
            await Task.yield()
        }
        #expect(isBack)
        await client.close()
    }

    @Test func `a frozen server costs no more than its time, and its late answers reach nobody else`() async throws {
        let server = try RedisServer()
        let client = try Self.client(server.url())
        try await client.set("a", Array("of a".utf8), seconds: 100, milliseconds: 10_000)
        try await client.set("b", Array("of b".utf8), seconds: 100, milliseconds: 10_000)
        server.send(SIGSTOP)
        let clock = ContinuousClock()
        let start = clock.now
        let error = await #expect(throws: RedisError.self) { try await client.get("a", milliseconds: 20) }
        #expect(error?.code == .timedOut)
        #expect(clock.now - start < .seconds(5))
        server.send(SIGCONT)
        for _ in 0..<10 { #expect(try await client.get("b", milliseconds: 10_000) == Array("of b".utf8)) }
        await client.close()
    }

    @Test func `a cancelled caller does not wait, and too many are refused`() async throws {
        let server = try RedisServer()
        let client = try Self.client(server.url()) { $0.maxPendingCommands = 1 }
        try await client.ping(milliseconds: 10_000)
        server.send(SIGSTOP)
        await withTaskGroup(of: RedisError.Code?.self) { group in
            group.addTask {
                do throws(RedisError) {
                    try await client.ping(milliseconds: 60_000)
                    return nil
                } catch {
                    return error.code
                }
            }
            // Until it waits.
            while client.status.pending == 0 { await Task.yield() }
            let refused = await #expect(throws: RedisError.self) { try await client.ping(milliseconds: 60_000) }
            #expect(refused?.code == .overloaded)
            group.cancelAll()
            #expect(await group.next() == .some(.cancelled))
        }
        server.send(SIGCONT)
        await client.close()
    }

    @Test(arguments: ["http://x", "redis", "redis://h:99999", "redis://h/x", "redis://h?protocol=4", "redis://a%2:b@h"])
    func `a URL that is none is told`(_ url: String) {
        let error = #expect(throws: RedisError.self) { try RedisConfiguration(url: url) }
        #expect(error?.code == .badConfiguration)
    }
}
