internal import Hummingbird
internal import TauCore
internal import TauRuntime

/// `/usage`: what the caller has used of models, and what is left.
struct UsageRoutes: Sendable {
    let runtime: AgentRuntime
    let now: @Sendable () -> Timestamp

    /// Groups of one answer.
    private static let maxGroups = 1000

    func usage(_ request: Request, _ context: EdgeContext) async throws -> Response {
        let principal = try context.requirePrincipal()
        let expected = "a day such as 2026-11-27 or a time such as 2026-11-27T12:00:00Z"
        func time(_ name: String) throws(Problem) -> Timestamp? {
            try request.query(name, expected) { Timestamp($0) ?? Timestamp("\($0)T00:00:00Z") }
        }
        let end = now()
        let grouping = try request.query("groupBy", "day, model or session") { UsageQuery.Grouping(rawValue: $0) }
        let query = UsageQuery(
            owner: principal.owner,
            from: try time("from") ?? Timestamp("\(end.description.prefix(7))-01T00:00:00Z") ?? end,
            to: try time("to") ?? Timestamp(milliseconds: end.milliseconds + 1), grouping: grouping ?? .day,
            limit: Self.maxGroups)
        guard query.from <= query.to else {
            throw Problem(
                .badRequest, "from must not lie after to.", errors: [.init(path: "from", message: "lies after to")])
        }
        let groups = try await runtime.usage(query)
        let budgets = try await runtime.budgets(of: principal.owner, keyID: principal.keyID)
        return .json { writer in
            writer.object { writer in
                writer.member("from", query.from.description)
                writer.member("to", query.to.description)
                writer.key("data")
                writer.array { writer in
                    for group in groups { group.write(to: &writer, as: query.grouping.rawValue) }
                }
                writer.key("total")
                groups.total.writeUsage(to: &writer)
                writer.key("budget")
                Self.writeOwn(budgets, to: &writer)
                writer.key("budgets")
                writer.array { writer in
                    for (account, state) in budgets { Self.write(account, state, to: &writer) }
                }
            }
        }
    }

    /// The tokens of the user's own budget; no limit is null.
    private static func writeOwn(
        _ budgets: [(account: BudgetAccount, state: BudgetState)], to writer: inout JSONWriter
    ) {
        let own = budgets.first { $0.account.rule.scope == .user && $0.account.rule.tokens != nil }
        guard let (account, state) = own else { return writer.null() }
        writer.object { writer in
            writer.part(account.rule.tokens, used: state.usedTokens, held: state.heldTokens) { $0.integer($1) }
            writer.member("resetsAt", account.resetsAt.description)
        }
    }

    private static func write(_ account: BudgetAccount, _ state: BudgetState, to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("scope", account.rule.scope.rawValue)
            writer.member("window", account.rule.window.rawValue)
            writer.member("mode", account.rule.isHard ? "hard" : "warn")
            writer.member("resetsAt", account.resetsAt.description)
            writer.key("tokens")
            writer.object { writer in
                writer.part(account.rule.tokens, used: state.usedTokens, held: state.heldTokens) { $0.integer($1) }
            }
            writer.key("dollars")
            writer.object { writer in
                writer.part(account.rule.nanoDollars, used: state.usedNanoDollars, held: state.heldNanoDollars) {
                    $0.double(Double($1) / 1e9)
                }
            }
        }
    }
}

extension JSONWriter {
    fileprivate mutating func part(
        _ limit: Int?, used: Int, held: Int, _ write: (inout JSONWriter, Int) -> Void
    ) {
        let remaining = limit.map { max(0, $0 - used - held) }
        for (name, value) in [("limit", limit), ("used", used), ("held", held), ("remaining", remaining)] {
            key(name)
            if let value { write(&self, value) } else { null() }
        }
    }
}

extension UsageGroup {
    fileprivate func write(to writer: inout JSONWriter, as grouping: String) {
        writer.object { writer in
            writer.member(grouping, name)
            writer.member("calls", calls)
            writer.key("usage")
            writeUsage(to: &writer)
        }
    }

    fileprivate func writeUsage(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("input", input)
            writer.member("output", output)
            writer.member("cacheRead", cacheRead)
            writer.member("cacheWrite", cacheWrite)
            writer.member("totalTokens", input + output + cacheRead + cacheWrite)
            writer.key("cost")
            writer.object { writer in
                writer.key("total")
                writer.double(Double(nanoDollars) / 1e9)
            }
        }
    }
}

extension [UsageGroup] {
    fileprivate var total: UsageGroup {
        reduce(into: UsageGroup(name: "")) { total, group in
            total.calls += group.calls
            total.input += group.input
            total.output += group.output
            total.cacheRead += group.cacheRead
            total.cacheWrite += group.cacheWrite
            total.nanoDollars += group.nanoDollars
        }
    }
}
