internal import TauCore
internal import TauPostgres

/// The list of sessions and what a search looks through, as tables that follow the lines.
///
/// An append only marks its session; what it says is read before the next question is answered, and now and then in between. The
/// tables are a function of the lines alone.
struct PostgresCatalog: Sendable {
    private let pool: PostgresPool
    let limits: SessionFile.Limits

    init(pool: PostgresPool, limits: SessionFile.Limits) {
        self.pool = pool
        self.limits = limits
    }

    // MARK: Keeping up

    /// Sessions that are read in one transaction.
    private static let sessionsPerTransaction = 50

    /// Reads what has been appended up to now; with `quietSeconds` only where nothing has come for so long, so that sessions at work
    /// are read in larger pieces.
    func bringUpToDate(quietSeconds: Int = 0) async throws(StoreError) {
        try await storing { () throws(PostgresError) in
            let stale = PostgresStatement(
                """
                SELECT session_id FROM session_heads
                WHERE is_stale AND ($1 = 0 OR appended_at < now() - make_interval(secs => $1))
                ORDER BY session_id
                """, [.double(Double(quietSeconds))])
            var ids: [[UInt8]] = []
            for row in try await pool.query(stale, isRepeatable: true).rows { ids.append(try row.bytes(0)) }
            try await update(ids)
        }
    }

    /// Reads what has been appended to these sessions.
    func bringUpToDate(_ ids: [[UInt8]]) async throws(StoreError) {
        try await storing { () throws(PostgresError) in try await update(ids) }
    }

    private func update(_ ids: [[UInt8]]) async throws(PostgresError) {
        var ids = ids
        while !ids.isEmpty {
            let part = Array(ids.prefix(Self.sessionsPerTransaction))
            let done = try await pool.withConnection { connection throws(PostgresError) in
                try await connection.transaction { connection throws(PostgresError) in
                    try await CatalogUpdate(connection).run(part)
                }
            }
            ids.removeAll(where: done.contains)
        }
    }

    // MARK: Asking

    /// One page of what the tables have.
    func page(_ query: SessionQuery, from reading: ReadPool) async throws(StoreError) -> SessionPage {
        let column = query.order == .updatedAt ? "updated_at" : "created_at"
        var conditions: [String] = []
        var parameters: [PostgresValue] = []
        func parameter(_ value: PostgresValue) -> String {
            parameters.append(value)
            return "$\(parameters.count)"
        }
        if let owner = query.owner {
            conditions.append("tenant = \(parameter(.utf8(EntryRows.text(owner.tenantID))))")
            conditions.append("user_id = \(parameter(.utf8(EntryRows.text(owner.userID))))")
        }
        if let cursor = query.cursor {
            guard let position = ListPosition(cursor) else {
                throw StoreError(.badCursor, "the cursor is not one of this list")
            }
            let (time, id) = (parameter(.integer(position.time)), parameter(.utf8(EntryRows.text(position.id))))
            conditions.append("(\(column), public_id) < (\(time), \(id))")
        }
        for word in (query.search ?? "").split(whereSeparator: \.isWhitespace).prefix(SearchWords.maxWords) {
            // The beginning of a word, or characters of Chinese or Japanese in this order.
            let words = parameter(.text(SearchWords.normalized(String(word))))
            conditions.append(
                """
                id IN (SELECT session_id FROM session_texts
                    WHERE words @@ (nullif(phraseto_tsquery('simple', \(words))::text, '') || ':*')::tsquery)
                """)
        }
        let statement = PostgresStatement(
            """
            SELECT \(Self.columns) FROM sessions
            \(conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND "))
            ORDER BY \(column) DESC, public_id DESC LIMIT \(query.limit + 1)
            """, parameters)
        let summaries = try await storing { () throws(PostgresError) in
            var summaries: [SessionSummary] = []
            let result = try await reading.read { pool throws(PostgresError) in
                try await pool.query(statement, isRepeatable: true)
            }
            for row in result.rows { summaries.append(try Self.summary(row)) }
            return summaries
        }
        // One more than asked for tells whether there is a next page.
        let page = Array(summaries.prefix(query.limit))
        let next = summaries.count > page.count ? page.last.map { ListPosition($0, query.order).text } : nil
        return SessionPage(sessions: page, nextCursor: next)
    }

    /// What the list has of one session.
    func summary(of id: SessionID) async throws(StoreError) -> SessionSummary? {
        let statement = PostgresStatement("SELECT \(Self.columns) FROM sessions WHERE id = $1", [.uuid(id.uuid)])
        return try await storing { () throws(PostgresError) in
            try await pool.query(statement, isRepeatable: true).rows.first
                .map { row throws(PostgresError) in try Self.summary(row) }
        }
    }

    private static let columns = "public_id, created_at, totals, tier = 'archived', tenant, user_id"

    private static func summary(_ row: PostgresRow) throws(PostgresError) -> SessionSummary {
        let stored = StoredTotals(parsing: try row.bytes(2))
        var summary = SessionSummary(
            id: SessionID(unchecked: try row.text(0)), createdAt: Timestamp(milliseconds: try row.integer(1)),
            totals: stored.totals, settings: stored.settings)
        summary.owner = Owner(tenantID: try row.text(4), userID: try row.text(5))
        summary.tier = try row.bool(3) ? .archived : .hot
        return summary
    }
}
