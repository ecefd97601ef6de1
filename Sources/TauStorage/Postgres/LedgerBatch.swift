internal import TauCore
internal import TauPostgres

/// Operations of the ledger as one statement of a batch of appends: each hold that fits in full, each charge whose hold is there. Of a
/// call there is one operation in a batch.
///
/// It never waits for an account: one that another transaction has locked is passed over, so that no append waits for a budget, and
/// nobody waits in a circle.
enum LedgerBatch {
    struct Answer {
        /// The calls of the operations that were done.
        var done: Set<String> = []
        /// The accounts that were free, as they are now.
        var accounts: [String: BudgetState] = [:]

        /// Whether something may not have been done because an account was not free, or not there yet.
        func lacks(_ operation: LedgerOperation) -> Bool {
            switch operation {
            case .hold(let request): request.accounts.contains { accounts[$0.id] == nil }
            case .settle: true
            case .add, .expire: false
            }
        }
    }

    static func statement(_ operations: [LedgerOperation]) -> PostgresStatement {
        var holds: [Hold] = []
        var parts: [(hold: Int64, account: BudgetAccount)] = []
        var charges: [Charge] = []
        var isAddition: [Int] = []
        for operation in operations {
            switch operation {
            case .hold(let request):
                holds.append(Hold(request, answerTokens: request.answerTokens))
                parts += request.accounts.map { (Int64(holds.count), $0) }
            case .settle(let charge), .add(let charge):
                charges.append(charge)
                if case .add = operation { isAddition.append(1) } else { isAddition.append(0) }
            case .expire: continue
            }
        }
        func limits(_ limit: (BudgetRule) -> Int?) -> PostgresValue {
            .numbers(parts.map { $0.account.rule.isHard ? limit($0.account.rule) ?? .max : .max })
        }
        return PostgresStatement(
            text,
            [
                .names(holds.map(\.id)), .numbers(holds.map(\.tokens)), .numbers(holds.map(\.nanoDollars)),
                .integers(holds.map(\.expiresAt.milliseconds)), .names(holds.map(\.charge.stored)),
                .integers(parts.map(\.hold)), .names(parts.map(\.account.id)), limits(\.tokens),
                limits(\.nanoDollars),
            ] + ChargeRows.parameters(charges) + [.numbers(isAddition)])
    }

    static func answer(_ result: PostgresResult) throws(PostgresError) -> Answer {
        var answer = Answer()
        for row in result.rows {
            guard !row.isNull(1) else {
                answer.done.insert(try row.text(0))
                continue
            }
            answer.accounts[try row.text(0)] = try BudgetState(row)
        }
        return answer
    }

    private static let text =
        "SELECT * FROM tau_carry(\((1...23).map { "$\($0)" }.joined(separator: ", ")))"

