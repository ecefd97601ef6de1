import TauTestKit
import Testing

@testable import TauCore

@Suite struct LedgerBookTests {
    private static let owner = Owner(tenantID: "acme", userID: "alice")
    private static let model = ModelReference(provider: "p", id: "m")

    private static func charge(_ id: String) -> Charge {
        Charge(
            id: id, time: Timestamp(milliseconds: 0), owner: owner, sessionID: SessionID(unchecked: "s"), model: model)
    }

    private static func account(_ id: String, tokens: Int? = nil, nano: Int? = nil, isHard: Bool = true)
        -> BudgetAccount
    {
        BudgetAccount(
            id: id, rule: BudgetRule(scope: .user, window: .month, tokens: tokens, nanoDollars: nano, isHard: isHard),
            resetsAt: Timestamp(milliseconds: 0))
    }

    private static func request(
        _ id: String, _ accounts: [BudgetAccount], prompt: Int, answer: Int, min: Int = 1, prices: TokenPrices? = nil
    ) -> HoldRequest {
        HoldRequest(
            id: id, accounts: accounts, promptTokens: prompt, answerTokens: answer, minAnswerTokens: min,
            prices: prices, expiresAt: Timestamp(milliseconds: 100), charge: charge(id))
    }

    @Test func `money is counted in whole billionths, as the vectors say`() {
        let sonnet = Prices(input: 3, output: 15, cacheRead: 0.3, cacheWrite: 3.75)
        #expect(sonnet.nanoDollars(of: Usage(input: 3, output: 550, cacheWrite: 12_304)) == 54_399_000)
        #expect(sonnet.nanoDollars(of: Usage(input: 1200, output: 0, cacheRead: 500, cacheWrite: 300)) == 4_875_000)
        #expect(sonnet.nanoDollars(of: Usage()) == 0)
        // A part of a billionth is rounded up, never lost.
        #expect(Prices(input: 0.0001, output: 0).nanoDollars(of: Usage(input: 1, output: 0)) == 1)
        // What cannot be counted is the most that can, never less than nothing.
        let huge = sonnet.nanoDollars(
            of: Usage(input: 1 << 53, output: 1 << 53, cacheRead: 1 << 53, cacheWrite: 1 << 53))
        #expect(huge > 1 << 50)
        let long = Prices(
            input: 1, output: 1, tiers: [.init(inputTokensAbove: 100, prices: Prices(input: 2, output: 3))])
        #expect(long.nanoDollars(of: Usage(input: 100, output: 10)) == 110_000)
        #expect(long.nanoDollars(of: Usage(input: 101, output: 10)) == 232_000)
    }

