internal import Synchronization
internal import TauCore
internal import TauPostgres
internal import TauSystem

/// Short messages between servers, by NOTIFY: each server listens on a channel of its own. A message may be lost, so nothing depends on
/// one arriving: leases and epochs in the tables decide.
final class PeerMessages: Sendable {
    enum Message: Equatable {
        /// The server with this id wants the session.
        case release(server: [UInt8], session: SessionID)
        /// The session was looked at: it may be free now.
        case answered(SessionID)
        case cancel(RunID)
    }

    let channel: String
    private let pool: PostgresPool
    private let server: [UInt8]
    private let waitMilliseconds: Int
    private let state = Mutex(State())

    private struct State {
        /// Answers arrive only while somebody listens.
        var isListening = false
        var listeningWaiters: [CheckedContinuation<Void, Never>] = []
        var waiting: [SessionID: [Int: AsyncStream<Void>.Continuation]] = [:]
        var nextWaiter = 0

        mutating func stopWaiting(_ number: Int, for session: SessionID) {
            waiting[session]?[number] = nil
            if waiting[session]?.isEmpty == true { waiting[session] = nil }
        }
    }

    init(pool: PostgresPool, server: [UInt8], waitMilliseconds: Int) {
        self.pool = pool
        self.server = server
        self.waitMilliseconds = waitMilliseconds
        channel = Self.channel(of: server)
    }

    private static func channel(of server: [UInt8]) -> String { "tau_" + server.hexadecimalDigits }

    // MARK: Sending

    func send(_ message: Message, to server: [UInt8]) async throws(PostgresError) {
        try await pool.query("SELECT pg_notify($1, $2)", .text(Self.channel(of: server)), .text(Self.text(of: message)))
    }

    /// Asks the server that has a session to hand it over if nothing is at work on it there, and waits for its answer for a while.
    func askForRelease(of session: SessionID) async throws(PostgresError) {
        guard state.withLock({ $0.isListening }) else { return }
        guard let row = try await pool.query(LeaseStatements.holder(of: session.uuid), isRepeatable: true).rows.first
        else { return }
        let holder = try row.bytes(0)
        let (answers, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        // Before the question goes out.
        let number = state.withLock { state in
            state.nextWaiter += 1
            state.waiting[session, default: [:]][state.nextWaiter] = continuation
            return state.nextWaiter
        }
        defer { state.withLock { $0.stopWaiting(number, for: session) } }
        try await send(.release(server: server, session: session), to: holder)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { [waitMilliseconds] in
                try? await Task.sleep(for: .milliseconds(waitMilliseconds))
                continuation.finish()
            }
            for await _ in answers { break }
            group.cancelAll()
        }
    }

    // MARK: Receiving

    func setListening(_ isListening: Bool) {
        let waiters = state.withLock { state in
            state.isListening = isListening
            guard isListening else { return [] as [CheckedContinuation<Void, Never>] }
            defer { state.listeningWaiters = [] }
            return state.listeningWaiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns once others can be heard.
    func untilListening() async {
        await withCheckedContinuation { continuation in
            let isListening = state.withLock { state in
                if !state.isListening { state.listeningWaiters.append(continuation) }
                return state.isListening
            }
            if isListening { continuation.resume() }
        }
    }

    /// Wakes those who wait for the session.
    func resolve(_ session: SessionID) {
        let waiting = state.withLock { $0.waiting[session] ?? [:] }
        for continuation in waiting.values { continuation.yield() }
    }

    static func text(of message: Message) -> String {
        switch message {
        case .release(let server, let session): "release \(server.hexadecimalDigits) \(session)"
        case .answered(let session): "answered \(session)"
        case .cancel(let run): "cancel \(run)"
        }
    }

    /// Nil for what no server of this kind has sent.
    static func message(_ text: String) -> Message? {
        let parts = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        switch (parts.first, parts.count) {
        case ("release", 3):
            guard let server = bytes(parts[1]), let session = SessionID(parts[2]) else { return nil }
            return .release(server: server, session: session)
        case ("answered", 2): return SessionID(parts[1]).map { .answered($0) }
        case ("cancel", 2): return RunID(parts[1]).map { .cancel($0) }
        default: return nil
        }
    }

    private static func bytes(_ text: String) -> [UInt8]? {
        let digits = text.compactMap(\.hexDigitValue)
        guard digits.count == 32, text.utf8.count == 32 else { return nil }
        return (0..<16).map { UInt8(digits[2 * $0] << 4 | digits[2 * $0 + 1]) }
    }
}
