public import TauCore

/// What every session store must do; each store's tests run all of it.
///
/// `fresh` makes a store over an empty place; `second` makes another owner over the same place.
public struct SessionStoreContract: Sendable, Contract {
    private let store: any SessionStore
    private let second: any SessionStore

    public init(store: any SessionStore, second: any SessionStore) {
        self.store = store
        self.second = second
    }

    /// All promises, by name.
    public static let promises: [(name: String, check: @Sendable (SessionStoreContract) async throws -> Void)] = [
        ("what was created and appended is read back", { try await $0.readsBack() }),
        ("an append must name the last entry", { try await $0.checksTail() }),
        ("a session has one owner", { try await $0.hasOneOwner() }),
        ("an id is taken once", { try await $0.refusesTwins() }),
        ("a deleted session is gone", { try await $0.deletes() }),
        ("unknown sessions are not found", { try await $0.findsNothing() }),
        ("bytes of others stay as they came", { try await $0.keepsBytes() }),
        ("a file without a last line feed is kept and continued", { try await $0.keepsLastByte() }),
        ("any text comes back", { try await $0.keepsText() }),
        ("a closed session takes nothing", { try await $0.refusesAfterClose() }),
        ("the list tells what the session tells", { try await $0.summarizes() }),
        ("what changed last is listed first", { try await $0.ordersByChange() }),
        ("pages neither repeat nor skip", { try await $0.pages() }),
        ("search finds names and texts", { try await $0.searches() }),
        ("a session has the owner that it was made for, and is in no other list", { try await $0.keepsOwners() }),
    ]

    private func keepsOwners() async throws {
        let alice = Owner(tenantID: "acme", userID: "alice")
        // One name says as much as two: neither alone decides.
        let others = [Owner(tenantID: "acme", userID: "bob"), Owner(tenantID: "other", userID: "alice")]
        for (number, owner) in ([alice] + others + [alice, .local]).enumerated() {
            try await store.create(Self.file("s\(number)", ["word"], at: Int64(1000 + number)), owner: owner)
        }
        try await expect(.exists) { () throws(StoreError) in try await store.create(Self.file("s0"), owner: others[0]) }
        for id in ["s0", "s3"].map(SessionID.init(unchecked:)) {
            try expect(try await store.owner(of: id) == alice, "\(id) is alice's")
            await store.close(id)
            try expect(try await second.owner(of: id) == alice, "\(id) is alice's for everybody")
            try expect(try await second.summary(of: id).owner == alice, "\(id)'s summary says whose it is")
        }
        for search in [nil, "word"] {
            for order in [SessionQuery.Order.updatedAt, .createdAt] {
                var query = SessionQuery(owner: alice, search: search, order: order, limit: 1)
                let first = try await store.list(query)
                query.cursor = first.nextCursor
                let rest = try await store.list(query)
                let found = first.sessions + rest.sessions
                try expect(found.map(\.id.rawValue) == ["s3", "s0"], "alice's list has \(found.map(\.id))")
                try expect(found.allSatisfy { $0.owner == alice } && rest.nextCursor == nil, "and nothing else")
            }
        }
        let all = try await second.list(SessionQuery(limit: 10)).sessions.map(\.owner)
        try expect(all == [.local, alice] + others.reversed() + [alice], "the list of all has \(all)")
        // What is gone belongs to nobody, and its id may be another one's.
        try await store.delete(SessionID(unchecked: "s3"))
        try await store.create(Self.file("s3"), owner: others[0])
        let heir = try await store.owner(of: SessionID(unchecked: "s3"))
        try expect(heir == others[0], "a new session is not its predecessor's owner's")
        try await store.delete(SessionID(unchecked: "s3"))
        try await store.create(Self.file("s3"))
        try expect(try await store.owner(of: SessionID(unchecked: "s3")) == .local, "nor in the other direction")
    }

    // MARK: Helpers

    public static func file(_ id: String, _ texts: [String] = [], at milliseconds: Int64 = 1000) -> SessionFile {
        let header = SessionHeader(
            id: SessionID(unchecked: id), timestamp: Timestamp(milliseconds: milliseconds), workingDirectory: "/w")
        var entries: [Entry] = []
        for text in texts { entries.append(entry(text, after: entries.last, at: milliseconds)) }
        return SessionFile(header: header, entries: entries)
    }

    public static func entry(_ text: String, after parent: Entry?, at milliseconds: Int64 = 1000) -> Entry {
        let time = Timestamp(milliseconds: milliseconds)
        return Entry(
            .message(.user(UserMessage(content: [.text(text)], timestamp: time))), id: EntryID(unchecked: "id-\(text)"),
            parentID: parent?.id, timestamp: time)
    }

    // MARK: Promises

