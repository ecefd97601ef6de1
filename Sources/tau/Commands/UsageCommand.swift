internal import ArgumentParser
internal import TauCore

/// `tau usage`: what was used of models, and what is left.
struct UsageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "usage", abstract: "Show what you have used of models, and what is left of your budgets.",
        discussion: """
            \(ClientOptions.discussion)

            EXAMPLES
              tau usage
              tau usage --by model --from 2026-01-01
              tau usage --by session --json
            """)

    @OptionGroup var client: ClientOptions

    @Option(name: .customLong("by"), help: ArgumentHelp("day, model or session.", valueName: "group"))
    var grouping = "day"

    @Option(help: ArgumentHelp("The first day. Default: the first of this month.", valueName: "day"))
    var from: String?

    @Option(help: ArgumentHelp("The day behind the last one. Default: now.", valueName: "day"))
    var to: String?

    @Flag(help: "As JSON, as GET /usage answers it.") var json = false

    func validate() throws {
        guard ["day", "model", "session"].contains(grouping) else {
            throw ValidationError("--by must be day, model or session")
        }
    }

    func run() async throws {
        try await client.run { client in
            var query = "groupBy=\(grouping)"
            if let from { query += "&from=\(TauClient.encoded(from))" }
            if let to { query += "&to=\(TauClient.encoded(to))" }
            let usage = try await client.call("GET", "/usage?\(query)")
            if json { return Terminal.writeJSON(usage) }
            for line in Self.lines(usage, grouping) { print(line) }
            let budgets = usage["budgets"]?.array ?? []
            if !budgets.isEmpty, Terminal.outputIsTerminal { print() }
            for budget in budgets { print(Self.line(ofBudget: budget)) }
        }
    }

    /// Characters of the longest bar.
    private static let barWidth = 30

    private static func lines(_ usage: JSONValue, _ grouping: String) -> [String] {
        var groups = usage["data"]?.array ?? []
        // Days as they came, the others by what they cost.
        if grouping == "day" { groups.reverse() }
        let tokens = groups.map { $0["usage"]?["totalTokens"]?.integer ?? 0 }
        let most = max(1, tokens.max() ?? 1)
        return zip(groups, tokens).map { group, tokens in
            let length = tokens == 0 ? 0 : max(1, tokens * barWidth / most)
            let bar = Terminal.styled(String(repeating: "█", count: length), .cyan)
            return Terminal.columns(
                [
                    Terminal.line(group[grouping]?.string ?? "", 40), "\(group["calls"]?.integer ?? 0) calls",
                    "\(tokens) tokens", dollars(group["usage"]?["cost"]?["total"]),
                    Terminal.outputIsTerminal ? bar : "",
                ], widths: [grouping == "day" ? 10 : 36, 11, 17, 10, 0])
        }
    }

    private static func line(ofBudget budget: JSONValue) -> String {
        var parts: [String] = []
        if let limit = budget["tokens"]?["limit"]?.integer {
            let part = budget["tokens"]
            let used = (part?["used"]?.integer ?? 0) + (part?["held"]?.integer ?? 0)
            parts.append("\(used) of \(limit) tokens")
        }
        if let limit = budget["dollars"]?["limit"], !limit.isNull {
            let part = budget["dollars"]
            let used = (part?["used"]?.double ?? 0) + (part?["held"]?.double ?? 0)
            parts.append("\(text(used)) of \(dollars(limit))")
        }
        let name = "\(budget["scope"]?.string ?? "") a \(budget["window"]?.string ?? "")"
        return Terminal.columns(
            [
                name, parts.joined(separator: ", "), budget["mode"] == "warn" ? "only warns" : "",
                "until \((budget["resetsAt"]?.string ?? "").prefix(10))",
            ], widths: [14, 40, 10, 0])
    }

    private static func dollars(_ value: JSONValue?) -> String { text(value?.double ?? 0) }

    private static func text(_ dollars: Double) -> String {
        "$" + JSONWriter.javaScriptNumber((dollars * 1e4).rounded() / 1e4)
    }
}
