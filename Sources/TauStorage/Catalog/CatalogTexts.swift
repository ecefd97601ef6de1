internal import GRDB
internal import TauCore

/// The texts that a search looks through: names, and what users and assistants said.
enum CatalogTexts {
    /// Row ids hold the session's number above so many bits, and the place in the session below.
    private static let placeBits: Int64 = 24

    private static func row(_ session: Int64, _ place: Int) -> Int64 { session << placeBits | Int64(place) }

    static func add(_ entry: Entry, at place: Int, of session: Int64, _ db: Database) throws {
        guard place < 1 << placeBits, let text = entry.searchText else { return }
        try insert(text, at: row(session, place), db)
    }

    static func setName(_ name: String?, of session: Int64, _ db: Database) throws {
        try db.cachedStatement(sql: "DELETE FROM texts WHERE rowid = ?").execute(arguments: [row(session, 0)])
        if let name { try insert(name, at: row(session, 0), db) }
    }

    private static func insert(_ text: String, at row: Int64, _ db: Database) throws {
        try db.cachedStatement(sql: "INSERT INTO texts (rowid, text) VALUES (?, ?)")
            .execute(arguments: [row, SearchWords.separatingIdeographs(SearchWords.bounded(text))])
    }

    static func remove(session: Int64, _ db: Database) throws {
        try db.execute(
            sql: "DELETE FROM texts WHERE rowid BETWEEN ? AND ?",
            arguments: [row(session, 0), row(session, (1 << placeBits) - 1)])
    }

    // MARK: Searching

    /// For each word of a search, what finds it: the beginning of a word, or characters of Chinese or Japanese in this order.
    static func patterns(_ search: String) -> [String] {
        // SQLite takes a NUL for the end of the pattern.
        let words = search.split { $0.isWhitespace || $0.unicodeScalars.contains("\0") }.prefix(SearchWords.maxWords)
        return words.map { word in
            "\"" + SearchWords.separatingIdeographs(String(word)).replacing("\"", with: "\"\"") + "\" *"
        }
    }

    /// The sessions that hold what a pattern finds.
    static let matching = "number IN (SELECT rowid >> \(placeBits) FROM texts WHERE texts MATCH ?)"
}

extension Entry {
    /// What a user or an assistant has said in it; nil for anything else, or nothing.
    var searchText: String? {
        guard role == .user || role == .assistant, let json = messageJSON.flatMap({ try? JSONValue(parsing: $0) })
        else { return nil }
        let texts = ContentBlock.blocks(json["content"]).compactMap(\.text).filter { !$0.isEmpty }
        return texts.isEmpty ? nil : texts.joined(separator: "\n")
    }
}
