internal import HTTPTypes
internal import Logging
internal import Synchronization
internal import TauCore
internal import TauRuntime

/// Carries requests with an idempotency key out once: the same key and request get the first answer again, for 24 hours, from every
/// server and after every crash.
///
/// The store knows what was done; here is who waits for whom in this process, and the answers that must not be stored.
final class IdempotentRequests: Sendable {
    /// An answer in the form in which it can be given again.
    enum Answer: Sendable {
        case response(HTTPResponse.Status, location: String?, [UInt8])
        /// The events of a run, from the first.
        case events(RunID)
    }

    private struct State {
        /// The keys that this process is at work on, with who waits for each.
        var working: [IdempotencyKey: [CheckedContinuation<Void, Never>]] = [:]
        /// Answers that are not stored, the oldest first.
        var unstored: [(key: IdempotencyKey, answer: Answer)] = []
    }

    /// Answers that hold secrets, or are too large for the store, which this process remembers.
    private static let maxUnstored = 256

    private let store: any IdempotencyStore
    /// Bytes of an answer that is stored (`http.maxKeptAnswerBytes`).
    private let maxAnswerBytes: Int
    private let identifiers: IdentifierSource
    private let now: @Sendable () -> Timestamp
    private let state = Mutex(State())

    init(
        store: any IdempotencyStore, maxAnswerBytes: Int, identifiers: IdentifierSource,
        now: @escaping @Sendable () -> Timestamp
    ) {
        self.store = store
        self.maxAnswerBytes = maxAnswerBytes
        self.identifiers = identifiers
        self.now = now
    }

    /// Gives the first answer again, or makes it with `work`. A refusal is not kept: a retry may succeed.
    ///
    /// `fingerprint` stands for the request's path and body. A secret answer is never stored.
    func answer(
        _ key: IdempotencyKey, fingerprint: [UInt8], isSecret: Bool, _ logger: Logger,
        _ work: (RequestAttempt) async throws -> Answer
    ) async throws -> Answer {
        while !begin(key) { await waitForOther(key) }
        defer { end(key) }
        let time = now()
        let first = RequestAttempt(id: identifiers.uuid(at: time), time: time, isRepeat: false)
        switch try await asking({ () throws(StoreError) in
            try await store.claim(key, fingerprint: fingerprint, attempt: first)
        }) {
        case .granted(let attempt):
            return try await carryOut(key, attempt, isSecret: isSecret, logger, work)
        case .answered(let bytes):
            if let answer = Answer(stored: bytes) ?? unstoredAnswer(key) { return answer }
            throw Problem(
                .conflict,
                "The request was carried out, but its answer is not kept: it held a secret, or was too large.")
        case .inProgress:
            throw Problem(.conflict, "Another server is carrying out the request with this key.", retryAfter: 1)
        case .otherRequest:
            throw Problem(.idempotencyMismatch, "The Idempotency-Key was used with another path or body.")
        }
    }

    private func carryOut(
        _ key: IdempotencyKey, _ attempt: RequestAttempt, isSecret: Bool, _ logger: Logger,
        _ work: (RequestAttempt) async throws -> Answer
    ) async throws -> Answer {
        let answer: Answer
        do {
            answer = try await work(attempt)
        } catch {
            // A refusal comes before anything is done; of other failures nobody knows.
            let isRefusal = Problem(error).code.status.code < 500 && !(error is CancellationError)
            await noting(logger) { () throws(StoreError) in try await store.release(key, forgotten: isRefusal) }
            throw error
        }
        let stored = isSecret ? nil : answer.stored
        let isKept = stored.map { $0.count <= maxAnswerBytes } ?? false
        if !isKept { rememberUnstored(key, answer) }
        await noting(logger) { () throws(StoreError) in
            try await store.settle(key, answer: isKept ? stored ?? [] : Array("{}".utf8))
        }
        return answer
    }

    /// The request's own outcome stands. The key stays this server's, and the next try finds what was done.
    private func noting(_ logger: Logger, _ body: () async throws(StoreError) -> Void) async {
        do throws(StoreError) {
            try await body()
        } catch {
            logger.warning("an idempotency key was not written", metadata: ["reason": "\(error)"])
        }
    }

    private func asking<Value>(_ body: () async throws(StoreError) -> Value) async throws -> Value {
        do throws(StoreError) {
            return try await body()
        } catch {
            throw RuntimeError(error)
        }
    }

    // MARK: Who waits for whom

    private func begin(_ key: IdempotencyKey) -> Bool {
        state.withLock { state in
            guard state.working[key] == nil else { return false }
            state.working[key] = []
            return true
        }
    }

    private func end(_ key: IdempotencyKey) {
        let waiting = state.withLock { $0.working.removeValue(forKey: key) }
        for continuation in waiting ?? [] { continuation.resume() }
    }

    private func waitForOther(_ key: IdempotencyKey) async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                guard state.working[key] != nil else { return true }
                state.working[key]?.append(continuation)
                return false
            }
            if isOver { continuation.resume() }
        }
    }

    // MARK: Answers that are not stored

    private func rememberUnstored(_ key: IdempotencyKey, _ answer: Answer) {
        state.withLock { state in
            state.unstored.removeAll { $0.key == key }
            state.unstored.append((key, answer))
            // Together they are no larger than so many that could have been stored.
            var bytes = state.unstored.reduce(0) { $0 + $1.answer.byteCount }
            while state.unstored.count > Self.maxUnstored || bytes > Self.maxUnstored * maxAnswerBytes {
                bytes -= state.unstored.removeFirst().answer.byteCount
            }
        }
    }

    private func unstoredAnswer(_ key: IdempotencyKey) -> Answer? {
        state.withLock { state in state.unstored.first { $0.key == key }?.answer }
    }
}

extension IdempotentRequests.Answer {
    fileprivate var byteCount: Int {
        switch self {
        case .response(_, _, let body): body.count
        case .events: 0
        }
    }

    /// One JSON object.
    var stored: [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            switch self {
            case .response(let status, let location, let body):
                writer.member("status", status.code)
                writer.member("location", ifPresent: location)
                writer.member("body", String(decoding: body, as: UTF8.self))
            case .events(let run): writer.member("events", run.rawValue)
            }
        }
        return writer.bytes
    }

    /// Reads what `stored` has given; nil for an answer that was not kept.
    init?(stored bytes: [UInt8]) {
        let json = try? JSONValue(parsing: bytes)
        if let run = json?["events"]?.string.flatMap({ RunID($0) }) {
            self = .events(run)
        } else if let status = json?["status"]?.integer, let body = json?["body"]?.string {
            self = .response(.init(code: status), location: json?["location"]?.string, Array(body.utf8))
        } else {
            return nil
        }
    }

    static func json(
        _ status: HTTPResponse.Status, location: String? = nil, _ body: (inout JSONWriter) -> Void
    ) -> Self {
        var writer = JSONWriter()
        body(&writer)
        return .response(status, location: location, writer.bytes)
    }
}
