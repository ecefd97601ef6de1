/// Everything that is out of order in a session file, for people who look after it.
public struct SessionCheck: Sendable {
    public enum Severity: String, Sendable, Comparable {
        /// Worth knowing, nothing to do.
        case note
        /// Nothing is lost, but a reader may not see what its author meant.
        case warning
        /// Something is lost or ambiguous.
        case error

        public static func < (left: Severity, right: Severity) -> Bool { left.rank < right.rank }
        private var rank: Int { self == .note ? 0 : self == .warning ? 1 : 2 }
    }

    /// What is out of order; the raw values are stable.
    public enum Kind: String, Sendable {
        case noSession = "no_session"
        case wrongName = "wrong_name"
        case oldVersion = "old_version"
        case brokenLine = "broken_line"
        case overlongLine = "overlong_line"
        case secondHeader = "second_header"
        case tornTail = "torn_tail"
        case missingLineFeed = "missing_line_feed"
        case duplicateID = "duplicate_id"
        case orphan
        case forwardParent = "forward_parent"
        case cycle
        case severalRoots = "several_roots"
        case unknownLeafTarget = "unknown_leaf_target"
        case unknownLabelTarget = "unknown_label_target"
        case unknownKeptEntry = "unknown_kept_entry"
        case unknownType = "unknown_type"
    }

    public struct Finding: Sendable, Equatable {
        public var severity: Severity
        public var kind: Kind
        /// From 1; nil where the whole file is meant.
        public var line: Int?
        public var entryID: EntryID?
        public var message: String
    }

    /// In the order of the file.
    public private(set) var findings: [Finding] = []
    /// Entries that can be read.
    public private(set) var entryCount = 0

    public var worst: Severity? { findings.map(\.severity).max() }

    /// Looks through a file's content. `name` is the id that the file's name says.
    public init(_ content: [UInt8], name: SessionID?, limits: SessionFile.Limits = SessionFile.Limits()) {
        let file: SessionFile
        do throws(EntryError) {
            file = try SessionFile(parsing: content, limits: limits)
        } catch {
            add(.error, .noSession, nil, nil, error.reason)
            return
        }
        entryCount = file.entries.count
        if let name, file.header.id != name {
            add(.error, .wrongName, 1, nil, "the header names session \(file.header.id), the file's name \(name)")
        }
        if file.originalVersion < SessionHeader.currentVersion {
            add(.note, .oldVersion, 1, nil, "version \(file.originalVersion); it is migrated when it is opened")
        }
        let lines = SessionFile.splitLines(file.bytes)
        for finding in file.findings { add(finding, file.bytes[lines[finding.lineNumber - 1]], limits) }
        checkTree(file, file.entryLines(lines))
        checkEnd(file, lineCount: lines.count)
        findings.sort { ($0.line ?? .max) < ($1.line ?? .max) }
    }

    private mutating func add(
        _ severity: Severity, _ kind: Kind, _ line: Int?, _ entry: EntryID?, _ message: String
    ) {
        findings.append(Finding(severity: severity, kind: kind, line: line, entryID: entry, message: message))
    }

    private mutating func add(_ finding: SessionFile.Finding, _ line: ArraySlice<UInt8>, _ limits: SessionFile.Limits) {
        let kind: Kind =
            if line.count > limits.maxLineBytes {
                .overlongLine
            } else if (try? JSONValue(parsing: line))?["type"] == "session" {
                .secondHeader
            } else {
                .brokenLine
            }
        add(.error, kind, finding.lineNumber, nil, "\(finding.reason); it is kept and skipped")
    }

    private mutating func checkEnd(_ file: SessionFile, lineCount: Int) {
        if !file.tornTail.isEmpty {
            let isZeros = file.tornTail.allSatisfy { $0 == 0 }
            add(
                .warning, .tornTail, lineCount + 1, nil,
                "\(file.tornTail.count) bytes\(isZeros ? " of zeros" : "") of a torn line; they are cut off when the session is opened"
            )
        } else if file.bytes.last != UInt8(ascii: "\n") {
            add(
                .note, .missingLineFeed, lineCount, nil,
                "the last line lacks its line feed; it gets one when it is opened")
        }
    }

    private mutating func checkTree(_ file: SessionFile, _ lines: [Int]) {
        let tree = SessionTree(file)
        let circular = Self.circular(tree)
        var seen: Set<EntryID> = []
        var roots = 0
        for (index, entry) in file.entries.enumerated() {
            let line = lines[index]
            if !seen.insert(entry.id).inserted {
                add(
                    .error, .duplicateID, line, entry.id,
                    "the id \(entry.id) was there before; readers see the last one")
            }
            if let parent = entry.parentID {
                if let place = tree.index(of: parent) {
                    if circular.contains(index) {
                        add(.error, .cycle, line, entry.id, "following the parents from here leads round in a circle")
                    } else if place >= index {
                        add(.error, .forwardParent, line, entry.id, "the parent \(parent) stands behind its child")
                    }
                } else {
                    add(.error, .orphan, line, entry.id, "the parent \(parent) does not exist; the branch begins here")
                }
            } else {
                roots += 1
            }
            checkReferences(entry, line, tree)
        }
        if roots > 1 { add(.note, .severalRoots, nil, nil, "\(roots) entries have no parent") }
    }

    /// The places of the entries that are their own ancestors.
    private static func circular(_ tree: SessionTree) -> Set<Int> {
        /// 0 for entries not looked at, else the number of the walk that came by.
        var walks = [Int](repeating: 0, count: tree.entries.count)
        var circular: Set<Int> = []
        for start in tree.entries.indices where walks[start] == 0 {
            var path: [Int] = []
            var next: Int? = start
            while let place = next, walks[place] == 0 {
                walks[place] = start + 1
                path.append(place)
                next = tree.entries[place].parentID.flatMap(tree.index)
            }
            if let place = next, walks[place] == start + 1, let begin = path.firstIndex(of: place) {
                circular.formUnion(path[begin...])
            }
        }
        return circular
    }

    private mutating func checkReferences(_ entry: Entry, _ line: Int, _ tree: SessionTree) {
        switch entry.body {
        case .leaf(let target?) where !tree.contains(target):
            add(.warning, .unknownLeafTarget, line, entry.id, "the leaf moves to \(target), which does not exist")
        case .label(let target, _) where !tree.contains(target):
            add(.warning, .unknownLabelTarget, line, entry.id, "labels \(target), which does not exist")
        case .compaction(let compaction) where compaction.retainedTail == nil:
            guard let kept = compaction.firstKeptEntryID, kept != entry.id else { return }
            guard !tree.branch(to: entry.id).contains(where: { tree.entries[$0].id == kept }) else { return }
            add(
                .warning, .unknownKeptEntry, line, entry.id,
                "keeps from \(kept) on, which is not on its branch: nothing is kept")
        case .other(let type):
            add(.note, .unknownType, line, entry.id, "the type \"\(type)\" is not known; the entry is kept as it is")
        default: break
        }
    }
}

extension SessionFile {
    /// For each entry the number of its line; `lines` are the file's, see `splitLines`.
    func entryLines(_ lines: [Range<Int>]) -> [Int] {
        var numbers: [Int] = []
        numbers.reserveCapacity(entries.count)
        for (index, range) in lines.enumerated() where numbers.count < entries.count {
            if entries[numbers.count].line.startIndex == range.lowerBound { numbers.append(index + 1) }
        }
        return numbers
    }
}
