internal import GRDB
internal import TauCore

/// The texts that a search looks through: names, and what users and assistants said.
enum CatalogTexts {
    /// Bytes of one message that are searched.
    private static let maxTextBytes = 64 << 10
    /// Row ids hold the session's number above so many bits, and the place in the session below.
    private static let placeBits: Int64 = 24

    private static func row(_ session: Int64, _ place: Int) -> Int64 { session << placeBits | Int64(place) }

    static func add(_ entry: Entry, at place: Int, of session: Int64, _ db: Database) throws {
        guard place < 1 << placeBits, entry.role == .user || entry.role == .assistant,
            let json = entry.messageJSON.flatMap({ try? JSONValue(parsing: $0) })
        else { return }
        let texts = ContentBlock.blocks(json["content"]).compactMap(\.text).filter { !$0.isEmpty }
        guard !texts.isEmpty else { return }
        try insert(texts.joined(separator: "\n"), at: row(session, place), db)
    }

    static func setName(_ name: String?, of session: Int64, _ db: Database) throws {
        try db.cachedStatement(sql: "DELETE FROM texts WHERE rowid = ?").execute(arguments: [row(session, 0)])
        if let name { try insert(name, at: row(session, 0), db) }
    }

    private static func insert(_ text: String, at row: Int64, _ db: Database) throws {
        var bytes = text.utf8.prefix(maxTextBytes)
        while let last = bytes.last, bytes.count == maxTextBytes, last & 0xC0 == 0x80 { bytes.removeLast() }
        try db.cachedStatement(sql: "INSERT INTO texts (rowid, text) VALUES (?, ?)")
            .execute(arguments: [row, separatingIdeographs(String(decoding: bytes, as: UTF8.self))])
    }

    static func remove(session: Int64, _ db: Database) throws {
        try db.execute(
            sql: "DELETE FROM texts WHERE rowid BETWEEN ? AND ?",
            arguments: [row(session, 0), row(session, (1 << placeBits) - 1)])
    }

    // MARK: Searching

    /// Words of a search that count.
    private static let maxWords = 20

    /// For each word of a search, what finds it: the beginning of a word, or characters of Chinese or Japanese in this order.
    static func patterns(_ search: String) -> [String] {
        // SQLite takes a NUL for the end of the pattern.
        let words = search.split { $0.isWhitespace || $0.unicodeScalars.contains("\0") }.prefix(maxWords)
        return words.map { word in
            "\"" + separatingIdeographs(String(word)).replacing("\"", with: "\"\"") + "\" *"
        }
    }

    /// The sessions that hold what a pattern finds.
    static let matching = "number IN (SELECT rowid >> \(placeBits) FROM texts WHERE texts MATCH ?)"

    /// Languages that write without spaces are searched character by character.
    static func separatingIdeographs(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isIdeograph) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            result.append(scalar)
            if isIdeograph(scalar) { result.append(" ") }
        }
        return String(result)
    }

    /// Han, Hiragana, Katakana, and their extensions.
    private static func isIdeograph(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x3040...0x30FF, 0x31F0...0x31FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF, 0x20000...0x323AF:
            true
        default: false
        }
    }
}