    @Test func `an answer is made shorter before a call is refused, and a refusal names the account`() {
        var book = LedgerBook(accounts: [:], holds: [:])
        let account = Self.account("a", tokens: 1000)
        #expect(
            book.hold(Self.request("1", [account], prompt: 100, answer: 500))
                == .granted(answerTokens: 500, exceeded: []))
        #expect(
            book.hold(Self.request("2", [account], prompt: 100, answer: 500, min: 256))
                == .granted(answerTokens: 300, exceeded: []))
        guard case .refused(let refused, let state) = book.hold(Self.request("3", [account], prompt: 1, answer: 1))
        else {
            Issue.record("it is granted")
            return
        }
        #expect(refused == account && state.heldTokens == 1000)
        // The same hold again is the same hold.
        #expect(
            book.hold(Self.request("2", [account], prompt: 100, answer: 500))
                == .granted(answerTokens: 300, exceeded: []))
        #expect(book.accounts["a"]?.heldTokens == 1000)
        var charge = Self.charge("1")
        charge.input = 90
        charge.output = 10
        for _ in 1...2 { book.settle(charge) }
        #expect(book.accounts["a"]?.heldTokens == 400 && book.accounts["a"]?.usedTokens == 100)
        #expect(book.charges.count == 1)
        // Less than is worth a call.
        let small = book.hold(Self.request("4", [account], prompt: 300, answer: 500, min: 256))
        if case .granted = small { Issue.record("200 tokens are not 256") }
    }

    @Test func `several budgets are all kept or none is touched, in tokens and in money`() {
        var book = LedgerBook(accounts: [:], holds: [:])
        let prices = TokenPrices(input: 1_000_000, output: 2_000_000, cacheRead: 0, cacheWrite: 0)
        let tokens = Self.account("t", tokens: 10_000)
        let money = Self.account("m", nano: 1_000_000)
        let granted = book.hold(Self.request("1", [tokens, money], prompt: 200, answer: 5000, prices: prices))
        guard case .granted(let answer, _) = granted else {
            Issue.record("\(granted)")
            return
        }
        // 800,000 billionths are left for answers of 2,000 each.
        #expect((395...400).contains(answer))
        #expect(book.accounts["t"]?.heldTokens == 200 + answer)
        #expect((book.accounts["m"]?.heldNanoDollars ?? 0) <= 1_000_000)
        let before = book.accounts
        if case .granted = book.hold(Self.request("2", [tokens, money], prompt: 500, answer: 10, prices: prices)) {
            Issue.record("there is no money for it")
        }
        #expect(book.accounts == before)
        // A budget that only warns refuses nothing.
        let soft = Self.account("s", tokens: 10, isHard: false)
        #expect(
            book.hold(Self.request("3", [soft], prompt: 50, answer: 50)) == .granted(answerTokens: 50, exceeded: [soft])
        )
        // Where the price is not known, no budget of money can be kept.
        if case .granted = book.hold(Self.request("4", [money], prompt: 1, answer: 1)) { Issue.record("no price") }
    }

    @Test func `a call of which nothing is heard is charged in full, until somebody knows better`() {
        var book = LedgerBook(accounts: [:], holds: [:])
        let account = Self.account("a", tokens: 1000)
        _ = book.hold(Self.request("1", [account], prompt: 100, answer: 400))
        for _ in 1...2 { book.expire("1") }
        #expect(book.accounts["a"]?.usedTokens == 500 && book.accounts["a"]?.heldTokens == 0)
        #expect(book.charges.map(\.isEstimated) == [true] && book.charges[0].tokens == 500)
        var charge = Self.charge("1")
        charge.output = 30
        for _ in 1...2 { book.settle(charge) }
        #expect(book.accounts["a"]?.usedTokens == 30 && book.holds.isEmpty)
    }

    @Test func `whatever happens in whatever order, nothing is overspent and nothing leaks`() {
        var generator = SeededGenerator(seed: 7)
        var book = LedgerBook(accounts: [:], holds: [:])
        let accounts = (0..<5).map { Self.account("a\($0)", tokens: 20_000 * ($0 + 1), nano: 3_000_000_000) }
        let prices = TokenPrices(input: 3_000_000, output: 15_000_000, cacheRead: 300_000, cacheWrite: 3_750_000)
        var open: [String: (tokens: Int, prompt: Int)] = [:]
        var expired: Set<String> = []
        for number in 0..<100_000 {
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<5:
                let own = accounts.filter { _ in Bool.random(using: &generator) }
                guard !own.isEmpty else { continue }
                let prompt = Int.random(in: 0...800, using: &generator)
                let request = Self.request(
                    "c\(number)", own, prompt: prompt, answer: Int.random(in: 1...900, using: &generator),
                    prices: prices)
                if case .granted(let answer, _) = book.hold(request) { open["c\(number)"] = (prompt + answer, prompt) }
            case 5..<9:
                guard let (id, hold) = open.randomElement(using: &generator) else { continue }
                var charge = Self.charge(id)
                charge.input = hold.prompt
                charge.output = Int.random(in: 0...(hold.tokens - hold.prompt), using: &generator)
                charge.nanoDollars = Prices(input: 3, output: 15).nanoDollars(
                    of: Usage(input: charge.input, output: charge.output))
                book.settle(charge)
                open[id] = nil
                expired.remove(id)
            default:
                guard let id = open.keys.randomElement(using: &generator) else { continue }
                book.expire(id)
                expired.insert(id)
            }
            for account in accounts {
                let state = book.accounts[account.id] ?? BudgetState()
                guard state.usedTokens + state.heldTokens <= account.rule.tokens ?? 0,
                    state.usedNanoDollars + state.heldNanoDollars <= account.rule.nanoDollars ?? 0,
                    state.heldTokens >= 0, state.usedTokens >= 0
                else {
                    Issue.record("after \(number): \(account.id) has \(state)")
                    return
                }
            }
            // A new month, now and then, so that something is granted at all.
            if number % 2000 == 1999 {
                for id in open.keys { book.settle(Self.charge(id)) }
                open = [:]
                #expect(book.accounts.values.allSatisfy { $0.heldTokens == 0 && $0.heldNanoDollars == 0 })
                book = LedgerBook(accounts: [:], holds: [:])
            }
        }
    }

    @Test(arguments: [
        ("2026-11-27T12:34:56.789Z", "2026-11-28T00:00:00.000Z", "2026-12-01T00:00:00.000Z"),
        ("2026-12-31T23:59:59.999Z", "2027-01-01T00:00:00.000Z", "2027-01-01T00:00:00.000Z"),
        ("2028-02-01T00:00:00.000Z", "2028-02-02T00:00:00.000Z", "2028-03-01T00:00:00.000Z"),
        ("2026-01-31T00:00:00.000Z", "2026-02-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z"),
        ("1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.000Z"),
    ])
    func `days and months end where they end`(_ text: String, _ day: String, _ month: String) throws {
        let time = try #require(Timestamp(text))
        #expect(BudgetRule.Window.day.end(at: time).description == day)
        #expect(BudgetRule.Window.month.end(at: time).description == month)
    }

    @Test func `every owner, key and window has an account of its own`() {
        let time = Timestamp(milliseconds: 1_790_000_000_000)
        func id(_ rule: BudgetRule.Scope, _ window: BudgetRule.Window, _ owner: Owner, _ key: String?) -> String? {
            BudgetRule(scope: rule, window: window).account(of: owner, keyID: key, at: time)?.id
        }
        let tricky = Owner(tenantID: "acme/alice", userID: "x")
        let other = Owner(tenantID: "acme", userID: "alice/x")
        let ids = [
            id(.user, .month, Self.owner, "k"), id(.user, .day, Self.owner, "k"), id(.tenant, .month, Self.owner, "k"),
            id(.key, .month, Self.owner, "k"), id(.user, .month, tricky, "k"), id(.user, .month, other, "k"),
        ]
        #expect(Set(ids).count == ids.count && !ids.contains(nil))
        #expect(id(.key, .day, Self.owner, nil) == nil)
        #expect(id(.user, .month, Self.owner, nil) == ids[0])
    }
}
