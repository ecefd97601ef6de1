internal import GRDB
internal import TauCore

/// What the catalogue knows of one session, and how far it has read its file.
struct CatalogRow {
    var number: Int64?
    var id: SessionID
    /// The file as it was when it was read.
    var version: SessionDirectory.Version
    /// Bytes of whole lines that have been read; the next ones are read from here.
    var readBytes: Int
    /// Why the file is no session that can be listed.
    var problem: String?
    /// Never changes while the file is there.
    var owner: Owner
    var createdAt: Timestamp
    var totals: SessionTotals
    var settings: BranchSettings

    var summary: SessionSummary {
        var summary = SessionSummary(id: id, createdAt: createdAt, totals: totals, settings: settings)
        summary.owner = owner
        return summary
    }
}

extension CatalogRow: FetchableRecord {
    init(row: Row) throws {
        func json(_ column: String) -> JSONValue? {
            (row[column] as String?).flatMap { try? JSONValue(parsing: $0.utf8) }
        }
        number = row["number"]
        id = SessionID(unchecked: row["id"])
        version = SessionDirectory.Version(
            inode: UInt(bitPattern: row["inode"] as Int), size: row["size"], modified: row["modified"])
        readBytes = row["read_bytes"]
        problem = row["problem"]
        owner = Owner(tenantID: row["tenant"], userID: row["user_id"])
        createdAt = Timestamp(milliseconds: row["created_at"])
        totals = SessionTotals(
            entryCount: row["entry_count"], leafID: (row["leaf_id"] as String?).map { EntryID(unchecked: $0) },
            name: row["name"], metadata: json("metadata")?.object ?? JSONObject(), usage: Usage(json: json("usage")),
            lastMessageTime: (row["last_message_at"] as Int64?).map { Timestamp(milliseconds: $0) })
        settings = BranchSettings()
        settings.thinkingLevel = row["thinking_level"]
        if let provider = row["provider"] as String?, let model = row["model"] as String? {
            settings.model = ModelReference(provider: provider, id: model)
        }
    }
}

extension CatalogRow {
    static func find(_ id: SessionID, _ db: Database) throws -> CatalogRow? {
        try CatalogRow.fetchOne(db, sql: "SELECT * FROM sessions WHERE id = ?", arguments: [id.rawValue])
    }

    /// Inserts or replaces the row; answers its number.
    mutating func save(_ db: Database) throws {
        var usage = JSONWriter()
        totals.usage.write(to: &usage)
        let arguments: StatementArguments = [
            "number": number, "id": id.rawValue, "inode": Int(bitPattern: version.inode), "size": version.size,
            "modified": version.modified, "read_bytes": readBytes, "problem": problem,
            "tenant": owner.tenantID, "user_id": owner.userID,
            "created_at": createdAt.milliseconds, "updated_at": summary.updatedAt.milliseconds,
            "last_message_at": totals.lastMessageTime?.milliseconds, "entry_count": totals.entryCount,
            "leaf_id": totals.leafID?.rawValue, "name": totals.name, "provider": settings.model?.provider,
            "model": settings.model?.id, "thinking_level": settings.thinkingLevel,
            "usage": String(decoding: usage.bytes, as: UTF8.self), "metadata": JSONValue.object(totals.metadata).text,
        ]
        try db.cachedStatement(sql: Self.saving).execute(arguments: arguments)
        if number == nil { number = db.lastInsertedRowID }
    }

    private static let columns = [
        "number", "id", "inode", "size", "modified", "read_bytes", "problem", "tenant", "user_id", "created_at",
        "updated_at",
        "last_message_at", "entry_count", "leaf_id", "name", "provider", "model", "thinking_level", "usage", "metadata",
    ]

    private static let saving = """
        INSERT OR REPLACE INTO sessions (\(columns.joined(separator: ", ")))
        VALUES (\(columns.map { ":" + $0 }.joined(separator: ", ")))
        """

    /// Removes the session from the list and from the search.
    static func remove(_ id: SessionID, _ db: Database) throws {
        guard let row = try find(id, db), let number = row.number else { return }
        try CatalogTexts.remove(session: number, db)
        try db.execute(sql: "DELETE FROM sessions WHERE number = ?", arguments: [number])
    }
}
