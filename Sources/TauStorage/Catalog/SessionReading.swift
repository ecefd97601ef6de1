internal import GRDB
internal import Logging
internal import TauCore

/// Brings one session's row and texts up to its file. The calls block.
struct SessionReading {
    let directory: SessionDirectory
    /// Whose sessions are whose; nil where all are the one's who runs the process.
    let accounts: AccountDatabase?
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
        guard again || known?.version != version else { return }
        if !again, var row = known, row.problem == nil, row.version.inode == version.inode,
            row.readBytes < version.size,
            try extend(&row, handle, version, db)
        {
            return
        }
        try readWhole(id, number: known?.number, handle, version, db)
    }

    /// Bytes that are read at once.
    private static let pieceBytes = 1 << 20

    /// Adds what the lines behind `row.readBytes` say, piece by piece. False where they do not simply go on at the leaf: then only
    /// the whole file tells.
    private func extend(
        _ row: inout CatalogRow, _ handle: FileHandle, _ version: SessionDirectory.Version, _ db: Database
    ) throws -> Bool {
        guard let number = row.number else { return false }
        let name = row.totals.name
        var wanted = Self.pieceBytes
        while row.readBytes < version.size {
            let bytes = try handle.read(at: row.readBytes, atMost: min(wanted, version.size - row.readBytes))
            guard let end = bytes.lastIndex(of: UInt8(ascii: "\n")) else {
                // A last line without its line feed may still be growing.
                guard bytes.count == wanted, wanted <= limits.maxLineBytes else { return false }
                wanted *= 2
                continue
            }
            for line in bytes[..<end].split(separator: UInt8(ascii: "\n")) {
                guard try add(line, to: &row, number, db) else { return false }
            }
            row.readBytes += end + 1
        }
        if row.totals.name != name { try CatalogTexts.setName(row.totals.name, of: number, db) }
        row.version = version
        try row.save(db)
        return true
    }

    private func add(_ line: ArraySlice<UInt8>, to row: inout CatalogRow, _ number: Int64, _ db: Database) throws
        -> Bool
    {
        guard line.count <= limits.maxLineBytes, let entry = try? Entry(line: line) else { return false }
        guard entry.parentID == row.totals.leafID else { return false }
        if case .leaf = entry.body { return false }
        row.totals.add(entry) { _ in false }
        row.settings.apply(entry)
        try CatalogTexts.add(entry, at: row.totals.entryCount, of: number, db)
        return true
    }

    private func readWhole(
        _ id: SessionID, number: Int64?, _ handle: FileHandle, _ version: SessionDirectory.Version, _ db: Database
    ) throws {
        var row = CatalogRow(
            number: number, id: id, version: version, readBytes: 0, problem: nil,
            owner: try accounts?.owner(of: id) ?? .local, createdAt: Timestamp(milliseconds: 0),
            totals: SessionTotals(), settings: BranchSettings())
        if let number { try CatalogTexts.remove(session: number, db) }
        // Most sessions are one branch, which needs no more memory than a piece.
        if try readAsBranch(&row, handle, version, db) { return }
        let number = row.number
        row.totals = SessionTotals()
        row.settings = BranchSettings()
        row.version = version
        if let number { try CatalogTexts.remove(session: number, db) }
        let content = Result { () throws(StoreError) in
            try SessionFile(stored: try handle.readAll(), as: id, limits)
        }
        if case .failure(let error) = content, error.code == .corrupt {
            logger.warning(
                "session file left out of the list", metadata: ["session_id": "\(id)", "reason": "\(error)"])
            row.problem = error.message
            return try row.save(db)
        }
        try readTree(try content.get(), &row, db)
    }

    /// False, and the row may be half done, where the file is not of this version, or more than one branch.
    private func readAsBranch(
        _ row: inout CatalogRow, _ handle: FileHandle, _ version: SessionDirectory.Version, _ db: Database
    ) throws -> Bool {
        let line = try handle.readLine(at: 0, limit: limits.maxLineBytes)
        guard let header = try? SessionHeader(line: line[...]), header.version == SessionHeader.currentVersion,
            header.id == row.id, line.count + 1 < version.size
        else { return false }
        row.createdAt = header.timestamp
        row.readBytes = line.count + 1
        // The texts need the row's number.
        try row.save(db)
        return try extend(&row, handle, version, db)
    }

    private func readTree(_ file: SessionFile, _ row: inout CatalogRow, _ db: Database) throws {
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
