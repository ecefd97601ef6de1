import Glibc
import Logging
import TauCore
import TauRedis
import TauSystem
import TauTestKit
import Testing

@testable import TauStorage

@Suite(.ownThreads, .timeLimit(.minutes(2))) struct ContextStoreTests {
    private static let session = SessionID(unchecked: "s")
    private static let leaf = EntryID(unchecked: "id-\u{0}ä")

    private static func context(_ texts: [String]) -> ModelContext {
        let tree = SessionTree(SessionStoreContract.file("s", texts))
        var context = tree.context(of: tree.leafID)
        context.settings.model = ModelReference(provider: "p", id: "m")
        context.settings.activeToolNames = ["read"]
        context.settings.thinkingLevel = "high"
        context.freshStart = 1
        return context
    }

    private static func same(_ left: ModelContext?, _ right: ModelContext) -> Bool {
        guard let left, left.settings == right.settings, left.freshStart == right.freshStart else { return false }
        return left.messages.elementsEqual(right.messages) {
            $0.role == $1.role && $0.entryID == $1.entryID && $0.json.elementsEqual($1.json)
        }
    }

    private static func quiet() -> Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }

    @Test func `a context comes out as it went in, and nothing else is taken for one`() {
        let context = Self.context(["a", "b", "\u{0}"])
        let bytes = ContextCode.encode(context, of: Self.leaf, in: Self.session)
        #expect(Self.same(ContextCode.decode(bytes, of: Self.leaf, in: Self.session), context))
        #expect(ContextCode.decode(bytes, of: EntryID(unchecked: "other"), in: Self.session) == nil)
        #expect(ContextCode.decode(bytes, of: Self.leaf, in: SessionID(unchecked: "t")) == nil)
        for place in bytes.indices {
            var broken = bytes
            broken[place] ^= 1
            #expect(ContextCode.decode(broken, of: Self.leaf, in: Self.session) == nil)
            #expect(ContextCode.decode(Array(bytes[..<place]), of: Self.leaf, in: Self.session) == nil)
        }
    }

    @Test func `memory has a bound, and what is used stays`() {
        let context = Self.context([String(repeating: "x", count: 1000)])
        let size = ContextCode.encode(context, of: Self.leaf, in: Self.session).count
        let store = MemoryContexts(maxBytes: 20 * size)
        let used = EntryID(unchecked: "used")
        store.keep(context, of: used, in: Self.session)
        for number in 0..<500 {
            store.keep(context, of: EntryID(unchecked: "\(number)"), in: Self.session)
            #expect(store.context(of: used, in: Self.session) != nil)
            #expect(store.byteCount <= 21 * size)
        }
        #expect(store.context(of: EntryID(unchecked: "0"), in: Self.session) == nil)
        store.keep(context, of: used, in: SessionID(unchecked: "other"))
        store.forget(Self.session)
        #expect(store.context(of: used, in: Self.session) == nil)
        #expect(store.context(of: used, in: SessionID(unchecked: "other")) != nil)
        store.keep(Self.context([String(repeating: "x", count: 100_000)]), of: Self.leaf, in: Self.session)
        #expect(store.context(of: Self.leaf, in: Self.session) == nil)
    }

    @Test func `what one server keeps in Redis another one finds, until the session is deleted`() async throws {
        let server = try RedisServer()
        let clients = [
            RedisClient(try RedisConfiguration(url: server.url())),
            RedisClient(try RedisConfiguration(url: server.url())),
        ]
        var limits = RedisContexts.Limits()
        limits.redis.timeoutMilliseconds = 10_000
        let stores = clients.map { RedisContexts($0, limits: limits, logger: Self.quiet()) }
        let context = Self.context(["a"])
        await stores[0].keep(context, of: Self.leaf, in: Self.session)
        #expect(Self.same(await stores[1].context(of: Self.leaf, in: Self.session), context))
        let life = try await clients[0].command(
            [Array("TTL".utf8), Array("context:s:\(Self.leaf)".utf8)], milliseconds: 10_000)
        guard case .integer(let seconds) = life else { throw RedisError(.badReply, "no number") }
        #expect((1...300).contains(seconds))
        // Somebody else's value is nobody's error.
        try await clients[0].set("context:s:foreign", Array("not ours".utf8), seconds: 100, milliseconds: 10_000)
        #expect(await stores[1].context(of: EntryID(unchecked: "foreign"), in: Self.session) == nil)
        await stores[1].forget(Self.session)
        #expect(await stores[0].context(of: Self.leaf, in: Self.session) == nil)
        for client in clients { await client.close() }
    }

    @Test func `Redis that is frozen costs little and then nothing, and is used again`() async throws {
        let server = try RedisServer()
        let client = RedisClient(try RedisConfiguration(url: server.url()))
        var limits = RedisContexts.Limits()
        limits.redis.pauseSeconds = 0
        let store = RedisContexts(client, limits: limits, logger: Self.quiet())
        let context = Self.context(["a"])
        try await client.ping(milliseconds: 10_000)
        server.send(SIGSTOP)
        #expect(await store.context(of: Self.leaf, in: Self.session) == nil)
        await store.keep(context, of: Self.leaf, in: Self.session)
        #expect(client.status.failures == 2)
        var paused = limits
        paused.redis.pauseSeconds = 1000
        let cautious = RedisContexts(client, limits: paused, logger: Self.quiet())
        for _ in 0..<10 { #expect(await cautious.context(of: Self.leaf, in: Self.session) == nil) }
        #expect(client.status.failures == 5)
        server.send(SIGCONT)
        var isFound = false
        for _ in 0..<1000 where !isFound {
            await store.keep(context, of: Self.leaf, in: Self.session)
            isFound = Self.same(await store.context(of: Self.leaf, in: Self.session), context)
        }
        #expect(isFound)
        await client.close()
    }

    @Test func `contexts of the PostgreSQL tier are those of the session, with the cache or without`() async throws {
        let database = try await TestDatabase()
        let redis = try RedisServer()
        let url = redis.url()
        let storage = try await database.storage {
            $0.redis = try? RedisConfiguration(url: url)
            $0.redisMilliseconds = 10_000
        }
        let file = SessionStoreContract.file("one", ["a", "b"])
        let id = file.header.id
        try await storage.sessions.create(file)
        let tree = SessionTree(file)
        for _ in 0..<3 {
            let context = try await storage.sessions.context(of: id, leaf: nil)
            #expect(Self.same(context, tree.context(of: tree.leafID)))
            let first = try await storage.sessions.context(of: id, leaf: file.entries[0].id)
            #expect(first?.messages.count == 1)
            // The list is brought up to date, so that the leaf is known.
            _ = try await storage.sessions.list(SessionQuery())
        }
        #expect(try await storage.sessions.context(of: id, leaf: EntryID(unchecked: "none")) == nil)
        let client = RedisClient(try RedisConfiguration(url: url))
        let count = try await client.command([Array("DBSIZE".utf8)], milliseconds: 10_000)
        #expect(count == .integer(3))
        try await storage.sessions.delete(id)
        #expect(try await client.command([Array("DBSIZE".utf8)], milliseconds: 10_000) == .integer(0))
        await #expect(throws: StoreError.self) { try await storage.sessions.context(of: id, leaf: nil) }
        redis.kill()
        try await storage.sessions.create(file)
        #expect(try await storage.sessions.context(of: id, leaf: nil)?.messages.count == 2)
        await client.close()
        try await storage.close()
    }
}