    /// A step of the schema, which does not change any more. Its first statement locks, so that the second sees what others did before.
    static let function = """
        CREATE FUNCTION tau_carry(
            hold_ids text[], hold_tokens int8[], hold_nanos int8[], hold_ends int8[], hold_charges text[],
            part_holds int8[], part_accounts text[], token_limits int8[], nano_limits int8[],
            charge_ids text[], times int8[], tenants text[], users text[], keys text[], charged_sessions text[],
            models text[], inputs int8[], outputs int8[], cache_reads int8[], cache_writes int8[], nanos int8[],
            estimations int8[], additions int8[]
        ) RETURNS TABLE (name text, used_tokens int8, held_tokens int8, used_nano int8, held_nano int8)
        LANGUAGE plpgsql AS $$
        #variable_conflict use_column
        DECLARE
            free text[];
        BEGIN
            free := ARRAY(
                SELECT id FROM budget_accounts WHERE id IN (
                    SELECT unnest(part_accounts)
                    UNION SELECT unnest(accounts) FROM budget_holds WHERE id = ANY(charge_ids))
                ORDER BY id FOR UPDATE SKIP LOCKED);
            RETURN QUERY
            WITH wish AS (
                SELECT * FROM unnest(hold_ids, hold_tokens, hold_nanos, hold_ends, hold_charges) WITH ORDINALITY
                    AS wish(id, tokens, nano, expires_at, charge, number)
            ), part AS (
                SELECT part.*, wish.tokens, wish.nano,
                    sum(wish.tokens) OVER together AS all_tokens, sum(wish.nano) OVER together AS all_nano
                FROM unnest(part_holds, part_accounts, token_limits, nano_limits)
                    AS part(number, account, token_limit, nano_limit) JOIN wish USING (number)
                WINDOW together AS (PARTITION BY part.account)
            ), refused AS (
                SELECT part.number FROM part LEFT JOIN budget_accounts AS account
                    ON account.id = part.account AND account.id = ANY(free)
                WHERE account.id IS NULL
                    OR account.used_tokens + account.held_tokens + part.all_tokens > part.token_limit
                    OR account.used_nano + account.held_nano + part.all_nano > part.nano_limit
                UNION SELECT wish.number FROM wish JOIN budget_holds USING (id)
            ), granted AS (
                INSERT INTO budget_holds (id, accounts, tokens, nano, expires_at, is_expired, charge)
                SELECT wish.id, array_agg(part.account ORDER BY part.account), wish.tokens, wish.nano,
                    wish.expires_at, false, wish.charge
                FROM wish JOIN part USING (number) WHERE number NOT IN (SELECT number FROM refused)
                GROUP BY wish.id, wish.tokens, wish.nano, wish.expires_at, wish.charge
                RETURNING id, accounts, tokens, nano
            ), spent AS (
                SELECT * FROM unnest(
                    charge_ids, times, tenants, users, keys, charged_sessions, models, inputs, outputs, cache_reads,
                    cache_writes, nanos, estimations, additions)
                    AS spent(id, at, tenant, user_id, key_id, session, model, input, output, cache_read,
                        cache_write, nano, is_estimated, is_addition)
            ), settled AS (
                DELETE FROM budget_holds WHERE id IN (SELECT id FROM spent WHERE is_addition = 0)
                    AND accounts <@ free
                RETURNING id, accounts, tokens, nano, is_expired
            ), done AS (
                SELECT id FROM settled UNION ALL SELECT id FROM spent WHERE is_addition = 1
            ), charged AS (
                INSERT INTO charges (id, at, tenant, user_id, key_id, session, model, input, output, cache_read,
                    cache_write, nano, is_estimated)
                SELECT id, at, tenant, user_id, key_id, session, model, input, output, cache_read, cache_write, nano,
                    is_estimated = 1
                FROM spent WHERE id IN (SELECT id FROM done)
                ON CONFLICT (id) DO UPDATE SET input = excluded.input, output = excluded.output,
                    cache_read = excluded.cache_read, cache_write = excluded.cache_write, nano = excluded.nano,
                    is_estimated = excluded.is_estimated
            ), difference AS (
                SELECT unnest(accounts) AS account, 0 AS used_tokens, tokens AS held_tokens, 0 AS used_nano,
                    nano AS held_nano
                FROM granted
                UNION ALL
                SELECT unnest(settled.accounts),
                    spent.input + spent.output + spent.cache_read + spent.cache_write
                        - CASE WHEN is_expired THEN settled.tokens ELSE 0 END,
                    CASE WHEN is_expired THEN 0 ELSE -settled.tokens END,
                    spent.nano - CASE WHEN is_expired THEN settled.nano ELSE 0 END,
                    CASE WHEN is_expired THEN 0 ELSE -settled.nano END
                FROM settled JOIN spent USING (id)
            ), total AS (
                SELECT account, sum(used_tokens)::int8 AS used_tokens, sum(held_tokens)::int8 AS held_tokens,
                    sum(used_nano)::int8 AS used_nano, sum(held_nano)::int8 AS held_nano
                FROM difference GROUP BY account
            ), changed AS (
                UPDATE budget_accounts AS account SET
                    used_tokens = account.used_tokens + total.used_tokens,
                    held_tokens = account.held_tokens + total.held_tokens,
                    used_nano = account.used_nano + total.used_nano,
                    held_nano = account.held_nano + total.held_nano
                FROM total WHERE account.id = total.account
                RETURNING account.id, account.used_tokens, account.held_tokens, account.used_nano, account.held_nano
            )
            SELECT id, NULL::int8, NULL::int8, NULL::int8, NULL::int8 FROM granted
            UNION ALL SELECT id, NULL, NULL, NULL, NULL FROM done
            UNION ALL SELECT * FROM changed
            UNION ALL SELECT id, used_tokens, held_tokens, used_nano, held_nano FROM budget_accounts
                WHERE id = ANY(free) AND id NOT IN (SELECT account FROM total);
        END
        $$
        """
}
