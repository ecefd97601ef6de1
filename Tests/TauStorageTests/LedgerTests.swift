import Foundation
import Logging
import TauCore
import TauPostgres
import TauSystem
import TauTestKit
import Testing

@testable import TauStorage

/// The ledger on files and in the database.
@Suite(.ownThreads, .timeLimit(.minutes(5))) struct LedgerTests {
    enum Place: CaseIterable { case file, database }

    private static let owner = Owner(tenantID: "acme", userID: "alice")

    private static func account(_ id: String, _ tokens: Int) -> BudgetAccount {
        BudgetAccount(
            id: id, rule: BudgetRule(scope: .user, window: .month, tokens: tokens), resetsAt: Timestamp(milliseconds: 0)
        )
    }

    private static func charge(_ id: String, tokens: Int = 0, at time: Int64 = 1000, _ session: String = "s") -> Charge
    {
        var charge = Charge(
            id: id, time: Timestamp(milliseconds: time), owner: owner, keyID: "k",
            sessionID: SessionID(unchecked: session), model: ModelReference(provider: "p", id: "m/1"))
        charge.input = tokens
        charge.nanoDollars = tokens * 3
        return charge
    }

    private static func request(
        _ id: String, _ accounts: [BudgetAccount], tokens: Int, until end: Int64 = 1_000_000
    ) -> HoldRequest {
        HoldRequest(
            id: id, accounts: accounts, promptTokens: tokens - 1, answerTokens: 1, minAnswerTokens: 1,
            prices: TokenPrices(input: 3000, output: 3000, cacheRead: 0, cacheWrite: 0),
            expiresAt: Timestamp(milliseconds: end), charge: charge(id))
    }

    /// Runs `body` with two ledgers over the same book.
    private static func with(_ place: Place, _ body: ([BatchedLedger]) async throws -> Void) async throws {
        switch place {
        case .file:
            let directory = try StoreDirectory()
            let accounts = (0..<2).map { _ in
                AccountDatabase(path: directory.accountsPath, threads: BlockingThreads(count: 4))
            }
            try await body(accounts.map(\.ledger))
            for accounts in accounts { try await accounts.close() }
        case .database:
            let database = try await TestDatabase()
            let storages = [try await database.storage(), try await database.storage()]
            try await body(storages.map(\.ledger))
            for storage in storages { try await storage.close() }
        }
    }

    @Test(arguments: Place.allCases)
    func `64 clients of 2 servers race for one budget, and not one token is overspent`(_ place: Place) async throws {
        try await Self.with(place) { ledgers in
            // Room for 1,000 calls of ten tokens and a bit; each uses less than it holds, so that more are made.
            let account = Self.account("hot", 10_009)
            let calls = 10_000
            let used = try await withThrowingTaskGroup(of: Int.self) { group in
                for client in 0..<64 {
                    group.addTask {
                        let ledger = ledgers[client % 2]
                        var used = 0
                        for number in stride(from: client, to: calls, by: 64) {
                            let id = "call-\(number)"
                            guard try await ledger.hold(Self.request(id, [account], tokens: 10)).isGranted else {
                                continue
                            }
                            let tokens = number % 2 == 0 ? 10 : 4
                            ledger.settle(Self.charge(id, tokens: tokens))
                            used += tokens
                        }
                        return used
                    }
                }
                return try await group.reduce(0, +)
            }
            for ledger in ledgers { try await ledger.flush() }
            let state = try #require(try await ledgers[0].states(of: ["hot"])["hot"])
            #expect(state.usedTokens == used && state.heldTokens == 0 && state.heldNanoDollars == 0)
            #expect(used <= 10_009 && used > 9_990, "\(used) are used")
            // The lines of the book say the same.
            let query = UsageQuery(
                owner: Self.owner, from: Timestamp(milliseconds: 0), to: Timestamp(milliseconds: 10_000),
                grouping: .model, limit: 10)
            let groups = try await ledgers[1].usage(query)
            #expect(groups.map(\.input) == [used] && groups.map(\.name) == ["p/m/1"])
            #expect(groups.map(\.nanoDollars) == [used * 3])
        }
    }

    @Test(arguments: Place.allCases)
    func `accounts that are taken in every order are never waited for in a circle`(_ place: Place) async throws {
        try await Self.with(place) { ledgers in
            let accounts = (0..<6).map { Self.account("a\($0)", 1_000_000) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for client in 0..<32 {
                    group.addTask {
                        for number in 0..<20 {
                            let own = [accounts[client % 6], accounts[(client + number) % 6]]
                            let request = Self.request("\(client)-\(number)", Array(Set(own)), tokens: 7)
                            let outcome = try await ledgers[client % 2].hold(request)
                            #expect(outcome.isGranted)
                            ledgers[(client + 1) % 2].settle(Self.charge("\(client)-\(number)", tokens: 5))
                        }
                    }
                }
                try await group.waitForAll()
            }
            for ledger in ledgers { try await ledger.flush() }
            let states = try await ledgers[0].states(of: accounts.map(\.id))
            #expect(states.values.allSatisfy { $0.heldTokens == 0 })
        }
    }

    @Test(arguments: Place.allCases)
    func `a hold is taken once, settled once, and charged when nothing is heard`(_ place: Place) async throws {
        try await Self.with(place) { ledgers in
            let account = Self.account("a", 100)
            let request = Self.request("1", [account], tokens: 60, until: 5000)
            for ledger in ledgers { #expect(try await ledger.hold(request).isGranted) }
            let other = Self.request("2", [account], tokens: 50, until: 9000)
            #expect(try await !ledgers[0].hold(other).isGranted)
            func state() async throws -> BudgetState {
                for ledger in ledgers { try await ledger.flush() }
                return try #require(try await ledgers[1].states(of: ["a", "none"])["a"])
            }
            #expect(try await state().heldTokens == 60)
            for ledger in ledgers { try await ledger.sweep(at: Timestamp(milliseconds: 5000), MemorySessionStore()) }
            #expect(try await state().heldTokens == 60)
            for ledger in ledgers { try await ledger.sweep(at: Timestamp(milliseconds: 5001), MemorySessionStore()) }
            #expect(try await state().usedTokens == 60)
            #expect(try await state().heldTokens == 0)
            // The server was only slow.
            for ledger in ledgers { ledger.settle(Self.charge("1", tokens: 12)) }
            #expect(try await state().usedTokens == 12)
            #expect(try await ledgers[1].hold(other).isGranted)
            for _ in 1...3 { for ledger in ledgers { ledger.settle(Self.charge("2", tokens: 20)) } }
            let last = try await state()
            #expect(last.usedTokens == 32 && last.heldTokens == 0 && last.usedNanoDollars == 96)
        }
    }

    @Test(arguments: Place.allCases)
    func `an expired hold is charged as its session says, where it knows`(_ place: Place) async throws {
        let header = #"{"type":"session","version":3,"id":"s","timestamp":"1970-01-01T00:00:00.000Z","cwd":"/"}"#
        func entry(_ id: Int, _ time: Int, _ message: String) -> String {
            let parent = id == 1 ? "null" : #""0000000\#(id - 1)""#
            return #"{"type":"message","id":"0000000\#(id)","parentId":\#(parent),"#
                + #""timestamp":"1970-01-01T00:00:0\#(time).000Z","message":\#(message)}"#
        }
        // The hold of the call is of the time 1000.
        let question = #"{"role":"user","content":"x","timestamp":1000}"#
        let other = #"{"role":"user","content":"y","timestamp":1900}"#
        func answer(_ tokens: Int, _ model: String = "m/1", cost: String = "0.000000005") -> String {
            #"{"role":"assistant","content":[],"api":"a","provider":"p","model":"\#(model)","stopReason":"stop","#
                + #""timestamp":2000,"usage":{"input":\#(tokens),"output":2,"cacheRead":1,"cacheWrite":0,"#
                + #""totalTokens":\#(tokens + 3),"cost":{"input":\#(cost),"total":\#(cost)}}}"#
        }
        let cases: [(lines: [String], used: Int, nano: Int)] = [
            ([entry(1, 0, question), entry(2, 2, answer(7))], 10, 5),
            // It began after all that is there; somebody went on without it; another model has answered.
            ([entry(1, 0, question), entry(2, 1, answer(7))], 60, 180),
            ([entry(1, 0, question), entry(2, 2, other), entry(3, 3, answer(7))], 60, 180),
            // It was taken while its message was written; here again, somebody went on.
            ([entry(1, 2, question), entry(2, 3, answer(7))], 10, 5),
            ([entry(1, 1, answer(9)), entry(2, 2, question), entry(3, 3, answer(7))], 10, 5),
            ([entry(1, 2, question), entry(2, 3, other), entry(3, 4, answer(7))], 60, 180),
            ([entry(1, 2, question)], 60, 180),
            ([entry(1, 0, question), entry(2, 2, answer(7, "other"))], 60, 180),
            // What no call can cost is not believed.
            ([entry(1, 0, question), entry(2, 2, answer(7, cost: "1e300"))], 60, 180),
            ([entry(1, 0, question), entry(2, 2, answer(7, cost: "-5"))], 60, 180),
        ]
        try await Self.with(place) { ledgers in
            for (number, expected) in cases.enumerated() {
                let sessions = MemorySessionStore()
                let text = ([header] + expected.lines).joined(separator: "\n") + "\n"
                try await sessions.create(try SessionFile(parsing: Array(text.utf8)))
                let request = Self.request("\(number)", [Self.account("a\(number)", 100)], tokens: 60, until: 5000)
                #expect(try await ledgers[0].hold(request).isGranted)
                for ledger in ledgers { try await ledger.sweep(at: Timestamp(milliseconds: 5001), sessions) }
                let state = try #require(try await ledgers[1].states(of: ["a\(number)"])["a\(number)"])
                #expect(state.heldTokens == 0 && state.usedTokens == expected.used, "case \(number)")
                #expect(state.usedNanoDollars == expected.nano, "case \(number)")
            }
        }
    }

    @Test(arguments: Place.allCases)
    func `a session that cannot be read keeps its own hold, and no other's`(_ place: Place) async throws {
        try await Self.with(place) { ledgers in
            let sessions = MemorySessionStore()
            for (name, id) in [("a", "bad"), ("b", "gone"), ("c", "corrupt")] {
                var request = Self.request(id, [Self.account(name, 100)], tokens: 60, until: 5000)
                request.charge.sessionID = SessionID(unchecked: id)
                #expect(try await ledgers[0].hold(request).isGranted)
            }
            sessions.failReads(of: SessionID(unchecked: "bad"), with: StoreError(.unavailable, "no disk"))
            sessions.failReads(of: SessionID(unchecked: "corrupt"), with: StoreError(.corrupt, "no session"))
            await #expect(throws: StoreError.self) {
                try await ledgers[0].sweep(at: Timestamp(milliseconds: 5001), sessions)
            }
            var states = try await ledgers[1].states(of: ["a", "b", "c"])
            #expect(states["a"]?.heldTokens == 60 && states["a"]?.usedTokens == 0)
            for name in ["b", "c"] { #expect(states[name]?.heldTokens == 0 && states[name]?.usedTokens == 60) }
            sessions.failReads(of: SessionID(unchecked: "bad"), with: nil)
            try await ledgers[1].sweep(at: Timestamp(milliseconds: 5001), sessions)
            states = try await ledgers[1].states(of: ["a"])
            #expect(states["a"]?.heldTokens == 0 && states["a"]?.usedTokens == 60)
        }
    }

    @Test(arguments: Place.allCases)
    func `what was just used counts at once, written or not`(_ place: Place) async throws {
        try await Self.with(place) { ledgers in
            let ledger = ledgers[0]
            #expect(try await ledger.hold(Self.request("1", [Self.account("a", 100)], tokens: 60)).isGranted)
            #expect(try await ledger.hold(Self.request("2", [Self.account("a", 100)], tokens: 20)).isGranted)
            #expect(try await ledger.recentStates(of: ["a"])["a"]?.heldTokens == 80)
            ledger.settle(Self.charge("1", tokens: 25))
            #expect(try await ledger.recentStates(of: ["a"])["a"]?.usedTokens == 25)
            try await ledger.flush()
            let now = try await ledger.states(of: ["a"])
            #expect(now["a"]?.usedTokens == 25 && now["a"]?.heldTokens == 20)
            #expect(try await ledger.recentStates(of: ["a"]) == now)
            ledger.settle(Self.charge("2", tokens: 5))
            #expect(try await ledger.recentStates(of: ["a"])["a"]?.usedTokens == 30)
            try await ledger.flush()
            #expect(try await ledger.recentStates(of: ["a"]) == ledger.states(of: ["a"]))
        }
    }

    @Test(arguments: Place.allCases)
    func `who is cancelled while taking the lead fails nobody else`(_ place: Place) async throws {
        try await Self.with(place) { ledgers in
            let account = Self.account("a", 1 << 40)
            for round in 0..<30 {
                async let cancelled: Void = withTaskGroup(of: Void.self) { group in
                    for number in 0..<16 {
                        group.addTask {
                            // Whether it comes in time is not the question.
                            _ = try? await ledgers[0].hold(Self.request("x\(round)-\(number)", [account], tokens: 5))
                        }
                    }
                    await Task.yield()
                    group.cancelAll()
                }
                let granted = try await withThrowingTaskGroup(of: Bool.self) { group in
                    for number in 0..<16 {
                        group.addTask {
                            let request = Self.request("y\(round)-\(number)", [account], tokens: 5)
                            return try await ledgers[0].hold(request).isGranted
                        }
                    }
                    return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                }
                await cancelled
                #expect(granted == 16)
            }
        }
    }

    @Test(arguments: Place.allCases)
    func `usage is told by day, model and session, of one owner and one time`(_ place: Place) async throws {
        try await Self.with(place) { ledgers in
            let day: Int64 = 86_400_000
            ledgers[0].add(Self.charge("1", tokens: 1, at: day - 1, "a"))
            ledgers[0].add(Self.charge("2", tokens: 10, at: day, "b"))
            ledgers[0].add(Self.charge("3", tokens: 100, at: 2 * day - 1, "a"))
            ledgers[0].add(Self.charge("3", tokens: 100, at: 2 * day - 1, "a"))
            ledgers[0].add(Self.charge("4", tokens: 1000, at: 2 * day, "a"))
            var foreign = Self.charge("5", tokens: 1, at: day)
            foreign.owner.tenantID = "other"
            ledgers[0].add(foreign)
            func groups(_ grouping: UsageQuery.Grouping, limit: Int = 9) async throws -> [String] {
                let query = UsageQuery(
                    owner: Self.owner, from: Timestamp(milliseconds: 0), to: Timestamp(milliseconds: 2 * day),
                    grouping: grouping, limit: limit)
                return try await ledgers[0].usage(query).map { "\($0.name) \($0.calls) \($0.input)" }
            }
            let days = try await groups(.day)
            #expect(days == ["1970-01-02 2 110", "1970-01-01 1 1"])
            #expect(try await groups(.day, limit: 1) == ["1970-01-02 2 110"])
            #expect(try await groups(.session) == ["a 2 101", "b 1 10"])
            #expect(try await groups(.model) == ["p/m/1 3 111"])
        }
    }

    @Test func `where the book cannot be written nobody gets a hold, and no charge is lost`() async throws {
        let database = try await TestDatabase()
        let storage = try await database.storage()
        let account = Self.account("a", 100)
        #expect(try await storage.ledger.hold(Self.request("1", [account], tokens: 60)).isGranted)
        _ = try await database.query("ALTER TABLE charges RENAME TO hidden")
        storage.ledger.settle(Self.charge("1", tokens: 25))
        await #expect(throws: StoreError.self) { try await storage.ledger.flush() }
        _ = try await database.query("ALTER TABLE hidden RENAME TO charges")
        try await storage.ledger.sweep(at: Timestamp(milliseconds: 0), MemorySessionStore())
        let state = try #require(try await storage.ledger.states(of: ["a"])["a"])
        #expect(state.usedTokens == 25 && state.heldTokens == 0)
        try await storage.close()
    }
}
