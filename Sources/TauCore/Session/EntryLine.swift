// The one place that reads the keys of the session format (Pi, versions 1 to 3) off a line.

/// What a line says at its top level, before it is known whether it makes an entry.
struct EntryLine {
    var type: String?
    var id: String?
    /// The parent's id; nil for null or a missing key.
    var parentID: String?
    var timestamp: Timestamp?
    var message: StoredMessage?

    /// Checks that the whole line is valid JSON and reads what the tree needs off it.
    init(scanning bytes: UnsafeBufferPointer<UInt8>) throws(JSONError) {
        var scanner = JSONScanner(bytes)
        scanner.skipWhitespace()
        var found = EntryLine()
        try scanner.object(depth: 0) { (scanner, key) throws(JSONError) in
            if scanner.equals(key, "type") {
                found.type = try scanner.optionalString()
            } else if scanner.equals(key, "id") {
                found.id = try scanner.optionalString()
            } else if scanner.equals(key, "parentId") {
                found.parentID = try scanner.optionalString()
            } else if scanner.equals(key, "timestamp") {
                found.timestamp = try scanner.optionalString().flatMap { Timestamp($0) }
            } else if scanner.equals(key, "message"), scanner.peek() == UInt8(ascii: "{") {
                found.message = try StoredMessage(scanning: &scanner)
            } else {
                try scanner.skipValue(depth: 1)
            }
        }
        try scanner.expectEnd()
        self = found
    }

    private init() {}
}

extension StoredMessage {
    fileprivate init(scanning scanner: inout JSONScanner) throws(JSONError) {
        var message = StoredMessage(
            role: .other, timestamp: nil, jsonStart: Int32(clamping: scanner.position), jsonEnd: 0, usageStart: 0,
            usageEnd: 0)
        try scanner.object(depth: 1) { (scanner, key) throws(JSONError) in
            if scanner.equals(key, "role") {
                message.role = try scanner.optionalString().flatMap(MessageRole.init) ?? .other
            } else if scanner.equals(key, "timestamp"), let byte = scanner.peek(), byte != UInt8(ascii: "\"") {
                message.timestamp = Timestamp(json: try scanner.value(depth: 2))
            } else if scanner.equals(key, "usage") {
                message.usageStart = Int32(clamping: scanner.position)
                try scanner.skipValue(depth: 2)
                message.usageEnd = Int32(clamping: scanner.position)
            } else {
                try scanner.skipValue(depth: 2)
            }
        }
        message.jsonEnd = Int32(clamping: scanner.position)
        self = message
    }
}

extension JSONScanner {
    /// A string's text, or nil for a value of another kind, which is skipped.
    fileprivate mutating func optionalString() throws(JSONError) -> String? {
        guard peek() == UInt8(ascii: "\"") else {
            try skipValue(depth: 1)
            return nil
        }
        return text(try string())
    }
}

/// Why a line of a session file makes no entry.
public struct EntryError: Error, Sendable, Equatable, CustomStringConvertible {
    public var reason: String
    public var description: String { reason }

    public init(reason: String) { self.reason = reason }
}

extension Entry {
    /// Reads an entry off one line (without its line feed).
    public init(line: ArraySlice<UInt8>) throws(EntryError) {
        let scanned: EntryLine
        do throws(JSONError) {
            scanned = try line.scanned()
        } catch {
            throw EntryError(reason: "not valid JSON: \(error)")
        }
        try self.init(scanned, line: line)
    }

    init(_ scanned: EntryLine, line: ArraySlice<UInt8>) throws(EntryError) {
        guard let type = scanned.type else { throw EntryError(reason: "the entry has no type") }
        guard type != "session" else { throw EntryError(reason: "a second session header") }
        guard let id = scanned.id, !id.isEmpty else { throw EntryError(reason: "the entry has no id") }
        self.init(
            id: EntryID(unchecked: id), parentID: scanned.parentID.map { EntryID(unchecked: $0) },
            timestamp: scanned.timestamp, body: Self.body(type, scanned, line), line: line)
    }

    private static func body(_ type: String, _ scanned: EntryLine, _ line: ArraySlice<UInt8>) -> EntryBody {
        if type == "message" {
            return scanned.message.map { .message($0) } ?? .other(type: type)
        }
        guard let json = try? JSONValue(parsing: line) else { return .other(type: type) }
        func usage() -> Usage? { json["usage"]?.object.map { Usage(json: .object($0)) } }
        switch type {
        case "thinking_level_change": return .thinkingLevelChange(json["thinkingLevel"]?.string ?? "off")
        case "model_change":
            return .modelChange(
                ModelReference(provider: json["provider"]?.string ?? "", id: json["modelId"]?.string ?? ""),
                isAutomatic: AutomaticChoice(json: json["choice"]) != nil)
        case "active_tools_change":
            return .activeToolsChange(json["activeToolNames"]?.array?.compactMap(\.string) ?? [])
        case "compaction":
            return .compaction(
                Compaction(
                    summary: json["summary"]?.string ?? "",
                    firstKeptEntryID: json["firstKeptEntryId"]?.string.map { EntryID(unchecked: $0) },
                    tokensBefore: json["tokensBefore"]?.integer ?? 0, systemMessage: json["systemMessage"],
                    retainedTail: json["retainedTail"]?.array, details: json["details"], usage: usage()))
        case "branch_summary":
            return .branchSummary(
                BranchSummary(
                    fromID: json["fromId"]?.string ?? "", summary: json["summary"]?.string ?? "",
                    details: json["details"], usage: usage()))
        case "custom_message":
            return .customMessage(
                CustomMessage(
                    customType: json["customType"]?.string ?? "", content: json["content"] ?? .array([]),
                    display: json["display"]?.bool ?? false, details: json["details"]))
        case "custom": return .custom(type: json["customType"]?.string ?? "")
        case "label":
            guard let target = json["targetId"]?.string else { return .other(type: type) }
            let label = json["label"]?.string.flatMap { $0.isEmpty ? nil : $0 }
            return .label(target: EntryID(unchecked: target), label: label)
        case "session_info": return .sessionInfo(name: json["name"]?.string)
        case "leaf": return .leaf(target: json["targetId"]?.string.map { EntryID(unchecked: $0) })
        case "context_edit":
            guard let target = json["targetId"]?.string else { return .other(type: type) }
            let replacement = json["replacement"].flatMap { $0.isNull ? nil : $0 }
            return .contextEdit(ContextEdit(target: EntryID(unchecked: target), replacement: replacement))
        case "usage": return .usage(Usage(json: json["usage"]))
        default: return .other(type: type)
        }
    }
}

extension Entry {
    /// The same entry with another value for a key of its line; the line's other keys stay, known or not.
    ///
    /// `value` is one that the key may have: a line that made an entry makes one again.
    func changing(_ key: String, to value: JSONValue) -> Entry {
        guard var object = json.object else { return self }
        object.update(key, to: value)
        return (try? Entry(line: JSONValue.object(object).serialized[...])) ?? self
    }
}

extension ArraySlice<UInt8> {
    func scanned() throws(JSONError) -> EntryLine {
        let result: Result<EntryLine, JSONError> = withUnsafeBufferPointer { buffer in
            Result { () throws(JSONError) in try EntryLine(scanning: buffer) }
        }
        return try result.get()
    }
}
