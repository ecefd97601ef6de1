internal import TauCore
internal import TauStorage

/// The list of many sessions, and many sessions open at once.
extension StoreBench {
    func lists() async throws -> [Figure] {
        let count = 10_000
        let store = try store("list")
        for number in 0..<count {
            let file = Self.session(4, id: "list-\(number)")
            try await store.create(file)
            await store.close(file.header.id)
        }
        var figures: [Figure] = []
        // Another store on the same directory, as after a start: it compares all files.
        let other = try self.store("list")
        figures.append(
            Figure(
                "list: read \(count) new sessions into the catalogue", try await time { try await Self.page(store) },
                "ms"))
        figures.append(
            Figure(
                "list: first page after a start, \(count) sessions", try await time { try await Self.page(other) }, "ms"
            ))
        var timings: [Double] = []
        var query = SessionQuery(limit: 50)
        for _ in 0..<100 {
            let start = clock.now
            query.cursor = try await other.list(query).nextCursor
            timings.append((clock.now - start).milliseconds)
        }
        figures.append(Figure("list: a page of 50 of \(count)", Timings(timings).percentile(0.5), "ms", atMost: 10))
        figures.append(Figure("list: the same, p99", Timings(timings).percentile(0.99), "ms"))
        timings = []
        for number in 0..<50 {
            let start = clock.now
            _ = try await other.list(SessionQuery(search: "\(number % 4) xxx", limit: 50))
            timings.append((clock.now - start).milliseconds)
        }
        figures.append(
            Figure("list: a search that every session matches", Timings(timings).percentile(0.5), "ms"))
        return figures
    }

    private static func page(_ store: JSONLSessionStore) async throws {
        let page = try await store.list(SessionQuery(limit: 50))
        precondition(page.sessions.count == 50)
    }

    private func time(_ body: () async throws -> Void) async throws -> Double {
        let start = clock.now
        try await body()
        return (clock.now - start).milliseconds
    }
}
