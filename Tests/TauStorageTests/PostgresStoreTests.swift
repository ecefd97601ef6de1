import Foundation
import Logging
import TauCore
import TauPostgres
import TauTestKit
import Testing

@testable import TauStorage

/// A database of its own in a PostgreSQL that all tests of this module share.
final class TestDatabase: Sendable {
    static let server = Result { try PostgresServer(settings: ["max_connections=300"]) }
    static let proxy = Result { try PgBouncer(server.get()) }

    let url: String
    private let name: String

    init() async throws {
        name = "tau_" + UUID().uuidString.replacingOccurrences(of: "-", with: "").lowercased()
        let server = try Self.server.get()
        url = server.url().replacingOccurrences(of: "/postgres", with: "/" + name)
        let connection = try await PostgresConnection.connect(PostgresConfiguration(url: server.url()))
        try await connection.query(PostgresStatement("CREATE DATABASE \(name)"))
        await connection.close()
    }

    /// The same through a proxy that gives connections around.
    func useProxy(_ settings: inout PostgresSettings) throws {
        let (server, proxy) = (try Self.server.get(), try Self.proxy.get())
        settings.primary.url = url.replacingOccurrences(of: ":\(server.port)/", with: ":\(proxy.port)/")
    }

    /// Another server on the same database.
    func storage(
        _ node: String = "test", change: (inout PostgresSettings) throws -> Void = { _ in }
    ) async throws -> PostgresStorage {
        var settings = PostgresSettings(url: url, node: node)
        try change(&settings)
        let storage = try PostgresStorage(settings, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await storage.migrate()
        return storage
    }

    func query(_ text: String) async throws -> PostgresResult {
        let connection = try await PostgresConnection.connect(PostgresConfiguration(url: url))
        let result = try await connection.query(PostgresStatement(text))
        await connection.close()
        return result
    }
}

@Suite(.ownThreads, .timeLimit(.minutes(5))) struct PostgresStoreTests {
    enum Way: CaseIterable { case direct, proxy }

    @Test(arguments: SessionStoreContract.promises.indices, Way.allCases)
    func `keeps the promises of a session store`(_ index: Int, _ way: Way) async throws {
        let database = try await TestDatabase()
        let connect: (inout PostgresSettings) throws -> Void = { if way == .proxy { try database.useProxy(&$0) } }
        let first = try await database.storage(change: connect)
        let second = try await database.storage(change: connect)
        let promise = SessionStoreContract.promises[index]
        do {
            try await promise.check(SessionStoreContract(store: first.sessions, second: second.sessions))
        } catch let broken as BrokenPromise {
            Issue.record("\(promise.name): \(broken)")
        }
        try await first.close()
        try await second.close()
    }

    @Test func `of many who open a session one gets it, and can write it`() async throws {
        let database = try await TestDatabase()
        let stores = [try await database.storage("first"), try await database.storage("second")]
        let file = SessionStoreContract.file("one", ["a"])
        try await stores[0].sessions.create(file)
        await stores[0].sessions.close(file.header.id)
        let winners = await withTaskGroup(of: PostgresStorage?.self) { group in
            for number in 0..<20 {
                group.addTask {
                    let store = stores[number % 2]
                    return (try? await store.sessions.open(file.header.id)).map { _ in store }
                }
            }
            return await group.reduce(into: [PostgresStorage]()) { if let winner = $1 { $0.append(winner) } }
        }
        #expect(winners.count == 1)
        let next = SessionStoreContract.entry("b", after: file.entries[0])
        try await winners.first?.sessions.append([next], to: file.header.id, after: file.entries[0].id)
        for store in stores { try await store.close() }
    }

    @Test func `many append to many sessions at once, and each keeps its own order`() async throws {
        let database = try await TestDatabase()
        let storage = try await database.storage { $0.batch.appendsPerConnection = 1 }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<40 {
                group.addTask {
                    let file = SessionStoreContract.file("s\(number)")
                    try await storage.sessions.create(file)
                    var last: Entry?
                    for step in 0..<25 {
                        let entries = (0...(step % 3)).map { part in
                            SessionStoreContract.entry("\(number)-\(step)-\(part)", after: nil)
                        }
                        try await storage.sessions.append(entries, to: file.header.id, after: last?.id)
                        last = entries.last
                    }
                }
            }
            // Others read meanwhile.
            group.addTask { for _ in 0..<5 { _ = try await storage.sessions.list(SessionQuery(search: "0-0")) } }
            try await group.waitForAll()
        }
        let expected = (0..<25).flatMap { step in (0...(step % 3)).map { "\(step)-\($0)" } }
        for number in 0..<40 {
            let entries = try await storage.sessions.read(SessionID(unchecked: "s\(number)")).entries
            #expect(entries.map(\.id.rawValue) == expected.map { "id-\(number)-\($0)" })
        }
        #expect(
            try await storage.sessions.list(SessionQuery(limit: 100)).sessions.map(\.entryCount)
                == .init(repeating: expected.count, count: 40))
        try await storage.close()
    }
}