    private func readsBack() async throws {
        let file = Self.file("one", ["a"])
        try await store.create(file)
        let b = Self.entry("b", after: file.entries[0])
        let c = Self.entry("c", after: b)
        try await store.append([b, c], to: file.header.id, after: file.entries[0].id)
        await store.close(file.header.id)
        let read = try await store.open(file.header.id)
        await store.close(file.header.id)
        try expect(read.entries.map(\.id.rawValue) == ["id-a", "id-b", "id-c"], "entries are missing")
        try expect(try await store.export(file.header.id).bytes() == read.bytes, "the export is not what was stored")
    }

    private func checksTail() async throws {
        let file = Self.file("one", ["a"])
        let id = file.header.id
        try await store.create(file)
        let b = Self.entry("b", after: file.entries[0])
        try await expect(.conflict) { () throws(StoreError) in try await store.append([b], to: id, after: nil) }
        try await store.append([b], to: id, after: file.entries[0].id)
        let c = Self.entry("c", after: file.entries[0])
        try await expect(.conflict) { () throws(StoreError) in
            try await store.append([c], to: id, after: file.entries[0].id)
        }
        await store.close(id)
        try expect(try await store.open(id).entries.count == 2, "a refused append left something behind")
    }

    private func hasOneOwner() async throws {
        let file = Self.file("one", ["a"])
        let id = file.header.id
        try await store.create(file)
        try await expect(.conflict) { () throws(StoreError) in _ = try await second.open(id) }
        try await expect(.conflict) { () throws(StoreError) in _ = try await store.open(id) }
        try await expect(.conflict) { () throws(StoreError) in try await second.delete(id) }
        try await expect(.conflict) { () throws(StoreError) in
            try await second.append([Self.entry("b", after: nil)], to: id, after: file.entries[0].id)
        }
        await store.close(id)
        _ = try await second.open(id)
        await second.close(id)
    }

    private func refusesTwins() async throws {
        try await store.create(Self.file("one", ["a"]))
        try await expect(.exists) { () throws(StoreError) in try await store.create(Self.file("one")) }
        try await expect(.exists) { () throws(StoreError) in try await second.create(Self.file("one")) }
        await store.close(SessionID(unchecked: "one"))
        try expect(try await store.open(SessionID(unchecked: "one")).entries.count == 1, "the first one was changed")
    }

    private func deletes() async throws {
        let id = SessionID(unchecked: "one")
        try await store.create(Self.file("one", ["a"]))
        try await store.delete(id)
        try await expect(.notFound) { () throws(StoreError) in _ = try await store.open(id) }
        try expect(try await store.list(SessionQuery()).sessions.isEmpty, "it is still listed")
        try await store.create(Self.file("one", ["b"]))
    }

    private func findsNothing() async throws {
        let id = SessionID(unchecked: "nothing")
        try await expect(.notFound) { () throws(StoreError) in _ = try await store.open(id) }
        try await expect(.notFound) { () throws(StoreError) in _ = try await store.export(id) }
        try await expect(.notFound) { () throws(StoreError) in try await store.delete(id) }
        try await store.checkHealth()
    }

    private func keepsBytes() async throws {
        let text = """
            {"type":"session","version":3,"id":"odd","timestamp":"2026-01-01T00:00:00.000Z","cwd":"/","extra":1.0}

            { "id" : "a", "parentId":null, "type":"message","timestamp":"x","message":{"role":"user","content":"\\ud800","n":1e2} }
            {"type":"of_the_future","id":"b","parentId":"a","timestamp":"2026-01-01T00:00:00.000Z","deep":[{"k":-0.0}]}

            """
        let bytes = Array(text.utf8)
        try await store.create(try SessionFile(parsing: bytes))
        let id = SessionID(unchecked: "odd")
        try expect(try await store.export(id).bytes() == bytes, "the export differs")
        await store.close(id)
        _ = try await store.open(id)
        let next = Self.entry("next", after: nil)
        try await store.append([next], to: id, after: EntryID(unchecked: "b"))
        let expected = bytes + Array(next.line) + [UInt8(ascii: "\n")]
        try expect(try await store.export(id).bytes() == expected, "an append changed what was before it")
    }

    private func keepsLastByte() async throws {
        let file = Self.file("one", ["a"])
        let id = file.header.id
        let bytes = Array(file.bytes.dropLast())
        try await store.create(try SessionFile(parsing: bytes))
        try expect(try await store.export(id).bytes() == bytes, "the export differs")
        let next = Self.entry("b", after: file.entries[0])
        try await store.append([next], to: id, after: file.entries[0].id)
        await store.close(id)
        let read = try await second.open(id)
        await second.close(id)
        try expect(read.entries.map(\.id.rawValue) == ["id-a", "id-b"], "the entries are \(read.entries.map(\.id))")
        try expect(read.bytes == file.bytes + next.line + [UInt8(ascii: "\n")], "the bytes differ")
    }

