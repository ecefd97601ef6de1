internal import GRDB
internal import TauCore

/// The ledger of one machine, in the file of its accounts.
struct DatabaseLedger: LedgerBackend {
    let file: DatabaseFile

    static let layout = """
        CREATE TABLE budget_accounts (
            id TEXT PRIMARY KEY,
            used_tokens INTEGER NOT NULL,
            held_tokens INTEGER NOT NULL,
            used_nano INTEGER NOT NULL,
            held_nano INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE budget_holds (
            id TEXT PRIMARY KEY,
            accounts TEXT NOT NULL,
            tokens INTEGER NOT NULL,
            nano INTEGER NOT NULL,
            expires_at INTEGER NOT NULL,
            is_expired INTEGER NOT NULL,
            charge TEXT NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX budget_holds_by_end ON budget_holds (expires_at) WHERE NOT is_expired;
        CREATE TABLE charges (
            id TEXT PRIMARY KEY,
            at INTEGER NOT NULL,
            tenant TEXT NOT NULL,
            user_id TEXT NOT NULL,
            key_id TEXT,
            session TEXT NOT NULL,
            model TEXT NOT NULL,
            input INTEGER NOT NULL,
            output INTEGER NOT NULL,
            cache_read INTEGER NOT NULL,
            cache_write INTEGER NOT NULL,
            nano INTEGER NOT NULL,
            is_estimated INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX charges_of_owner ON charges (tenant, user_id, at);
        """

    func apply(
        _ operations: [LedgerOperation]
    ) async throws(StoreError) -> (outcomes: [HoldOutcome?], accounts: [String: BudgetState]) {
        try await file.write { db in
            var book = try Self.load(operations, db)
            let outcomes = operations.map { $0.apply(to: &book) }
            try Self.save(book, db)
            return (outcomes, book.accounts)
        }
    }

    private static func load(_ operations: [LedgerOperation], _ db: Database) throws -> LedgerBook {
        var holds: [String: Hold] = [:]
        var accounts: Set<String> = []
        func take(_ row: Row?) {
            guard let row, let charge = Charge(storedIn: row["charge"]) else { return }
            let hold = Hold(
                id: row["id"], accountIDs: StoredNames.parse(row["accounts"]), tokens: row["tokens"],
                nanoDollars: row["nano"], expiresAt: Timestamp(milliseconds: row["expires_at"]),
                isExpired: row["is_expired"], charge: charge)
            holds[hold.id] = hold
            accounts.formUnion(hold.accountIDs)
        }
        for operation in operations {
            if let id = operation.holdID {
                take(
                    try Row.fetchOne(
                        db.cachedStatement(sql: "SELECT * FROM budget_holds WHERE id = ?"), arguments: [id]))
            }
            if case .hold(let request) = operation { accounts.formUnion(request.accounts.map(\.id)) }
        }
        return LedgerBook(accounts: try states(of: Array(accounts), db), holds: holds)
    }

    private static func states(of accounts: [String], _ db: Database) throws -> [String: BudgetState] {
        let statement = try db.cachedStatement(sql: "SELECT * FROM budget_accounts WHERE id = ?")
        var states: [String: BudgetState] = [:]
        for id in accounts {
            guard let row = try Row.fetchOne(statement, arguments: [id]) else { continue }
            var state = BudgetState()
            state.usedTokens = row["used_tokens"]
            state.heldTokens = row["held_tokens"]
            state.usedNanoDollars = row["used_nano"]
            state.heldNanoDollars = row["held_nano"]
            states[id] = state
        }
        return states
    }

    private static func save(_ book: LedgerBook, _ db: Database) throws {
        let account = try db.cachedStatement(sql: "INSERT OR REPLACE INTO budget_accounts VALUES (?, ?, ?, ?, ?)")
        for id in book.changedAccounts {
            let state = book.accounts[id] ?? BudgetState()
            try account.execute(arguments: [
                id, state.usedTokens, state.heldTokens, state.usedNanoDollars, state.heldNanoDollars,
            ])
        }
        let put = try db.cachedStatement(sql: "INSERT OR REPLACE INTO budget_holds VALUES (?, ?, ?, ?, ?, ?, ?)")
        let remove = try db.cachedStatement(sql: "DELETE FROM budget_holds WHERE id = ?")
        for id in book.changedHolds {
            guard let hold = book.holds[id] else {
                try remove.execute(arguments: [id])
                continue
            }
            try put.execute(arguments: [
                id, StoredNames.text(hold.accountIDs), hold.tokens, hold.nanoDollars, hold.expiresAt.milliseconds,
                hold.isExpired, hold.charge.stored,
            ])
        }
        let charging = try db.cachedStatement(
            sql: "INSERT OR REPLACE INTO charges VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        for charge in book.charges {
            try charging.execute(arguments: [
                charge.id, charge.time.milliseconds, charge.owner.tenantID, charge.owner.userID, charge.keyID,
                charge.sessionID.rawValue, charge.model.description, charge.input, charge.output, charge.cacheRead,
                charge.cacheWrite, charge.nanoDollars, charge.isEstimated,
            ])
        }
    }

    func expired(before time: Timestamp, limit: Int) async throws(StoreError) -> [Charge] {
        guard file.exists else { return [] }
        return try await file.read { db in
            try String.fetchAll(
                db, sql: "SELECT charge FROM budget_holds WHERE NOT is_expired AND expires_at < ? LIMIT ?",
                arguments: [time.milliseconds, limit]
            ).compactMap { Charge(storedIn: $0) }
        }
    }

    func states(of accounts: [String]) async throws(StoreError) -> [String: BudgetState] {
        guard file.exists else { return [:] }
        return try await file.read { db in try Self.states(of: accounts, db) }
    }

    func usage(_ query: UsageQuery) async throws(StoreError) -> [UsageGroup] {
        guard file.exists else { return [] }
        let name =
            switch query.grouping {
            case .day: "strftime('%Y-%m-%d', at / 1000, 'unixepoch')"
            case .model: "model"
            case .session: "session"
            }
        let order = query.grouping == .day ? "name DESC" : "nano DESC, name"
        return try await file.read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT \(name) AS name, count(*) AS calls, sum(input) AS input, sum(output) AS output,
                        sum(cache_read) AS cache_read, sum(cache_write) AS cache_write, sum(nano) AS nano
                    FROM charges WHERE tenant = ? AND user_id = ? AND at >= ? AND at < ?
                    GROUP BY 1 ORDER BY \(order) LIMIT ?
                    """,
                arguments: [
                    query.owner.tenantID, query.owner.userID, query.from.milliseconds, query.to.milliseconds,
                    query.limit,
                ]
            ).map { row in
                var group = UsageGroup(name: row["name"])
                group.calls = row["calls"]
                group.input = row["input"]
                group.output = row["output"]
                group.cacheRead = row["cache_read"]
                group.cacheWrite = row["cache_write"]
                group.nanoDollars = row["nano"]
                return group
            }
        }
    }
}
