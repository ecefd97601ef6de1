internal import TauCore
internal import TauPostgres

/// Charges as rows of one statement.
enum ChargeRows {
    static let columns = """
        id, at, tenant, user_id, key_id, session, model, input, output, cache_read, cache_write, nano, is_estimated
        """

    /// Adds the charges; one of the same id takes the other's place. A statement writes a row once.
    static func statement(_ charges: [Charge]) -> PostgresStatement {
        let latest = Dictionary(charges.map { ($0.id, $0) }) { _, later in later }.values
        return PostgresStatement(
            """
            INSERT INTO charges (\(columns))
            SELECT id, at, tenant, user_id, key_id, session, model, input, output, cache_read, cache_write, nano,
                is_estimated = 1
            FROM unnest($1::text[], $2::int8[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                $8::int8[], $9::int8[], $10::int8[], $11::int8[], $12::int8[], $13::int8[]) AS new(\(columns))
            ON CONFLICT (id) DO UPDATE SET input = excluded.input, output = excluded.output,
                cache_read = excluded.cache_read, cache_write = excluded.cache_write, nano = excluded.nano,
                is_estimated = excluded.is_estimated
            """, parameters(Array(latest)))
    }

    /// One list for each column.
    static func parameters(_ charges: [Charge]) -> [PostgresValue] {
        [
            .names(charges.map(\.id)), .integers(charges.map(\.time.milliseconds)),
            .names(charges.map(\.owner.tenantID)), .names(charges.map(\.owner.userID)),
            .texts(charges.map { $0.keyID.map { EntryRows.text($0) } }), .names(charges.map(\.sessionID.rawValue)),
            .names(charges.map(\.model.description)), .numbers(charges.map(\.input)), .numbers(charges.map(\.output)),
            .numbers(charges.map(\.cacheRead)), .numbers(charges.map(\.cacheWrite)),
            .numbers(charges.map(\.nanoDollars)), .numbers(charges.map { $0.isEstimated ? 1 : 0 }),
        ]
    }
}

extension PostgresValue {
    static func names(_ names: some Sequence<String>) -> PostgresValue { .texts(names.map { EntryRows.text($0) }) }

    static func numbers(_ values: [Int]) -> PostgresValue { .integers(values.map { Int64($0) }) }
}
