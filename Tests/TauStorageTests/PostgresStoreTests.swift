import Foundation
import Logging
import TauCore
import TauPostgres
import TauTestKit
import Testing

@testable import TauStorage

/// A database of its own in a PostgreSQL that all tests of this module share.
final class TestDatabase: Sendable {
    static let server = Result { try PostgresServer() }

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

    /// Another server on the same database.
    func storage(
        _ node: String = "test", change: (inout PostgresSettings) -> Void = { _ in }
    ) async throws -> PostgresStorage {
        var settings = PostgresSettings(url: url, node: node)
        change(&settings)
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
    @Test(arguments: SessionStoreContract.promises.indices)
    func `keeps the promises of a session store`(_ index: Int) async throws {
        let database = try await TestDatabase()
        let first = try await database.storage()
        let second = try await database.storage()
        let promise = SessionStoreContract.promises[index]
        do {
            try await promise.check(SessionStoreContract(store: first.sessions, second: second.sessions))
        } catch let broken as SessionStoreContract.Broken {
            Issue.record("\(promise.name): \(broken)")
        }
        try await first.close()
        try await second.close()
    }
}
