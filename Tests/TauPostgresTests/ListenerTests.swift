import Glibc
import Synchronization
import TauSystem
import TauTestKit
import Testing

@testable import TauPostgres

/// What a listener hears, for tests to wait for.
private final class Heard: Sendable {
    private let events: AsyncStream<PostgresListener.Event>
    private let continuation: AsyncStream<PostgresListener.Event>.Continuation

    init() { (events, continuation) = AsyncStream.makeStream() }

    func take(_ event: PostgresListener.Event) { continuation.yield(event) }

    /// The first event for which `body` gives something.
    func first<Value: Sendable>(_ body: @Sendable (PostgresListener.Event) -> Value?) async throws -> Value {
        for await event in events {
            if let value = body(event) { return value }
        }
        throw CancellationError()
    }

    func isListening() async throws {
        _ = try await first { if case .listening = $0 { true } else { nil } }
    }

    func lost() async throws -> PostgresError {
        try await first { if case .lost(let error) = $0 { error } else { nil } }
    }

    func payload() async throws -> String {
        try await first { if case .notification(let notification) = $0 { notification.payload } else { nil } }
    }
}

@Suite(.ownThreads, .timeLimit(.minutes(2))) struct ListenerTests {
    private func listening(
        _ server: PostgresServer, probeSeconds: Int = 10, maxWaiting: Int = 10_000,
        _ body: @escaping @Sendable (Heard) async throws -> Void
    ) async throws {
        let heard = Heard()
        var limits = PostgresListener.Limits()
        limits.probeSeconds = probeSeconds
        let listener = PostgresListener(PostgresConfiguration(url: server.url()), channels: ["a", "b"], limits: limits)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await listener.run { heard.take($0) } }
            try await heard.isListening()
            try await body(heard)
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    @Test func `everything that is said is heard, in order`() async throws {
        let server = try PostgresServer()
        try await listening(server) { heard in
            let connection = try await PostgresConnection.connect(PostgresConfiguration(url: server.url()))
            for number in 0..<2000 {
                try await connection.query(
                    "SELECT pg_notify($1, $2)", .text(number.isMultiple(of: 2) ? "a" : "b"), .text("\(number)"))
            }
            for number in 0..<2000 { #expect(try await heard.payload() == "\(number)") }
            await connection.close()
        }
    }

    @Test func `a server that was killed is listened to again`() async throws {
        let server = try PostgresServer()
        try await listening(server) { heard in
            server.kill()
            _ = try await heard.lost()
            try server.restart()
            try await heard.isListening()
            let connection = try await PostgresConnection.connect(PostgresConfiguration(url: server.url()))
            try await connection.query("SELECT pg_notify('a', 'again')")
            #expect(try await heard.payload() == "again")
            await connection.close()
        }
    }

    @Test func `a server that hangs is noticed`() async throws {
        let server = try PostgresServer()
        try await listening(server, probeSeconds: 1) { heard in
            server.sendToAll(SIGSTOP)
            let error = try await heard.lost()
            server.sendToAll(SIGCONT)
            #expect(error.code == .timedOut)
            try await heard.isListening()
        }
    }
}
