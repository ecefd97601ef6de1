internal import TauCore
internal import TauPostgres

/// The ledger of all servers on one database. Accounts are locked in the order of their names, so that nobody waits in a circle.
struct PostgresLedger: LedgerBackend {
    let pool: PostgresPool

    func apply(
        _ operations: [LedgerOperation]
    ) async throws(StoreError) -> (outcomes: [HoldOutcome?], accounts: [String: BudgetState]) {
        // Charges alone touch nothing that others wait for.
        let touchesAccounts = operations.contains { if case .add = $0 { false } else { true } }
        let reading = touchesAccounts ? Self.reading(operations) : []
        return try await storing { () throws(PostgresError) in
            try await pool.withConnection { connection throws(PostgresError) in
                try await connection.transaction(after: reading) { connection, answers throws(PostgresError) in
                    var book = LedgerBook(accounts: [:], holds: [:])
                    if touchesAccounts { book = try await Self.book(operations, answers, connection) }
                    let outcomes = operations.map { $0.apply(to: &book) }
                    return ((outcomes, book.accounts), Self.saving(book))
                }
            }
        }
    }

    // MARK: Loading

    /// Locks the accounts, and only then looks at the holds, because others may have settled or expired them meanwhile. Which accounts a
    /// hold has never changes.
    private static func reading(_ operations: [LedgerOperation]) -> [PostgresStatement] {
        let ids = PostgresValue.names(operations.compactMap(\.holdID))
        let locking = PostgresStatement(
            """
            SELECT \(stateColumns) FROM budget_accounts WHERE id IN (
                SELECT unnest($1::text[]) UNION SELECT unnest(accounts) FROM budget_holds WHERE id = ANY($2::text[]))
            ORDER BY id FOR UPDATE
            """, [.names(wanted(operations)), ids])
        let holds = PostgresStatement(
            """
            SELECT id, array_to_json(accounts)::text, tokens, nano, expires_at, is_expired, charge FROM budget_holds
            WHERE id = ANY($1::text[])
            """, [ids])
        return [locking, holds]
    }

    /// The accounts of wishes for holds, which there may not be yet.
    private static func wanted(_ operations: [LedgerOperation]) -> Set<String> {
        var accounts: Set<String> = []
        for case .hold(let request) in operations { accounts.formUnion(request.accounts.map(\.id)) }
        return accounts
    }

    private static func book(
        _ operations: [LedgerOperation], _ answers: [PostgresResult], _ connection: PostgresConnection
    ) async throws(PostgresError) -> LedgerBook {
        var book = LedgerBook(accounts: try states(answers[0]), holds: try holds(answers[1]))
        // Nothing may be reckoned on an account that was not read, whatever the reason.
        let needed = wanted(operations).union(book.holds.values.flatMap(\.accountIDs))
        let missing = needed.subtracting(book.accounts.keys)
        if !missing.isEmpty {
            // The first use in this window. What is locked is let go of, so that all are locked in their order.
            try await connection.query("ROLLBACK AND CHAIN")
            try await connection.query(
                "INSERT INTO budget_accounts (id) SELECT id FROM unnest($1::text[]) AS new(id) ORDER BY id ON CONFLICT DO NOTHING",
                .names(missing))
            try await connection.query("COMMIT AND CHAIN")
            var answers: [PostgresResult] = []
            for statement in reading(operations) { answers.append(try await connection.query(statement)) }
            book = LedgerBook(accounts: try states(answers[0]), holds: try holds(answers[1]))
        }
        return book
    }

    private static func holds(_ result: PostgresResult) throws(PostgresError) -> [String: Hold] {
        var holds: [String: Hold] = [:]
        for row in result.rows {
            guard let charge = Charge(storedIn: try row.text(6)) else { continue }
            let hold = Hold(
                id: try row.text(0), accountIDs: StoredNames.parse(try row.text(1)), tokens: Int(try row.integer(2)),
                nanoDollars: Int(try row.integer(3)), expiresAt: Timestamp(milliseconds: try row.integer(4)),
                isExpired: try row.bool(5), charge: charge)
            holds[hold.id] = hold
        }
        return holds
    }

    private static let stateColumns = "id, used_tokens, held_tokens, used_nano, held_nano"

    private static func states(_ result: PostgresResult) throws(PostgresError) -> [String: BudgetState] {
        var states: [String: BudgetState] = [:]
        for row in result.rows {
            states[try row.text(0)] = try BudgetState(row)
        }
        return states
    }

    // MARK: Saving

    private static func saving(_ book: LedgerBook) -> [PostgresStatement] {
        var statements: [PostgresStatement] = []
        if !book.changedAccounts.isEmpty { statements.append(accounts(book)) }
        let gone = book.changedHolds.filter { book.holds[$0] == nil }
        if !gone.isEmpty {
            statements.append(
                PostgresStatement("DELETE FROM budget_holds WHERE id = ANY($1::text[])", [.names(gone)]))
        }
        let kept = book.changedHolds.compactMap { book.holds[$0] }
        if !kept.isEmpty { statements.append(put(kept)) }
        if !book.charges.isEmpty { statements.append(ChargeRows.statement(book.charges)) }
        return statements
    }

