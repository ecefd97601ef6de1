internal import TauCore
internal import TauPostgres

/// The connection of one of the writer's threads. A batch goes over it as one transaction, in one round trip.
struct BatchConnection: ~Copyable {
    typealias Outcome = BatchWriter.Outcome

    struct Outcomes {
        var appends: [Outcome] = []
        var notes = Outcome.success(())
        /// What the ledger answers; nil where nothing of it is done, or nobody can tell.
        var ledger: LedgerBatch.Answer?
    }

    private let configuration: PostgresConfiguration
    private let runs: RunRows
    private var link: PostgresLink?

    /// Connects when there is something to send.
    init(_ configuration: PostgresConfiguration, runs: RunRows) {
        self.configuration = configuration
        self.runs = runs
    }

    mutating func write(
        _ appends: [SessionAppend], notes: [RunRecord], ledger operations: [LedgerOperation]
    ) throws(PostgresError) -> Outcomes {
        let notes = notes.isEmpty ? nil : runs.statement(notes)
        // Last, so that accounts are locked for the commit only.
        let ledger = operations.isEmpty ? nil : LedgerBatch.statement(operations)
        let appending = appends.isEmpty ? nil : AppendBatch.statement(appends, runs)
        let statements = [appending, notes, ledger].compactMap(\.self)
        guard !statements.isEmpty else { return Outcomes() }
        let results = try send(statements, isAtomic: true)
        if let failure = results.lazy.compactMap(\.failure).first {
            guard failure.state != nil, !failure.endsConnection else { throw failure }
            return try isolate(appends, notes, ledger)
        }
        let made = appends.isEmpty ? [] : try AppendBatch.made(try results[0].get())
        var outcomes = Outcomes()
        outcomes.appends = appends.indices.map { made.contains($0) ? .success(()) : Self.refused }
        if ledger != nil, let result = results.last { outcomes.ledger = try LedgerBatch.answer(try result.get()) }
        return outcomes
    }

    /// One of them is bad: each goes alone, so that the others are not touched by it.
    private mutating func isolate(
        _ appends: [SessionAppend], _ notes: PostgresStatement?, _ ledger: PostgresStatement?
    ) throws(PostgresError) -> Outcomes {
        let statements = appends.map { AppendBatch.statement([$0], runs) } + [notes, ledger].compactMap(\.self)
        let results = try send(statements, isAtomic: false)
        var outcomes = Outcomes()
        outcomes.appends = results.prefix(appends.count).map { result -> Outcome in
            do throws(PostgresError) {
                return try AppendBatch.made(try result.get()).isEmpty ? Self.refused : .success(())
            } catch {
                return .failure(StoreError(error))
            }
        }
        if notes != nil, let failure = results[appends.count].failure { outcomes.notes = .failure(StoreError(failure)) }
        if ledger != nil, case .success(let result)? = results.last {
            outcomes.ledger = try LedgerBatch.answer(result)
        }
        return outcomes
    }

    private static let refused = Outcome.failure(
        StoreError(.conflict, "the session's last entry is not the expected one, or another server has its lease"))

    private func connect() throws(PostgresError) -> PostgresLink {
        var link = try PostgresLink.connect(configuration) { _ in }
        // Without them each execution is planned for the tables as they are.
        guard configuration.preparesStatements else { return link }
        for result in try link.run(AppendBatch.planning, isAtomic: true) { _ = try result.get() }
        return link
    }

    /// Sends on a connection that is made if there is none, and once more on a new one where nothing was sent.
    private mutating func send(
        _ statements: [PostgresStatement], isAtomic: Bool
    ) throws(PostgresError) -> [Result<PostgresResult, PostgresError>] {
        for _ in 0..<2 {
            if link == nil { link = try connect() }
            do throws(PostgresError) {
                guard let results = try link?.run(statements, isAtomic: isAtomic) else { break }
                if (link?.isSpent ?? true) || results.contains(where: { $0.failure?.endsConnection == true }) {
                    link = nil
                }
                return results
            } catch {
                link = nil
                guard error.code == .connectionLost(wasSent: false) else { throw error }
            }
        }
        throw PostgresError(.connectionLost(wasSent: false), "the connection breaks as soon as it is made")
    }
}

extension Result {
    fileprivate var failure: Failure? {
        if case .failure(let error) = self { error } else { nil }
    }
}
