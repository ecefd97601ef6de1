import Glibc
import Logging
import Synchronization
import TauCore
import TauPostgres
import TauTestKit
import Testing

@testable import TauStorage

/// A database that is killed, frozen, restarted and replaced under many who append.
@Suite(.ownThreads, .timeLimit(.minutes(5)), .serialized) struct PostgresCrashTests {
    /// What appenders have been told.
    private final class Log: Sendable {
        private let state = Mutex<(acknowledged: [SessionID: [EntryID]], count: Int, failures: Int)>(([:], 0, 0))

        func acknowledge(_ entry: EntryID, of session: SessionID) {
            state.withLock { state in
                state.acknowledged[session, default: []].append(entry)
                state.count += 1
            }
        }

        func fail() { state.withLock { $0.failures += 1 } }

        var count: Int { state.withLock { $0.count } }
        var failures: Int { state.withLock { $0.failures } }
        var acknowledged: [SessionID: [EntryID]] { state.withLock { $0.acknowledged } }

        /// Until this many more were acknowledged.
        func more(_ number: Int) async {
            let goal = count + number
            while count < goal { await Task.yield() }
        }
    }

    /// Appends to a session of its own, and opens it again after an error, until it is cancelled.
    private static func appender(_ number: Int, _ storage: PostgresStorage, _ log: Log) async {
        let id = SessionID(unchecked: "s\(number)")
        var last: EntryID?
        var step = 0
        var isOpen = true
        while !Task.isCancelled {
            do throws(StoreError) {
                if !isOpen {
                    last = try await storage.sessions.open(id).entries.last?.id
                    isOpen = true
                }
                step += 1
                let entry = SessionStoreContract.entry("\(number)-\(step)", after: nil)
                try await storage.sessions.append([entry], to: id, after: last)
                log.acknowledge(entry.id, of: id)
                last = entry.id
            } catch {
                log.fail()
                await storage.sessions.close(id)
                isOpen = false
                await Task.yield()
            }
        }
    }

    /// Runs `body` while 50 append, and checks afterwards that all that was acknowledged is there once, in order.
    private func appending(_ url: String, _ body: (Log) async throws -> Void) async throws {
        var settings = PostgresSettings(url: url, node: "test")
        settings.primary.connectTimeoutMilliseconds = 1000
        settings.primary.queryTimeoutMilliseconds = 3000
        settings.batch.timeoutMilliseconds = 2000
        let storage = try PostgresStorage(settings, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await storage.migrate()
        let log = Log()
        for number in 0..<50 { try await storage.sessions.create(SessionStoreContract.file("s\(number)")) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<50 { group.addTask { await Self.appender(number, storage, log) } }
            await log.more(500)
            try await body(log)
            // Service has returned.
            await log.more(500)
            group.cancelAll()
            try await group.waitForAll()
        }
        for (session, expected) in log.acknowledged {
            let found = try await storage.sessions.read(session).entries.map(\.id)
            let acknowledged = Set(expected)
            #expect(found.filter(acknowledged.contains) == expected, "\(session)")
            #expect(Set(found).count == found.count, "\(session)")
        }
        try await storage.close()
    }

    @Test func `a server that is killed and started again`() async throws {
        let server = try PostgresServer()
        try await appending(server.url()) { log in
            for _ in 0..<3 {
                let failures = log.failures
                server.kill()
                while log.failures == failures { await Task.yield() }
                try server.restart()
                await log.more(200)
            }
        }
    }

    @Test func `a server that is frozen for longer than anybody waits`() async throws {
        let server = try PostgresServer()
        try await appending(server.url()) { log in
            let failures = log.failures
            server.sendToAll(SIGSTOP)
            while log.failures < failures + 50 { await Task.yield() }
            server.sendToAll(SIGCONT)
        }
    }

    @Test func `connections that the server ends`() async throws {
        let server = try PostgresServer()
        try await appending(server.url()) { log in
            for _ in 0..<10 {
                try server.run(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
                await log.more(50)
            }
        }
    }

    @Test func `a primary that is killed, and its synchronous standby takes over`() async throws {
        let cluster = try PostgresCluster(isSynchronous: true)
        try await appending(cluster.url) { log in
            let failures = log.failures
            cluster.primary.kill()
            while log.failures == failures { await Task.yield() }
            try cluster.promote()
        }
    }

    @Test func `what a synchronous standby has not is not acknowledged, also where nobody waits any longer`()
        async throws
    {
        let cluster = try PostgresCluster(isSynchronous: true)
        try await appending(cluster.url) { log in
            // It gets nothing any more: commits wait, and are given up.
            let failures = log.failures
            cluster.standby.sendToAll(SIGSTOP)
            while log.failures < failures + 50 { await Task.yield() }
            cluster.primary.kill()
            cluster.standby.sendToAll(SIGCONT)
            try cluster.promote()
        }
    }

    @Test func `a replica answers only what it has everything of`() async throws {
        let cluster = try PostgresCluster(isSynchronous: false)
        var settings = PostgresSettings(url: cluster.primary.url(), node: "test")
        settings.replica = PostgresConfiguration(url: cluster.standby.url())
        settings.replicaWaitMilliseconds = 5000
        let storage = try PostgresStorage(settings, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        try await storage.migrate()
        var last: Entry?
        let file = SessionStoreContract.file("one")
        try await storage.sessions.create(file)
        for number in 0..<20 {
            let entry = SessionStoreContract.entry("\(number)", after: last)
            try await storage.sessions.append([entry], to: file.header.id, after: last?.id)
            last = entry
            #expect(try await storage.sessions.read(file.header.id).entries.last?.id == entry.id)
            #expect(try await storage.sessions.list(SessionQuery()).sessions.first?.entryCount == number + 1)
        }
        #expect(storage.readStatus.replica >= 40)
        // It falls behind: the primary answers.
        try cluster.standby.run("SELECT pg_wal_replay_pause()")
        var impatient = settings
        impatient.replicaWaitMilliseconds = 20
        let second = try PostgresStorage(impatient, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let entry = SessionStoreContract.entry("late", after: last)
        try await storage.sessions.append([entry], to: file.header.id, after: last?.id)
        #expect(try await second.sessions.read(file.header.id).entries.last?.id == entry.id)
        #expect(second.readStatus.late == 1)
        try cluster.standby.run("SELECT pg_wal_replay_resume()")
        // It is gone: the primary answers, and nobody waits for it again for a while.
        cluster.standby.kill()
        #expect(try await second.sessions.export(file.header.id).bytes().isEmpty == false)
        #expect(try await second.sessions.list(SessionQuery()).sessions.count == 1)
        #expect(second.readStatus.failed >= 1)
        try await storage.close()
        try await second.close()
    }
}
