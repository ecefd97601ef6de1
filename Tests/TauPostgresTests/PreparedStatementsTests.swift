import Testing

@testable import TauPostgres

@Suite struct PreparedStatementsTests {
    private func key(_ text: String, _ types: [UInt32] = []) -> PreparedStatements.Key {
        .init(text: text, types: types)
    }

    @Test func `a name says which statement it is, whoever prepares it and when`() {
        var (one, other) = (PreparedStatements(), PreparedStatements())
        _ = one.use(key("SELECT 1"), limit: 10)
        #expect(one.use(key("SELECT 2"), limit: 10) == other.use(key("SELECT 2"), limit: 10))
        let names = [key("SELECT $1"), key("SELECT $1", [20]), key("SELECT $1", [25]), key("SELECT $2", [20])].map(
            \.name)
        #expect(Set(names).count == names.count)
        // PostgreSQL cuts longer names off.
        #expect(names.allSatisfy { $0.utf8.count < 64 })
    }

    @Test func `the one used longest ago is given up`() {
        var statements = PreparedStatements()
        for text in ["a", "b"] { _ = statements.use(key(text), limit: 2) }
        #expect(statements.use(key("a"), limit: 2) == .known(key("a").name))
        #expect(statements.use(key("c"), limit: 2) == .new(key("c").name, forgotten: key("b").name))
        #expect(statements.use(key("b"), limit: 2) == .new(key("b").name, forgotten: key("a").name))
        statements.forget(key("b").name)
        #expect(statements.use(key("b"), limit: 2) == .new(key("b").name, forgotten: nil))
    }
}