    private static func accounts(_ book: LedgerBook) -> PostgresStatement {
        let changed = book.changedAccounts.sorted()
        let states = changed.map { book.accounts[$0] ?? BudgetState() }
        return PostgresStatement(
            """
            UPDATE budget_accounts AS account SET used_tokens = new.used_tokens, held_tokens = new.held_tokens,
                used_nano = new.used_nano, held_nano = new.held_nano
            FROM unnest($1::text[], $2::int8[], $3::int8[], $4::int8[], $5::int8[])
                AS new(id, used_tokens, held_tokens, used_nano, held_nano)
            WHERE account.id = new.id
            """,
            [
                .names(changed), .numbers(states.map(\.usedTokens)), .numbers(states.map(\.heldTokens)),
                .numbers(states.map(\.usedNanoDollars)), .numbers(states.map(\.heldNanoDollars)),
            ])
    }

    private static func put(_ holds: [Hold]) -> PostgresStatement {
        PostgresStatement(
            """
            INSERT INTO budget_holds (id, accounts, tokens, nano, expires_at, is_expired, charge)
            SELECT id, ARRAY(SELECT json_array_elements_text(accounts::json)), tokens, nano, expires_at,
                is_expired = 1, charge
            FROM unnest($1::text[], $2::text[], $3::int8[], $4::int8[], $5::int8[], $6::int8[], $7::text[])
                AS new(id, accounts, tokens, nano, expires_at, is_expired, charge)
            ON CONFLICT (id) DO UPDATE SET is_expired = excluded.is_expired
            """,
            [
                .names(holds.map(\.id)), .names(holds.map { StoredNames.text($0.accountIDs) }),
                .numbers(holds.map(\.tokens)), .numbers(holds.map(\.nanoDollars)),
                .integers(holds.map(\.expiresAt.milliseconds)), .numbers(holds.map { $0.isExpired ? 1 : 0 }),
                .names(holds.map(\.charge.stored)),
            ])
    }

    // MARK: Reading

    func expired(before time: Timestamp, limit: Int) async throws(StoreError) -> [Charge] {
        let statement = PostgresStatement(
            "SELECT charge FROM budget_holds WHERE NOT is_expired AND expires_at < $1 LIMIT $2",
            [.integer(time.milliseconds), .integer(Int64(limit))])
        return try await storing { () throws(PostgresError) in
            var charges: [Charge] = []
            for row in try await pool.query(statement, isRepeatable: true).rows {
                if let charge = Charge(storedIn: try row.text(0)) { charges.append(charge) }
            }
            return charges
        }
    }

    func states(of accounts: [String]) async throws(StoreError) -> [String: BudgetState] {
        let statement = PostgresStatement(
            "SELECT \(Self.stateColumns) FROM budget_accounts WHERE id = ANY($1::text[])", [.names(accounts)])
        return try await storing { () throws(PostgresError) in
            try Self.states(try await pool.query(statement, isRepeatable: true))
        }
    }

    func usage(_ query: UsageQuery) async throws(StoreError) -> [UsageGroup] {
        let name =
            switch query.grouping {
            case .day: "to_char(to_timestamp(at / 1000.0) AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
            case .model: "model"
            case .session: "session"
            }
        let statement = PostgresStatement(
            """
            SELECT \(name) AS name, count(*), sum(input)::int8, sum(output)::int8, sum(cache_read)::int8,
                sum(cache_write)::int8, sum(nano)::int8 AS nano
            FROM charges WHERE tenant = $1 AND user_id = $2 AND at >= $3 AND at < $4
            GROUP BY 1 ORDER BY \(query.grouping == .day ? "name DESC" : "nano DESC, name") LIMIT $5
            """,
            [
                .utf8(EntryRows.text(query.owner.tenantID)), .utf8(EntryRows.text(query.owner.userID)),
                .integer(query.from.milliseconds), .integer(query.to.milliseconds), .integer(Int64(query.limit)),
            ])
        return try await storing { () throws(PostgresError) in
            var groups: [UsageGroup] = []
            for row in try await pool.query(statement, isRepeatable: true).rows {
                var group = UsageGroup(name: try row.text(0))
                group.calls = Int(try row.integer(1))
                group.input = Int(try row.integer(2))
                group.output = Int(try row.integer(3))
                group.cacheRead = Int(try row.integer(4))
                group.cacheWrite = Int(try row.integer(5))
                group.nanoDollars = Int(try row.integer(6))
                groups.append(group)
            }
            return groups
        }
    }
}

extension BudgetState {
    /// Of a row of an account's name and its four amounts.
    init(_ row: PostgresRow) throws(PostgresError) {
        self.init()
        usedTokens = Int(try row.integer(1))
        heldTokens = Int(try row.integer(2))
        usedNanoDollars = Int(try row.integer(3))
        heldNanoDollars = Int(try row.integer(4))
    }
}
