internal import CPostgres
internal import Glibc
package import TauSystem

/// One connection of libpq, as the thread sees it that uses it. Every call blocks in `poll`, where its deadline and a
/// cancellation reach it, and never in libpq itself.
///
/// It is always in pipeline mode: a query goes out with its preparation and its end in one packet.
package struct PostgresLink: ~Copyable {
    private let handle: Handle
    private let configuration: PostgresConfiguration
    private var prepared = PreparedStatements()
    private var preparesStatements: Bool
    private let notices: NoticeReceiver
    /// Set where the server was asked to cancel and has not said that it did: it may still cancel what comes next.
    package private(set) var isSpent = false

    /// libpq's connection; it is closed with its owner.
    private struct Handle: ~Copyable {
        let connection: OpaquePointer

        deinit { PQfinish(connection) }
    }

    private var connection: OpaquePointer { handle.connection }

    /// Connects. Throws `unavailable` with the server's own words, without the URL.
    package static func connect(
        _ configuration: PostgresConfiguration, onNotice: @escaping @Sendable (String) -> Void
    ) throws(PostgresError) -> PostgresLink {
        try checkURL(configuration.url)
        // What the URL says goes before what stands in front of it.
        let options: KeyValuePairs = [
            "application_name": configuration.applicationName, "client_encoding": "UTF8", "tcp_user_timeout": "30000",
            "keepalives_idle": "30", "dbname": configuration.url,
        ]
        let started = withCStrings(options.map(\.key)) { keys in
            withCStrings(options.map(\.value)) { values in
                // libpq's are constant, which is the same to memory.
                func constant(_ list: UnsafePointer<UnsafeMutablePointer<CChar>?>) -> UnsafePointer<
                    UnsafePointer<CChar>?
                > {
                    UnsafeRawPointer(list).assumingMemoryBound(to: UnsafePointer<CChar>?.self)
                }
                return PQconnectStartParams(constant(keys), constant(values), 1)
            }
        }
        guard let started else { throw PostgresError(.unavailable, "there is no memory for a connection") }
        let link = PostgresLink(Handle(connection: started), configuration, NoticeReceiver(onNotice))
        do throws(PostgresError) {
            try link.finishConnecting()
        } catch {
            throw PostgresError(.unavailable, error.message, summary: "it cannot be reached")
        }
        return link
    }

    private init(_ handle: consuming Handle, _ configuration: PostgresConfiguration, _ notices: NoticeReceiver) {
        self.handle = handle
        self.configuration = configuration
        preparesStatements = configuration.preparesStatements
        self.notices = notices
        notices.attach(to: self.handle.connection)
    }

    /// libpq's own words for a URL that it cannot read would show what stands in it.
    private static func checkURL(_ url: String) throws(PostgresError) {
        var message: UnsafeMutablePointer<CChar>?
        let options = PQconninfoParse(url, &message)
        defer {
            PQconninfoFree(options)
            PQfreemem(message)
        }
        guard options != nil else { throw PostgresError(.unavailable, "the database's URL cannot be read") }
    }

    private borrowing func finishConnecting() throws(PostgresError) {
        let deadline = monotonicMilliseconds() + configuration.connectTimeoutMilliseconds
        // libpq wants to be waited for as if it had just been about to write.
        var status = PGRES_POLLING_WRITING
        while true {
            switch status {
            case PGRES_POLLING_OK:
                guard PQsetnonblocking(connection, 1) == 0, PQenterPipelineMode(connection) == 1 else {
                    throw PostgresError(.unavailable, lastMessage)
                }
                return
            case PGRES_POLLING_READING: try wait(for: POLLIN, until: deadline, nil)
            case PGRES_POLLING_WRITING: try wait(for: POLLOUT, until: deadline, nil)
            default: throw PostgresError(.unavailable, "the database cannot be reached: \(lastMessage)")
            }
            status = PQconnectPoll(connection)
        }
    }

    // MARK: Queries

    /// Runs statements one after the other in one round trip, and answers each one's result.
    ///
    /// `isAtomic`: they are one transaction, unless they are part of one already; otherwise each is its own, and one that
    /// fails leaves the others alone. Cancelling ends all that has not been answered.
    package mutating func run(
        _ statements: [PostgresStatement], isAtomic: Bool, _ cancellation: EventDescriptor? = nil
    ) throws(PostgresError) -> [Result<PostgresResult, PostgresError>] {
        try checkAlive()
        var results = try exchange(statements, isAtomic: isAtomic, cancellation)
        let lost = results.indices.filter { Self.hasLostStatement(results[$0]) }
        guard preparesStatements, !lost.isEmpty, !isInTransaction else { return results }
        // Somebody in between gives this connection to other server processes. What has failed was not executed.
        preparesStatements = false
        prepared = PreparedStatements()
        guard !isAtomic else { return try exchange(statements, isAtomic: true, cancellation) }
        let again = try exchange(lost.map { statements[$0] }, isAtomic: false, cancellation)
        for (index, result) in zip(lost, again) { results[index] = result }
        return results
    }

    private static func hasLostStatement(_ result: Result<PostgresResult, PostgresError>) -> Bool {
        guard case .failure(let error) = result, let state = error.state else { return false }
        return state == .unknownStatement || state == .duplicateStatement
    }

    private mutating func exchange(
        _ statements: [PostgresStatement], isAtomic: Bool, _ cancellation: EventDescriptor?
    ) throws(PostgresError) -> [Result<PostgresResult, PostgresError>] {
        var expected: [PostgresAnswers.Step] = []
        for (index, statement) in statements.enumerated() {
            try send(statement, &expected)
            if !isAtomic || index == statements.count - 1 {
                try check(PQpipelineSync(connection) == 1)
                expected.append(.synchronization)
            }
        }
        var answers = PostgresAnswers(statements: statements, expected: expected)
        var deadline = monotonicMilliseconds() + configuration.queryTimeoutMilliseconds
        var reason: PostgresError.Code?
        while !answers.isComplete {
            do throws(PostgresError) {
                try flush(until: deadline, reason == nil ? cancellation : nil)
                try receive(until: deadline, reason == nil ? cancellation : nil, &answers)
            } catch {
                guard reason == nil, error.code == .cancelled || error.code == .timedOut else { throw error }
                // The server is asked to stop and gets a moment to say that it has, so that the connection stays of use.
                reason = error.code
                cancel()
                deadline = monotonicMilliseconds() + Self.cancelMilliseconds
            }
        }
        for name in answers.failedPreparations { prepared.forget(name) }
        if let reason {
            isSpent = !answers.results.contains { result in
                if case .failure(let error) = result { error.state == .queryCancelled } else { false }
            }
            return answers.results.map { result in
                switch result {
                case .failure(let error) where error.state == .queryCancelled:
                    return .failure(PostgresError(reason, error.message))
                case .failure: return result
                // A commit that waits for a standby and is told to stop waiting says that it is done, which no standby may know.
                case .success where reason == .timedOut:
                    return .failure(PostgresError(reason, "the database took too long; it may have been done"))
                // What was answered before the caller gave up counts.
                case .success: return result
                }
            }
        }
        return answers.results
    }

    private static let cancelMilliseconds = 2000

    private mutating func send(
        _ statement: PostgresStatement, _ expected: inout [PostgresAnswers.Step]
    ) throws(PostgresError) {
        let types = statement.parameters.map(\.type)
        guard preparesStatements else {
            try check(
                withParameters(statement) { PQsendQueryParams(connection, statement.text, $0, types, $1, $2, $3, 1) })
            return expected.append(.execution)
        }
        let key = PreparedStatements.Key(text: statement.text, types: types)
        let name: String
        switch prepared.use(key, limit: configuration.maxPreparedStatements) {
        case .known(let known): name = known
        case .new(let new, let forgotten):
            if let forgotten {
                try check(PQsendQueryParams(connection, "DEALLOCATE \(forgotten)", 0, nil, nil, nil, nil, 1) == 1)
                expected.append(.preparation(nil))
            }
            try check(PQsendPrepare(connection, new, statement.text, Int32(types.count), types) == 1)
            expected.append(.preparation(new))
            name = new
        }
        try check(withParameters(statement) { PQsendQueryPrepared(connection, name, $0, $1, $2, $3, 1) })
        expected.append(.execution)
    }

    private func withParameters(
        _ statement: PostgresStatement,
        _ body: (
            Int32, UnsafePointer<UnsafePointer<CChar>?>, UnsafePointer<Int32>, UnsafePointer<Int32>
        ) -> Int32
    ) -> Bool {
        let values = statement.parameters.map { $0.binary ?? [] }
        let lengths = values.map { Int32($0.count) }
        let formats = [Int32](repeating: 1, count: values.count)
        // Where each value lies; NULL has no place, and an empty value any.
        func place(_ index: Int, _ places: inout [UnsafePointer<CChar>?]) -> Int32 {
            guard index < values.count else { return body(Int32(values.count), places, lengths, formats) }
            return values[index].withUnsafeBytes { bytes in
                let isNull = statement.parameters[index].isNull
                let start = bytes.baseAddress?.assumingMemoryBound(to: CChar.self)
                places.append(isNull ? nil : start ?? Self.anywhere)
                return place(index + 1, &places)
            }
        }
        var places: [UnsafePointer<CChar>?] = []
        places.reserveCapacity(values.count)
        return place(0, &places) == 1
    }

    /// An address for values of no bytes, at which nobody looks.
    private static var anywhere: UnsafePointer<CChar>? { UnsafePointer(bitPattern: 8) }

    // MARK: Waiting

    private borrowing func flush(until deadline: Int, _ cancellation: EventDescriptor?) throws(PostgresError) {
        while true {
            switch PQflush(connection) {
            case 0: return
            case 1:
                // The server may want to be read first.
                try wait(for: POLLIN | POLLOUT, until: deadline, cancellation)
                try check(PQconsumeInput(connection) == 1)
            default: throw lost
            }
        }
    }

    private borrowing func receive(
        until deadline: Int, _ cancellation: EventDescriptor?, _ answers: inout PostgresAnswers
    ) throws(PostgresError) {
        while !answers.isComplete {
            if PQisBusy(connection) == 1 {
                try wait(for: POLLIN, until: deadline, cancellation)
                try check(PQconsumeInput(connection) == 1)
                continue
            }
            let result = PQgetResult(connection)
            defer { PQclear(result) }
            if PQstatus(connection) == CONNECTION_BAD { throw lost }
            answers.take(result)
        }
    }

    /// Throws `timedOut`, or `cancelled` once the event is set.
    private borrowing func wait(
        for events: Int32, until deadline: Int, _ cancellation: EventDescriptor?
    ) throws(PostgresError) {
        var entries = [pollfd(fd: PQsocket(connection), events: Int16(events), revents: 0)]
        if let cancellation { entries.append(pollfd(fd: cancellation.number, events: Int16(POLLIN), revents: 0)) }
        while true {
            let rest = deadline - monotonicMilliseconds()
            guard rest > 0 else { throw PostgresError(.timedOut, "the database did not answer in time") }
            let count = poll(&entries, nfds_t(entries.count), Int32(clamping: rest))
            if count < 0, errno != EINTR { throw PostgresError(.connectionLost(wasSent: true), "poll failed") }
            if entries.count > 1, entries[1].revents != 0 { throw PostgresError(.cancelled, "the query was cancelled") }
            if count > 0 { return }
        }
    }

    // MARK: Notifications

    /// Takes what has been said on the channels that this connection listens to.
    mutating func notifications() throws(PostgresError) -> [PostgresListener.Notification] {
        try check(PQconsumeInput(connection) == 1)
        var notifications: [PostgresListener.Notification] = []
        while let notification = PQnotifies(connection) {
            notifications.append(
                .init(
                    channel: String(cString: notification.pointee.relname),
                    payload: String(cString: notification.pointee.extra)))
            PQfreemem(notification)
        }
        return notifications
    }

    /// False where the server says nothing for so long.
    func waitForNotification(milliseconds: Int, _ cancellation: EventDescriptor) throws(PostgresError) -> Bool {
        do throws(PostgresError) {
            try wait(for: POLLIN, until: monotonicMilliseconds() + milliseconds, cancellation)
            return true
        } catch {
            guard error.code == .timedOut else { throw error }
            return false
        }
    }

    /// Asks the server to end what runs here. It needs a connection of its own for that, which blocks, hence the thread.
    private borrowing func cancel() {
        guard let request = PQgetCancel(connection) else { return }
        let address = UInt(bitPattern: request)
        let started: ()? = try? SystemThread.start {
            guard let request = OpaquePointer(bitPattern: address) else { return }
            var message = [CChar](repeating: 0, count: 256)
            // If it fails the deadline ends the connection.
            _ = PQcancel(request, &message, Int32(message.count))
            PQfreeCancel(request)
        }
        if started == nil { PQfreeCancel(request) }
    }

    /// Throws if the server has hung up while nothing was asked of it; nothing has been sent then.
    private borrowing func checkAlive() throws(PostgresError) {
        var entry = pollfd(fd: PQsocket(connection), events: Int16(POLLIN), revents: 0)
        // What it said last may stand in front of the end.
        while poll(&entry, 1, 0) > 0 {
            if PQconsumeInput(connection) == 0 || PQstatus(connection) == CONNECTION_BAD {
                throw PostgresError(.connectionLost(wasSent: false), lastMessage)
            }
        }
    }

    private borrowing func check(_ succeeded: Bool) throws(PostgresError) {
        if !succeeded { throw lost }
    }

    private var lost: PostgresError { PostgresError(.connectionLost(wasSent: true), lastMessage) }

    private var lastMessage: String {
        PostgresAnswers.line(String(cString: PQerrorMessage(connection)))
    }

    /// Whether a transaction is open.
    var isInTransaction: Bool {
        let status = PQtransactionStatus(connection)
        return status == PQTRANS_INTRANS || status == PQTRANS_INERROR
    }
}

/// Takes what a server says beside its answers. libpq knows it by its address, so it is an object.
private final class NoticeReceiver: Sendable {
    private let take: @Sendable (String) -> Void

    init(_ take: @escaping @Sendable (String) -> Void) { self.take = take }

    /// It must live as long as the connection.
    func attach(to connection: OpaquePointer) {
        PQsetNoticeProcessor(
            connection,
            { context, message in
                guard let context, let message else { return }
                let receiver = Unmanaged<NoticeReceiver>.fromOpaque(context).takeUnretainedValue()
                receiver.take(PostgresAnswers.line(String(cString: message)))
            }, Unmanaged.passUnretained(self).toOpaque())
    }
}
