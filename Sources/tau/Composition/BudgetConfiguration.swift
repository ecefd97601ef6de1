internal import Configuration
internal import TauCore
internal import TauRuntime

extension BudgetSettings {
    /// Reads `budget.…`. The short keys are for each user; `budget.tenant.day.tokens` and the like for everything else.
    mutating func apply(_ settings: Settings) throws {
        holdSeconds = try settings.integer("budget.holdSeconds", 1...86_400) ?? holdSeconds
        minAnswerTokens = try settings.integer("budget.minAnswerTokens", 1...1_000_000) ?? minAnswerTokens
        waitSeconds = try settings.integer("budget.waitSeconds", 0...3600) ?? waitSeconds
        let isHard = try settings.choice("budget.mode", ["hard", "warn"]) != "warn"
        let window = BudgetRule.Window(
            rawValue: try settings.choice("budget.window", BudgetRule.Window.allCases.map(\.rawValue)) ?? "month")
        func rule(
            _ scope: BudgetRule.Scope, _ window: BudgetRule.Window, _ prefix: String, tokens: Int?
        ) throws -> BudgetRule? {
            let tokens = try settings.integer(ConfigKey("\(prefix).tokens"), 0...1_000_000_000_000) ?? tokens ?? 0
            let dollars = try settings.number(ConfigKey("\(prefix).dollars"), 0...1_000_000_000) ?? 0
            guard tokens > 0 || dollars > 0 else { return nil }
            return BudgetRule(
                scope: scope, window: window, tokens: tokens > 0 ? tokens : nil,
                nanoDollars: dollars > 0 ? Int((dollars * 1e9).rounded()) : nil, isHard: isHard)
        }
        var found = [try rule(.user, window ?? .month, "budget", tokens: Self.defaultTokens)]
        for scope in BudgetRule.Scope.allCases {
            for window in BudgetRule.Window.allCases {
                found.append(try rule(scope, window, "budget.\(scope.rawValue).\(window.rawValue)", tokens: nil))
            }
        }
        rules = found.compactMap(\.self)
    }

    /// Tokens of a user in a month, where nothing else is said.
    private static let defaultTokens = 1_000_000
}