    private func keepsText() async throws {
        let texts = ["", "\u{0}\u{1F}\u{7F}", "e\u{301}é", "\u{2028}\u{2029}\r\n", "🙈\u{10FFFF}", "'; --\\ %s $1"]
        let file = Self.file("one")
        try await store.create(file)
        var last: Entry?
        for text in texts {
            let entry = Self.entry(text, after: last)
            try await store.append([entry], to: file.header.id, after: last?.id)
            last = entry
        }
        await store.close(file.header.id)
        let read = try await store.open(file.header.id)
        let expected = texts.map { EntryID(unchecked: "id-\($0)") }
        try expect(read.entries.map(\.id) == expected, "ids have changed")
        try expect(read.findings.isEmpty, "a line is broken: \(read.findings)")
        try expect(read.entries.map(\.parentID) == [nil] + expected.dropLast(), "the links have changed")
    }

    private func refusesAfterClose() async throws {
        let file = Self.file("one", ["a"])
        let id = file.header.id
        try await store.create(file)
        await store.close(id)
        await store.close(id)
        await store.close(SessionID(unchecked: "nothing"))
        let next = Self.entry("b", after: file.entries[0])
        try await expect(.conflict) { () throws(StoreError) in
            try await store.append([next], to: id, after: file.entries[0].id)
        }
        try expect(try await store.export(id).bytes() == file.bytes, "something was stored")
        // Nothing is appended by an append of nothing.
        _ = try await store.open(id)
        try await store.append([], to: id, after: file.entries[0].id)
        try expect(try await store.export(id).bytes() == file.bytes, "an append of nothing has stored something")
    }

    private func summarizes() async throws {
        let time = Timestamp(milliseconds: 2000)
        let a = Self.entry("a", after: nil)
        let model = ModelReference(provider: "p", id: "m")
        let answer = Message.assistant(
            AssistantMessage(
                content: [.text("b")], api: "x", model: model, usage: Usage(input: 3, output: 4), stopReason: .stop,
                timestamp: time))
        var entries = [a]
        let contents: [NewEntry] = [
            .sessionInfo(name: "named"), .thinkingLevelChange(.high), .message(answer),
            .custom(type: SessionTotals.metadataType, data: ["k": 1.5]),
        ]
        for (number, content) in contents.enumerated() {
            let id = EntryID(unchecked: "n\(number)")
            entries.append(Entry(content, id: id, parentID: entries.last?.id, timestamp: time))
        }
        try await store.create(Self.file("one"))
        try await store.append(entries, to: SessionID(unchecked: "one"), after: nil)
        let summary = SessionSummary(
            id: SessionID(unchecked: "one"), name: "named", createdAt: Timestamp(milliseconds: 1000), updatedAt: time,
            leafID: EntryID(unchecked: "n3"), entryCount: 5, model: model, thinkingLevel: "high",
            usage: Usage(input: 3, output: 4), metadata: JSONObject(members: [.init(key: "k", value: 1.5)]))
        for store in [store, second] {
            let listed = try await store.list(SessionQuery()).sessions
            try expect(listed == [summary], "the list has \(listed)")
        }
    }

    private func ordersByChange() async throws {
        for number in 0..<3 { try await store.create(Self.file("s\(number)", at: Int64(1000 + number))) }
        let late = Self.entry("late", after: nil, at: 9000)
        try await store.append([late], to: SessionID(unchecked: "s0"), after: nil)
        func ids(_ order: SessionQuery.Order) async throws -> [String] {
            try await store.list(SessionQuery(order: order)).sessions.map(\.id.rawValue)
        }
        let changed = try await ids(.updatedAt)
        try expect(changed == ["s0", "s2", "s1"], "by change: \(changed)")
        let created = try await ids(.createdAt)
        try expect(created == ["s2", "s1", "s0"], "by creation: \(created)")
    }

    private func pages() async throws {
        for number in 0..<11 {
            let file = Self.file("s\(number)", ["text \(number)"], at: Int64(1000 + number / 2))
            try await store.create(file)
            await store.close(file.header.id)
        }
        for order in [SessionQuery.Order.updatedAt, .createdAt] {
            var seen: [String] = []
            var query = SessionQuery(order: order, limit: 4)
            repeat {
                let page = try await store.list(query)
                try expect(page.sessions.count <= 4, "a page is too long")
                seen += page.sessions.map(\.id.rawValue)
                query.cursor = page.nextCursor
            } while query.cursor != nil
            try expect(seen.count == 11 && Set(seen).count == 11, "the pages have \(seen)")
            try expect(seen.first == "s10", "the newest is not first")
        }
        try await expect(.badCursor) { () throws(StoreError) in
            _ = try await store.list(SessionQuery(cursor: "nonsense"))
        }
    }

    private func searches() async throws {
        try await store.create(Self.file("one", ["The quick brown fox"]))
        try await store.create(Self.file("two", ["lazy dogs"]))
        let found = try await store.list(SessionQuery(search: "QUICK fox"))
        try expect(found.sessions.map(\.id.rawValue) == ["one"], "found \(found.sessions.map(\.id))")
        try expect(try await store.list(SessionQuery(search: "quick dogs")).sessions.isEmpty, "found too much")
    }
}
