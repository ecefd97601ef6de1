internal import GRDB
internal import Logging
internal import TauCore

/// Brings one session's row and texts up to its file. The calls block.
struct SessionReading {
    let directory: SessionDirectory
    let limits: SessionFile.Limits
    let logger: Logger

    /// Reads the lines that are new since the last time, or with `again` the whole file.
    func read(_ id: SessionID, again: Bool, _ db: Database) throws {
        let opened = Result { () throws(StoreError) in
            let handle = try directory.openForReading(id)
            return (handle, try handle.version())
        }
        if case .failure(let error) = opened, error.code == .notFound { return try CatalogRow.remove(id, db) }
        let (handle, version) = try opened.get()
        let known = try CatalogRow.find(id, db)
        guard known?.version != version else { return }
        if !again, let known, try extend(known, handle, version, db) { return }
        try readWhole(id, number: known?.number, handle, version, db)
    }

    /// False where the new lines do not simply go on at the leaf: then only the whole file tells.
    private func extend(
        _ known: CatalogRow, _ handle: FileHandle, _ version: SessionDirectory.Version, _ db: Database
    ) throws -> Bool {
        guard known.problem == nil, let number = known.number, known.version.inode == version.inode,
            known.readBytes < version.size
        else { return false }
        var row = known
        let bytes = try handle.read(at: known.readBytes, atMost: version.size - known.readBytes)
        // A last line without its line feed may still be growing.
        guard let end = bytes.lastIndex(of: UInt8(ascii: "\n")) else { return false }
        for line in bytes[..<end].split(separator: UInt8(ascii: "\n")) {
            guard line.count <= limits.maxLineBytes, let entry = try? Entry(line: line) else { return false }
            guard entry.parentID == row.totals.leafID else { return false }
            if case .leaf = entry.body { return false }
            row.totals.add(entry) { _ in false }
            row.settings.apply(entry)
            try CatalogTexts.add(entry, at: row.totals.entryCount, of: number, db)
        }
        if row.totals.name != known.totals.name { try CatalogTexts.setName(row.totals.name, of: number, db) }
        row.readBytes = known.readBytes + end + 1
        row.version = version
        try row.save(db)
        return true
    }

    private func readWhole(
        _ id: SessionID, number: Int64?, _ handle: FileHandle, _ version: SessionDirectory.Version, _ db: Database
    ) throws {
        var row = CatalogRow(
            number: number, id: id, version: version, readBytes: 0, problem: nil,
            createdAt: Timestamp(milliseconds: 0), totals: SessionTotals(), settings: BranchSettings())
        if let number { try CatalogTexts.remove(session: number, db) }
        let content = Result { () throws(StoreError) in
            try JSONLSessionStore.parse(try handle.readAll(), id, limits)
        }
        if case .failure(let error) = content, error.code == .corrupt {
            logger.warning("session file left out of the list", metadata: ["session": "\(id)", "reason": "\(error)"])
            row.problem = error.message
            return try row.save(db)
        }
        let file = try content.get()
        let tree = SessionTree(file)
        row.createdAt = file.header.timestamp
        row.totals = tree.totals
        row.settings = tree.settings(of: tree.leafID)
        // What stands behind the last line feed, or in an old version, is read again when it has changed.
        let isContinuable =
            file.bytes.last == UInt8(ascii: "\n") && file.originalVersion == SessionHeader.currentVersion
        row.readBytes = isContinuable ? file.bytes.count : .max
        try row.save(db)
        guard let number = row.number else { return }
        try CatalogTexts.setName(row.totals.name, of: number, db)
        for (index, entry) in file.entries.enumerated() {
            try CatalogTexts.add(entry, at: index + 1, of: number, db)
        }
    }
}
