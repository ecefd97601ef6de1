internal import Logging
internal import Synchronization
internal import TauCore

/// Summaries of the session files, read again only where a file has changed.
final class SummaryIndex: Sendable {
    private struct Row {
        var version: SessionDirectory.Version
        /// Nil for a file that is no session.
        var summary: SessionSummary?
    }

    private let rows = Mutex<[SessionID: Row]>([:])

    func forget(_ id: SessionID) { rows.withLock { _ = $0.removeValue(forKey: id) } }

    func refresh(
        from directory: SessionDirectory, limits: SessionFile.Limits, logger: Logger
    ) throws(StoreError) {
        let found = try directory.sessions()
        let known = rows.withLock { $0 }
        var fresh: [SessionID: Row] = [:]
        fresh.reserveCapacity(found.count)
        for (id, version) in found {
            if let row = known[id], row.version == version {
                fresh[id] = row
                continue
            }
            do throws(StoreError) {
                let content = try directory.openForReading(id).readAll()
                let file = try JSONLSessionStore.parse(content, id, limits)
                fresh[id] = Row(version: version, summary: SessionTree(file).summary)
            } catch {
                guard error.code != .notFound else { continue }
                logger.warning(
                    "session file left out of the list", metadata: ["session": "\(id)", "reason": "\(error)"])
                fresh[id] = Row(version: version, summary: nil)
            }
        }
        rows.withLock { $0 = fresh }
    }

    /// One page. `content` reads a session for a search in its messages.
    func page(_ query: SessionQuery, content: (SessionID) -> SessionFile?) throws(StoreError) -> SessionPage {
        let all = rows.withLock { rows in rows.values.compactMap(\.summary) }
        var position: Position?
        if let cursor = query.cursor {
            guard let parsed = Position(cursor) else {
                throw StoreError(.badCursor, "the cursor is not one of this list")
            }
            position = parsed
        }
        let ordered = all.map { (Position($0, query.order), $0) }.sorted { $0.0 < $1.0 }
        var page: [SessionSummary] = []
        for (place, summary) in ordered {
            if let position, !(position < place) { continue }
            if let words = query.search, !Self.matches(summary, words, content) { continue }
            // One more than asked for tells whether there is a next page.
            if page.count == query.limit {
                return SessionPage(sessions: page, nextCursor: page.last.map { Position($0, query.order).text })
            }
            page.append(summary)
        }
        return SessionPage(sessions: page, nextCursor: nil)
    }

    /// Whether every word is in the name or in a user's or assistant's text, without regard to case.
    private static func matches(
        _ summary: SessionSummary, _ search: String, _ content: (SessionID) -> SessionFile?
    ) -> Bool {
        var missing = Set(search.lowercased().split { $0.isWhitespace }.map(String.init))
        func look(_ text: String) {
            let text = text.lowercased()
            missing = missing.filter { !text.contains($0) }
        }
        look(summary.name ?? "")
        guard !missing.isEmpty, let file = content(summary.id) else { return missing.isEmpty }
        for entry in file.entries {
            guard entry.role == .user || entry.role == .assistant,
                let json = entry.messageJSON.flatMap({ try? JSONValue(parsing: $0) })
            else { continue }
            for text in ContentBlock.blocks(json["content"]).compactMap(\.text) { look(text) }
            if missing.isEmpty { return true }
        }
        return false
    }

    /// A place in the order, newest first; sessions of one moment are ordered by id.
    private struct Position: Comparable {
        var time: Int64
        var id: String

        init(_ summary: SessionSummary, _ order: SessionQuery.Order) {
            time = (order == .updatedAt ? summary.updatedAt : summary.createdAt).milliseconds
            id = summary.id.rawValue
        }

        init?(_ text: String) {
            guard let dot = text.firstIndex(of: "."), let time = Int64(text[..<dot]) else { return nil }
            self.time = time
            id = String(text[text.index(after: dot)...])
        }

        var text: String { "\(time).\(id)" }

        static func < (left: Position, right: Position) -> Bool {
            left.time != right.time ? left.time > right.time : left.id > right.id
        }
    }
}
