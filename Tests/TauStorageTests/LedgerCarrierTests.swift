import Foundation
import TauCore
import TauPostgres
import TauTestKit
import Testing

@testable import TauStorage

/// The ledger's operations that go with the appends of the PostgreSQL tier.
@Suite(.ownThreads, .timeLimit(.minutes(2))) struct LedgerCarrierTests {
    private static let session = SessionID(unchecked: "s")

    private static func entry(_ id: String, after parent: String?) throws -> Entry {
        let parent = parent.map { "\"\($0)\"" } ?? "null"
        let line =
            #"{"type":"message","id":"\#(id)","parentId":\#(parent),"timestamp":"1970-01-01T00:00:01.000Z","#
            + #""message":{"role":"user","content":"x","timestamp":1000}}"#
        return try Entry(line: Array(line.utf8)[...])
    }

    private static func account(_ id: String, _ tokens: Int, isHard: Bool = true) -> BudgetAccount {
        let rule = BudgetRule(scope: .user, window: .month, tokens: tokens, isHard: isHard)
        return BudgetAccount(id: id, rule: rule, resetsAt: Timestamp(milliseconds: 0))
    }

    private static func request(_ id: String, _ accounts: BudgetAccount..., tokens: Int) -> HoldRequest {
        HoldRequest(
            id: id, accounts: accounts, promptTokens: tokens - 1, answerTokens: 1, minAnswerTokens: 1, prices: nil,
            expiresAt: Timestamp(milliseconds: 1 << 45), charge: charge(id))
    }

    private static func charge(_ id: String, tokens: Int = 0) -> Charge {
        var charge = Charge(
            id: id, time: Timestamp(milliseconds: 1000), owner: .local, sessionID: session,
            model: ModelReference(provider: "p", id: "m"))
        charge.input = tokens
        return charge
    }

    /// Runs `body` with a session that is open and an account that was used before.
    private static func withStorage(
        _ body: (TestDatabase, PostgresStorage, BatchedLedger) async throws -> Void
    ) async throws {
        let database = try await TestDatabase()
        let storage = try await database.storage()
        let header = #"{"type":"session","version":3,"id":"s","timestamp":"1970-01-01T00:00:00.000Z","cwd":"/"}"#
        try await storage.sessions.create(try SessionFile(parsing: Array((header + "\n").utf8)))
        for name in ["a", "b"] {
            #expect(try await storage.ledger.hold(request("first-\(name)", account(name, 100), tokens: 1)).isGranted)
            storage.ledger.settle(charge("first-\(name)"))
        }
        try await storage.ledger.flush()
        try await body(database, storage, storage.ledger)
        try await storage.close()
    }

    private static func transaction(
        _ database: TestDatabase, _ table: String, _ condition: String
    ) async throws -> String {
        let rows = try await database.query("SELECT xmin::text FROM \(table) WHERE \(condition)").rows
        return try #require(rows.first).text(0)
    }

    @Test func `a hold and a charge are in the transactions of the entries beside which they come`() async throws {
        try await Self.withStorage { database, storage, ledger in
            let hold = ledger.begin(Self.request("1", Self.account("a", 100), tokens: 60))
            try await storage.sessions.append([try Self.entry("0000000a", after: nil)], to: Self.session, after: nil)
            #expect(try await hold.outcome() == .granted(answerTokens: 1, exceeded: []))
            let first = try await Self.transaction(database, "session_entries", "entry_id = '0000000a'")
            #expect(try await Self.transaction(database, "budget_holds", "id = '1'") == first)
            ledger.settle(Self.charge("1", tokens: 25))
            let entry = try Self.entry("0000000b", after: "0000000a")
            try await storage.sessions.append([entry], to: Self.session, after: EntryID(unchecked: "0000000a"))
            let second = try await Self.transaction(database, "session_entries", "entry_id = '0000000b'")
            #expect(try await Self.transaction(database, "charges", "id = '1'") == second)
            #expect(try await ledger.states(of: ["a"])["a"]?.usedTokens == 25)
            #expect(try await ledger.states(of: ["a"])["a"]?.heldTokens == 0)
        }
    }

    @Test func `nobody who appends waits for an account, and what it holds up is done afterwards`() async throws {
        try await Self.withStorage { database, storage, ledger in
            let other = try await PostgresConnection.connect(PostgresConfiguration(url: database.url))
            _ = try await other.query("BEGIN")
            _ = try await other.query("SELECT FROM budget_accounts WHERE id = 'a' FOR UPDATE")
            let blocked = ledger.begin(Self.request("1", Self.account("a", 100), tokens: 60))
            let free = ledger.begin(Self.request("2", Self.account("b", 100), tokens: 60))
            try await storage.sessions.append([try Self.entry("0000000a", after: nil)], to: Self.session, after: nil)
            #expect(try await free.outcome().isGranted)
            #expect(try await ledger.states(of: ["a"])["a"]?.heldTokens == 0)
            async let outcome = blocked.outcome()
            _ = try await other.query("UPDATE budget_accounts SET used_tokens = 41 WHERE id = 'a'")
            _ = try await other.query("COMMIT")
            // What was used meanwhile counts.
            #expect(try await !outcome.isGranted)
            await other.close()
        }
    }

    @Test func `what does not fit together is reckoned one by one, and warnings are given`() async throws {
        try await Self.withStorage { database, storage, ledger in
            let warning = Self.account("b", 50, isHard: false)
            let holds = (1...3).map { number in
                ledger.begin(Self.request("\(number)", Self.account("a", 100), warning, tokens: 40))
            }
            try await storage.sessions.append([try Self.entry("0000000a", after: nil)], to: Self.session, after: nil)
            var outcomes: [HoldOutcome] = []
            for hold in holds { outcomes.append(try await hold.outcome()) }
            #expect(outcomes.count { $0.isGranted } == 2)
            let alone = ledger.begin(Self.request("4", Self.account("a", 100), warning, tokens: 20))
            #expect(try await alone.outcome() == .granted(answerTokens: 1, exceeded: [warning]))
            let states = try await ledger.states(of: ["a", "b"])
            #expect(states["a"]?.heldTokens == 100 && states["b"]?.heldTokens == 100)
        }
    }

    @Test func `what is wrong with the one does not touch the other`() async throws {
        try await Self.withStorage { database, storage, ledger in
            _ = try await database.query("ALTER TABLE budget_holds RENAME TO hidden")
            let hold = ledger.begin(Self.request("1", Self.account("a", 100), tokens: 60))
            try await storage.sessions.append([try Self.entry("0000000a", after: nil)], to: Self.session, after: nil)
            await #expect(throws: StoreError.self) { try await hold.outcome() }
            _ = try await database.query("ALTER TABLE hidden RENAME TO budget_holds")
            // The session is elsewhere, the hold is taken.
            let next = ledger.begin(Self.request("2", Self.account("a", 100), tokens: 60))
            await #expect(throws: StoreError.self) {
                try await storage.sessions.append(
                    [try Self.entry("0000000b", after: nil)], to: Self.session, after: EntryID(unchecked: "0000000c"))
            }
            #expect(try await next.outcome().isGranted)
            #expect(try await storage.sessions.read(Self.session).entries.map(\.id.rawValue) == ["0000000a"])
            #expect(try await ledger.states(of: ["a"])["a"]?.heldTokens == 60)
        }
    }
}
