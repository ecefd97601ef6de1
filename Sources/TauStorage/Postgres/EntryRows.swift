internal import TauCore
internal import TauPostgres

/// Lines of sessions as columns, for one statement with many rows.
struct EntryRows {
    private var numbers: [Int64] = []
    private var places: [Int64] = []
    private var ids: [[UInt8]?] = []
    private var parents: [[UInt8]?] = []
    private var times: [Int64] = []
    private var types: [[UInt8]?] = []
    private var contents: [[UInt8]?] = []
    private var raws: [[UInt8]?] = []
    private var metadata: [[UInt8]?] = []
    private(set) var byteCount = 0
    private(set) var hasRawLines = false

    var count: Int { numbers.count }

    /// An entry at a place of the session that has this number in the statement.
    mutating func add(_ entry: Entry, at place: Int, of number: Int, defaultTime: Int64 = 0) {
        append(
            number, place, id: Self.identifier(entry.id), parent: entry.parentID.map { Self.identifier($0) },
            time: entry.timestamp?.milliseconds ?? defaultTime, type: Self.type(of: entry), entry.line,
            metadata: EntryMetadata.json(of: entry))
    }

    /// Any line of a session.
    mutating func add(_ line: SessionFile.Line, at place: Int, of number: Int, defaultTime: Int64) {
        if let entry = line.entry { return add(entry, at: place, of: number, defaultTime: defaultTime) }
        append(
            number, place, id: nil, parent: nil, time: defaultTime, type: Array("unread".utf8), line.bytes,
            metadata: nil)
    }

    private mutating func append(
        _ number: Int, _ place: Int, id: [UInt8]?, parent: [UInt8]?, time: Int64, type: [UInt8],
        _ line: ArraySlice<UInt8>, metadata json: [UInt8]?
    ) {
        numbers.append(Int64(number))
        places.append(Int64(place))
        ids.append(id)
        parents.append(parent)
        times.append(time)
        types.append(type)
        if json != nil || id != nil || Self.isText(line) {
            contents.append(Array(line))
            raws.append(nil)
        } else {
            contents.append(Self.text(String(decoding: line, as: UTF8.self)))
            raws.append(Array(line))
            hasRawLines = true
        }
        metadata.append(json)
        byteCount += line.count + 1
    }

    /// As much of an id as an index takes; only foreign ones are longer.
    static func identifier(_ id: EntryID) -> [UInt8] {
        if id.rawValue.utf8.count <= maxIdentifierBytes { return text(id.rawValue) }
        return text(String(String.UnicodeScalarView(id.rawValue.unicodeScalars.prefix(maxIdentifierBytes / 4))))
    }

    private static let maxIdentifierBytes = 256

    /// As much of the type as the column takes; the whole one stands in the line.
    static func type(of entry: Entry) -> [UInt8] {
        let name = entry.body.typeName
        if name.utf8.count <= 20, !name.utf8.contains(0) { return Array(name.utf8) }
        return text(String(String.UnicodeScalarView(name.unicodeScalars.prefix(20))))
    }

    /// An entry's line is valid JSON, which is text; other lines may be anything.
    private static func isText(_ line: ArraySlice<UInt8>) -> Bool {
        !line.contains(0) && String(validating: line, as: UTF8.self) != nil
    }

    /// PostgreSQL's texts hold no NUL; the symbol for it stands in its place. Nothing is read back from what is changed here.
    static func text(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        guard bytes.contains(0) else { return bytes }
        return bytes.flatMap { $0 == 0 ? Array("\u{2400}".utf8) : [$0] }
    }

    /// The columns, in the order of `columns`.
    var parameters: [PostgresValue] {
        [
            .integers(numbers), .integers(places), .texts(ids), .texts(parents), .integers(times), .texts(types),
            .texts(contents), .byteStrings(raws), .texts(metadata),
        ]
    }

    static let parameterCount = 9

    /// The rows as a table `line`, from the parameter with this number on.
    static func table(from first: Int) -> String {
        let types = ["int8", "int8", "text", "text", "int8", "text", "text", "bytea", "text"]
        let arrays = types.enumerated().map { "$\(first + $0.offset)::\($0.element)[]" }.joined(separator: ", ")
        return
            "unnest(\(arrays)) AS line(number, place, entry_id, parent_id, timestamp, type, content, raw, metadata)"
    }
}

/// What of an entry can be asked for in SQL. It is made here, so that nothing in it is refused there.
enum EntryMetadata {
    /// Nil for an entry of which nothing is to be told beside its type.
    static func json(of entry: Entry) -> [UInt8]? {
        guard case .message(let message) = entry.body else {
            guard let usage = entry.usage else { return nil }
            return write { $0.usage(usage) }
        }
        switch message.role {
        case .user: return user
        case .toolResult: return toolResult
        case .assistant:
            let usage = entry.usage
            let json = entry.messageJSON.flatMap { try? JSONValue(parsing: $0) }
            return write { writer in
                writer.member("role", "assistant")
                for name in ["provider", "model", "stopReason"] {
                    guard let value = json?[name]?.string, !value.utf8.contains(0) else { continue }
                    writer.member(name, value)
                }
                if let usage { writer.usage(usage) }
            }
        default: return write { $0.member("role", message.role.rawValue) }
        }
    }

    private static let user = Array(#"{"role":"user"}"#.utf8)
    private static let toolResult = Array(#"{"role":"toolResult"}"#.utf8)

    private static func write(_ body: (inout JSONWriter) -> Void) -> [UInt8] {
        var writer = JSONWriter()
        writer.object(body)
        return writer.bytes
    }
}

extension JSONWriter {
    fileprivate mutating func usage(_ usage: Usage) {
        key("usage")
        usage.write(to: &self)
    }
}
